import type { Aws } from '../aws.ts';
import { policy, role, type Scenarios, trust, unique } from '../support.ts';

const LAMBDA = trust('lambda.amazonaws.com');
const ENCODED = 'arn%3Aaws%3Aapigateway%3Aus-east-1%3A%3A%2Frestapis%2Faaeeieije';

export const iam: Scenarios = {
  'localstack/iam.create_role/test_update_assume_role_policy#created_role': (aws) =>
    create(aws, {
      document: policy({
        Action: ['sts:AssumeRole'],
        Effect: 'Allow',
        Principal: { Service: ['ec2.amazonaws.com'] },
      }),
    }),
  'localstack/iam.update_assume_role_policy/test_update_assume_role_policy#updated_policy': async (aws) =>
    aws.iam.updateAssumeRolePolicy({ RoleName: await role(aws), PolicyDocument: LAMBDA }),
  'localstack/iam.create_role/test_create_role_with_malformed_assume_role_policy_document#invalid-json': (
    aws,
  ) => create(aws, { document: '{' }),
  'localstack/iam.create_role/test_list_roles_with_permission_boundary#created_role': (aws) =>
    create(aws, { path: `/${unique('path')}/` }),
  'localstack/iam.create_role/test_role_with_path_lifecycle#create-role-response': (aws) =>
    create(aws, { document: LAMBDA, path: `/${unique('path')}/` }),
  'localstack/iam.create_role/test_put_role_policy_encoding#create-role-response': (aws) =>
    create(aws, {
      document: trust('lambda.amazonaws.com', {
        Condition: { StringEquals: { 'aws:SourceArn': ENCODED } },
      }),
      path: `/${unique('path')}/`,
    }),
  'localstack/iam.create_role/test_role_with_tags#create-role-response': (aws) => create(aws, TAGGED),

  'localstack/iam.get_role/test_create_describe_role#get_role_result': (aws) =>
    get(aws, { path: `/${unique('path')}/` }),
  'localstack/iam.get_role/test_role_with_path_lifecycle#get-role-response': (aws) =>
    get(aws, { document: LAMBDA, path: `/${unique('path')}/` }),
  'localstack/iam.get_role/test_role_with_tags#get-role-response': (aws) => get(aws, TAGGED),
  'moto/iam-role-optional-attrs': async (aws) => {
    const bare = await get(aws, {});
    const full = await get(aws, { ...TAGGED, boundary: await managedPolicy(aws) });
    const listed = await everyRole(aws);
    return {
      ...full,
      bare: optional(bare.Role),
      full: optional(full.Role),
      listed: [...new Set(listed.flatMap((each) => optional(each)))],
    };
  },

  'localstack/iam.get_role_policy/test_put_role_policy_encoding#get-policy-response': async (aws) => {
    const RoleName = await role(aws, LAMBDA);
    const PolicyName = unique('policy');
    const Resource = [`arn:aws:apigateway:us-east-1::/tags/${ENCODED}`];
    const PolicyDocument = policy({ Effect: 'Allow', Action: ['apigatway:PUT'], Resource });
    await aws.iam.putRolePolicy({ RoleName, PolicyName, PolicyDocument });
    return aws.iam.getRolePolicy({ RoleName, PolicyName });
  },
  'stackd/kms-grants-min': async (aws) =>
    aws.iam.putRolePolicy({
      RoleName: await role(aws, trust('s3.amazonaws.com')),
      PolicyName: 'replication',
      PolicyDocument: policy(
        {
          Effect: 'Allow',
          Action: 'kms:Decrypt',
          Resource: `arn:aws:kms:us-east-1:${aws.account}:key/source`,
          Condition: {
            StringEquals: { 'kms:ViaService': 's3.us-east-1.amazonaws.com' },
            StringLike: { 'kms:EncryptionContext:aws:s3:arn': 'arn:aws:s3:::source/*' },
          },
        },
        {
          Effect: 'Allow',
          Action: 'kms:Encrypt',
          Resource: `arn:aws:kms:us-west-2:${aws.account}:key/destination`,
          Condition: {
            StringEquals: { 'kms:ViaService': 's3.us-west-2.amazonaws.com' },
            StringLike: { 'kms:EncryptionContext:aws:s3:arn': 'arn:aws:s3:::destination/*' },
          },
        },
      ),
    }),

  'localstack/iam.attach_role_policy/test_role_attach_policy#non_existent_malformed_policy_arn': (aws) =>
    attach(aws, 'longpolicynamebutnoarn'),
  'localstack/iam.attach_role_policy/test_role_attach_policy#existing_policy_name_provided': async (aws) =>
    attach(aws, (await managedPolicy(aws)).split('/').at(-1) ?? ''),
  'localstack/iam.attach_role_policy/test_role_attach_policy#valid_arn_not_existent': async (aws) =>
    attach(aws, `${await managedPolicy(aws)}123`),
  'localstack/iam.attach_role_policy/test_role_attach_policy#valid_policy_arn': async (aws) =>
    attach(aws, await managedPolicy(aws)),

  'c7n/test_delete_role_error/iam.DeleteRole_1': async (aws) => {
    // AWS creates this role in every account by itself. The call then fails, because the role exists.
    await aws.iam.createServiceLinkedRole({ AWSServiceName: 'support.amazonaws.com' }).catch(() => {});
    return aws.iam.deleteRole({ RoleName: 'AWSServiceRoleForSupport' });
  },
  'c7n/test_aws_lambda_check_permission_deleted_role/iam.SimulatePrincipalPolicy_1': (aws) =>
    aws.iam.simulatePrincipalPolicy({
      PolicySourceArn: `arn:aws:iam::${aws.account}:role/${unique('absent')}`,
      ActionNames: ['s3:GetObject'],
    }),
};

