import { type RequestContext, roleArnOf } from './context.ts';

/**
 * Returns whether SCPs limit a principal. They limit users, roles and the root user of member accounts, and neither
 * services nor service-linked roles. SCPs of the management account have no effect: its principals have no levels.
 *
 * https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_scps.html
 */
export const isLimitedByScps = (principal: string, context: RequestContext): boolean =>
  principal.startsWith('arn:') && !isServiceLinkedRole(principal, context);

/**
 * Returns whether RCPs limit an action on a resource. They limit every caller, also services and callers without
 * credentials, but not service-linked roles. RCPs of the management account have no effect: its resources have no levels.
 *
 * https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_rcps.html
 */
export const isLimitedByRcps = (action: string, principal: string, context: RequestContext): boolean =>
  RCP_SERVICES.has(action.split(':')[0]?.toLowerCase() ?? '') &&
  // https://docs.aws.amazon.com/kms/latest/developerguide/resource-control-policies.html
  action.toLowerCase() !== 'kms:retiregrant' &&
  !isServiceLinkedRole(principal, context);

/** Prefixes of the actions to which RCPs apply. */
const RCP_SERVICES: ReadonlySet<string> = new Set([
  's3',
  'sts',
  'kms',
  'sqs',
  'secretsmanager',
  'cognito-identity',
  'cognito-idp',
  'dynamodb',
  'ecr',
  'logs',
  'aoss',
]);

/** The ARN of a session omits the path of its role, and the key aws:PrincipalArn has it. */
const isServiceLinkedRole = (principal: string, context: RequestContext): boolean =>
  (context.get('aws:principalarn')?.[0] ?? roleArnOf(principal)).includes(':role/aws-service-role/');
