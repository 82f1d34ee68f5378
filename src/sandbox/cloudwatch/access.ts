import { authorizeCaller, type Call } from '../call.ts';
import { cloudWatchError } from './errors.ts';

/** @throws AwsError unless the identity policies of the caller allow the operation. */
export function requireCloudWatchAccess(
  call: Call,
  resource = '*',
  context: Record<string, string | string[]> = {},
  operation = call.operation,
): void {
  const action = `cloudwatch:${operation}`;
  const decision = authorizeCaller(call, { action, resource, context });
  if (decision.allowed) return;
  const on = resource === '*' ? '' : ` on resource: ${resource}`;
  throw cloudWatchError(
    'AccessDenied',
    `User: ${call.caller.arn} is not authorized to perform: ${action}${on} because ${decision.reason}`,
    { shape: 'com.amazon.coral.service#AccessDeniedException', status: 403 },
  );
}