interface RoleSettings {
  document?: string;
  path?: string;
  tags?: { Key: string; Value: string }[];
  boundary?: string;
}

const TAGGED: RoleSettings = { path: '/role-with-tags/', tags: [{ Key: 'test', Value: 'value' }] };

function create(aws: Aws, wish: RoleSettings, RoleName = unique('role')) {
  return aws.iam.createRole({
    RoleName,
    AssumeRolePolicyDocument: wish.document ?? trust(),
    ...(wish.path === undefined ? {} : { Path: wish.path }),
    ...(wish.tags === undefined ? {} : { Tags: wish.tags }),
    ...(wish.boundary === undefined ? {} : { PermissionsBoundary: wish.boundary }),
  });
}

async function get(aws: Aws, wish: RoleSettings) {
  const RoleName = unique('role');
  await create(aws, wish, RoleName);
  return aws.iam.getRole({ RoleName });
}

async function attach(aws: Aws, PolicyArn: string) {
  return aws.iam.attachRolePolicy({ RoleName: await role(aws), PolicyArn });
}

async function managedPolicy(aws: Aws): Promise<string> {
  const { Policy } = await aws.iam.createPolicy({
    PolicyName: unique('policy'),
    PolicyDocument: policy({ Effect: 'Allow', Action: 's3:GetObject', Resource: '*' }),
  });
  return Policy?.Arn ?? '';
}

async function everyRole(aws: Aws) {
  const roles = [];
  let Marker: string | undefined;
  do {
    const page = await aws.iam.listRoles(Marker === undefined ? {} : { Marker });
    roles.push(...(page.Roles ?? []));
    Marker = page.IsTruncated ? page.Marker : undefined;
  } while (Marker !== undefined);
  return roles;
}

function optional(each: object = {}): string[] {
  return ['PermissionsBoundary', 'RoleLastUsed', 'Tags'].filter(
    (name) => name in each && (each as Record<string, unknown>)[name] !== undefined,
  );
}
