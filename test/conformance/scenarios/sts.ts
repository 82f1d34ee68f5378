import type { Aws } from '../aws.ts';
import { policy, role, roleArn, type Scenarios, unique } from '../support.ts';

export const sts: Scenarios = {
  'localstack/sts.assume_role/test_assume_role_tag_validation#invalid-transitive-tag-keys': async (aws) =>
    aws.sts.assumeRole({
      RoleArn: await assumable(aws),
      RoleSessionName: 'SessionInvalidTransitiveKeys',
      Tags: [{ Key: 'SessionTag1', Value: 'SessionValue1' }],
      TransitiveTagKeys: ['InvalidKey'],
    }),
  'localstack/sts.assume_role/test_iam_role_chaining_override_transitive_tags#override-transitive-tag-error':
    async (aws) => {
      const first = await role(aws, trusts(aws));
      await aws.iam.putRolePolicy({
        RoleName: first,
        PolicyName: 'assume',
        PolicyDocument: policy({
          Effect: 'Allow',
          Action: ['sts:AssumeRole', 'sts:TagSession'],
          Resource: '*',
        }),
      });
      // The root user of an account cannot assume a role.
      const user = aws.with({ accessKeyId: `AKIA${aws.account}`, secretAccessKey: 'secret' });
      const { Credentials } = await user.sts.assumeRole({
        RoleArn: roleArn(aws, first),
        RoleSessionName: 'Session1',
        Tags: [{ Key: 'SessionTag1', Value: 'SessionValue1' }],
        TransitiveTagKeys: ['SessionTag1'],
      });
      const session = aws.with({
        accessKeyId: Credentials?.AccessKeyId ?? '',
        secretAccessKey: Credentials?.SecretAccessKey ?? '',
        sessionToken: Credentials?.SessionToken ?? '',
      });
      return session.sts.assumeRole({
        RoleArn: await assumable(aws),
        RoleSessionName: 'Session2SessionTagOverride',
        Tags: [{ Key: 'SessionTag1', Value: 'SessionValue2' }],
      });
    },
  'localstack/sts.assume_role/test_sts_invalid_parameters#malformed-arn': (aws) =>
    assume(aws, 'nothing-valid-in-here'),
  'localstack/sts.assume_role/test_sts_invalid_parameters#no-service': (aws) =>
    assume(aws, 'arn:a::::something/test-role'),
  'localstack/sts.assume_role/test_sts_invalid_parameters#not-enough-colons': (aws) =>
    assume(aws, 'arn:a:::something/test-role'),
  'localstack/sts.assume_role/test_sts_invalid_parameters#no-resource': (aws) =>
    assume(aws, 'arn:a:a::aaaaaaaaaa:'),
  'localstack/sts.assume_role/test_sts_invalid_parameters#invalid-session-name': (aws) =>
    assume(aws, 'arn:a:b:::something/test-role', 'Session1:2'),
};

function assume(aws: Aws, RoleArn: string, RoleSessionName = 'Session1') {
  return aws.sts.assumeRole({ RoleArn, RoleSessionName });
}

async function assumable(aws: Aws): Promise<string> {
  return roleArn(aws, await role(aws, trusts(aws), unique('role')));
}

function trusts(aws: Aws): string {
  return policy({
    Effect: 'Allow',
    Principal: { AWS: `arn:aws:iam::${aws.account}:root` },
    Action: ['sts:AssumeRole', 'sts:TagSession'],
  });
}
