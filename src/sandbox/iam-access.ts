import { authorize } from './authorize.ts';
import { AwsError } from './aws-error.ts';
import type { Call, Handlers } from './call.ts';
import type { AccountState, RoleState } from './state.ts';

/** Handlers that ask first whether the caller's identity policies allow them: IAM has no other sort for roles. */
export const guarded = (handlers: Handlers): Handlers =>
  Object.fromEntries(
    Object.entries(handlers).map(([operation, handler]) => [
      operation,
      (call: Call, input: Named) => {
        demand(call, resourceOf(call, input));
        return handler(call, input);
      },
    ]),
  );

/** The members of an input that name what an operation is about. */
interface Named {
  RoleName?: string;
  PolicyArn?: string;
  PolicyName?: string;
  Path?: string;
}

function resourceOf(call: Call, { RoleName, PolicyArn, PolicyName, Path = '/' }: Named): string {
  const { account } = call.caller;
  if (RoleName !== undefined) {
    const known = accountOf(call).roles.get(RoleName.toLowerCase());
    return known?.arn ?? `arn:aws:iam::${account}:role${Path}${RoleName}`;
  }
  if (PolicyArn !== undefined) return PolicyArn;
  return PolicyName === undefined ? '*' : `arn:aws:iam::${account}:policy${Path}${PolicyName}`;
}

function demand(call: Call, resource: string): void {
  const action = `iam:${call.operation}`;
  const decision = authorize(
    call.store,
    { principal: call.caller.arn, action, resource, resourceAccount: call.caller.account },
    call.now,
  );
  if (decision.allowed) return;
  throw new AwsError(
    403,
    'AccessDenied',
    `User: ${call.caller.arn} is not authorized to perform: ${action} on resource: ${resource} because ${decision.reason}`,
  );
}

export const accountOf = (call: Call): AccountState => call.store.account(call.caller.account);

export function roleOf(call: Call, name: string): RoleState {
  const role = accountOf(call).roles.get(name.toLowerCase());
  if (role && role.visibleFrom <= call.now) return role;
  throw noSuch(`The role with name ${name} cannot be found.`);
}

/** A role that may be changed: those of AWS's own services may not. */
export function ownRole(call: Call, name: string): RoleState {
  const role = roleOf(call, name);
  if (!role.path.startsWith(SERVICE_PATH)) return role;
  throw new AwsError(
    400,
    'UnmodifiableEntity',
    `Cannot perform the operation on the protected role '${role.name}' - this role is only modifiable by AWS`,
  );
}

export const SERVICE_PATH = '/aws-service-role/';

export function changed<T>(call: Call, answer: T): T {
  call.store.changed(accountOf(call));
  return answer;
}

export const noSuch = (message: string): AwsError => new AwsError(404, 'NoSuchEntity', message);

export const limitExceeded = (message: string): AwsError => new AwsError(409, 'LimitExceeded', message);

/** IAM's word for a value that its model does not allow. */
export const violation = (value: string, member: string, constraint: string): AwsError =>
  new AwsError(
    400,
    'ValidationError',
    `1 validation error detected: Value '${value}' at '${member}' failed to satisfy constraint: ${constraint}`,
  );

export function atMost(value: string | undefined, member: string, limit: number): void {
  if (value !== undefined && value.length > limit)
    throw violation(value, member, `Member must have length less than or equal to ${limit}`);
}

export function checkName(name: string, member: string, limit: number): void {
  atMost(name, member, limit);
  if (/^[\w+=,.@-]+$/.test(name)) return;
  throw new AwsError(
    400,
    'ValidationError',
    `The specified value for ${member} is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_-`,
  );
}
