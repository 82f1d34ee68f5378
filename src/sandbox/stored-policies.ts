import { toList } from '../iam/context.ts';
import { PolicyError, parsePolicy } from '../iam/parse.ts';
import type { Policy, Principal } from '../iam/types.ts';
import type { AwsError } from './aws-error.ts';
import type { AccountState, RoleState, SupersededPolicy } from './state.ts';
import type { Store } from './store.ts';

/**
 * Parses the policy of a request.
 *
 * @throws AwsError of `toError` for a policy that the sandbox cannot use.
 */
export function parsePolicyInput(text: string, toError: (message: string) => AwsError): Policy {
  try {
    return parsePolicy(text);
  } catch (error) {
    if (error instanceof PolicyError) throw toError(`The policy cannot be used: ${error.message}`);
    throw error;
  }
}

/** Records that a policy stays in use for the time of its propagation, before a change of it. */
export function supersedePolicy<T>(
  state: { superseded?: SupersededPolicy<T>[] },
  policy: T,
  now: number,
  propagationMs: number,
): void {
  if (propagationMs === 0) return;
  const until = now + propagationMs;
  state.superseded = [
    ...(state.superseded ?? []).filter((earlier) => earlier.until > now),
    { policy, until },
  ];
}

/** Returns the policy that AWS uses: the oldest one that is still in use, or the stored one. */
export function policyInUse<T>(stored: T, superseded: SupersededPolicy<T>[] | undefined, now: number): T {
  const earlier = superseded?.find(({ until }) => until > now);
  return earlier ? earlier.policy : stored;
}

const IAM_ROLE_ARN = /^arn:[^:]+:iam::(\d{12}):role\/(?:.*\/)?([^/]+)$/;

/** Returns the role of an ARN; undefined if the role does not exist or is not visible yet. */
export function findRole(store: Store, arn: string, now: number): RoleState | undefined {
  const [, account, name] = IAM_ROLE_ARN.exec(arn) ?? [];
  if (account === undefined || name === undefined) return undefined;
  const role = store.account(account).roles.get(name.toLowerCase());
  return role && role.arn === arn && role.visibleFrom <= now ? role : undefined;
}

/** Returns the first principal of a policy that does not exist. AWS refuses to store a policy with such a principal. */
export function findUnknownPrincipal(store: Store, policy: Policy, now: number): string | undefined {
  for (const statement of toList(policy.Statement)) {
    for (const element of [statement.Principal, statement.NotPrincipal]) {
      const unknownPrincipal = awsPrincipalsOf(element).find(
        (principal) => !principalExists(store, principal, now),
      );
      if (unknownPrincipal !== undefined) return unknownPrincipal;
    }
  }
  return undefined;
}

/** Names of service principals: in all partitions most services have the domain of the partition `aws`. */
export const SERVICE_PRINCIPAL =
  /^[a-z0-9-]+(\.[a-z0-9-]+)*\.(amazonaws\.(com(\.cn)?|eu)|amazon\.com|aws\.internal)$/;

/** Returns whether AWS stores a policy or grant with this principal. */
export function principalExists(store: Store, principal: string, now: number): boolean {
  if (principal === '*' || /^\d{12}$/.test(principal) || /^arn:[^:]+:iam::\d{12}:root$/.test(principal))
    return true;
  if (IAM_ROLE_ARN.test(principal)) return findRole(store, principal, now) !== undefined;
  // AWS returns the id of a deleted role in a policy, and refuses this id in a new policy. A group is no principal.
  return /^arn:[^:]+:(?:iam::\d{12}:user|sts::\d{12}:(?:assumed-role|federated-user))\/./.test(principal);
}

/**
 * Returns a policy for storage, with role ids in place of role ARNs. When the role is deleted, the grant ends, even if
 * a role of the same name is created later. A reader of the policy then sees the bare id.
 */
export function replaceRoleArnsWithIds(store: Store, text: string, now: number): string {
  const policy = parseDocument(text);
  const storedPolicy = mapPrincipals(policy, (principal) => toStoredPrincipal(store, principal, now));
  // Without a changed principal the text stays the same, byte for byte.
  return storedPolicy === policy ? text : JSON.stringify(storedPolicy);
}

/** Returns a principal for storage: a role with its id. */
export function toStoredPrincipal(store: Store, principal: string, now: number): string {
  const role = findRole(store, principal, now);
  return role ? `${role.id}|${role.arn}` : principal;
}

/** Returns a stored policy for a reader, with ARNs in place of the ids of existing roles. */
export function replaceIdsWithRoleArns(store: Store, text: string): string {
  const policy = readablePolicyOf(store, text);
  return policy === parseDocument(text) ? text : JSON.stringify(policy);
}

/**
 * Returns a stored policy in the form of `replaceIdsWithRoleArns`, as an object. Callers share the object, and do not
 * modify it.
 */
export function readablePolicyOf(store: Store, text: string): Policy {
  const document = cachedDocumentOf(text);
  if (document.roles.length === 0) return document.policy;
  const principals = document.roles.map((principal) => toReadablePrincipal(store, principal)).join();
  if (document.readable?.principals !== principals) {
    const policy = mapPrincipals(document.policy, (principal) => toReadablePrincipal(store, principal));
    document.readable = { principals, policy };
  }
  return document.readable.policy;
}

/** Returns a stored principal for a reader: the ARN of an existing role, the id of a deleted one. */
export function toReadablePrincipal(store: Store, principal: string): string {
  const [id, arn] = principal.split('|');
  if (id === undefined || arn === undefined) return principal;
  const [, account = '', name = ''] = IAM_ROLE_ARN.exec(arn) ?? [];
  const role = store.account(account).roles.get(name.toLowerCase());
  return role?.id === id ? arn : id;
}

interface CachedDocument {
  policy: Policy;
  /** Principals of the policy in the stored form of a role (`AROA…|arn:…`). */
  roles: string[];
  /** The policy for a reader, and the principals for which it is right: they change when a role is deleted. */
  readable?: { principals: string; policy: Policy };
}

/** Total length of the cached documents, in characters. A policy has at most 32 KB. */
const MAX_CACHED_LENGTH = 4 * 1024 * 1024;

/** Parsed policies by text, least recently used first. Every authorization reads several policies. */
const documentsByText = new Map<string, CachedDocument>();
let cachedLength = 0;

/** Parses a stored policy. Callers share the object, and do not modify it. */
export const parseDocument = (text: string): Policy => cachedDocumentOf(text).policy;

function cachedDocumentOf(text: string): CachedDocument {
  const cachedDocument = documentsByText.get(text);
  if (cachedDocument) {
    documentsByText.delete(text);
    documentsByText.set(text, cachedDocument);
    return cachedDocument;
  }
  const policy = JSON.parse(text) as Policy;
  const roles = [...new Set(principalsOf(policy).filter((principal) => principal.includes('|')))];
  const document = { policy, roles };
  documentsByText.set(text, document);
  cachedLength += text.length;
  for (const oldest of documentsByText.keys()) {
    if (cachedLength <= MAX_CACHED_LENGTH) break;
    documentsByText.delete(oldest);
    cachedLength -= oldest.length;
  }
  return document;
}

const principalsOf = ({ Statement }: Policy): string[] =>
  toList(Statement).flatMap(({ Principal, NotPrincipal }) =>
    [Principal, NotPrincipal].flatMap((element) =>
      element === undefined || element === '*'
        ? []
        : Object.values(element).flatMap((values) => toList(values)),
    ),
  );

/** Returns the policy with changed principals, or the same object if none changes. */
function mapPrincipals(policy: Policy, transform: (principal: string) => string): Policy {
  if (principalsOf(policy).every((principal) => transform(principal) === principal)) return policy;
  const mapElement = (principal: Principal | undefined): Principal | undefined =>
    principal === undefined || principal === '*'
      ? principal
      : Object.fromEntries(
          Object.entries(principal).map(([type, values]) => [
            type,
            Array.isArray(values) ? values.map(transform) : transform(values),
          ]),
        );
  const statements = toList(policy.Statement).map((statement) => ({
    ...statement,
    ...(statement.Principal === undefined ? {} : { Principal: mapElement(statement.Principal) }),
    ...(statement.NotPrincipal === undefined ? {} : { NotPrincipal: mapElement(statement.NotPrincipal) }),
  }));
  return { ...policy, Statement: statements } as Policy;
}

function awsPrincipalsOf(element: Principal | undefined): string[] {
  if (element === undefined) return [];
  return element === '*' ? ['*'] : toList(element.AWS);
}

/** AWS managed policies whose document the sandbox knows. A role can have any other AWS managed policy attached. */
const AWS_MANAGED_POLICIES: Record<string, Policy> = {
  AdministratorAccess: {
    Version: '2012-10-17',
    Statement: { Effect: 'Allow', Action: '*', Resource: '*' },
  },
};

const AWS_MANAGED_POLICY_ARN = /^arn:[^:]+:iam::aws:policy\/(.+)$/;

export const isAwsManagedPolicy = (arn: string): boolean => AWS_MANAGED_POLICY_ARN.test(arn);

/** Returns the document of a managed policy; undefined if the sandbox does not know it. */
export function managedPolicyDocumentOf({ policies }: AccountState, arn: string): string | undefined {
  const awsPolicy = AWS_MANAGED_POLICIES[AWS_MANAGED_POLICY_ARN.exec(arn)?.[1] ?? ''];
  return awsPolicy ? JSON.stringify(awsPolicy) : policies.get(arn)?.document;
}
