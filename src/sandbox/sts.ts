import { randomBytes } from 'node:crypto';
import { partitionOfArn } from '../util/arn.ts';
import { formatAccessDenied, toNamedPolicy } from './authorize.ts';
import { AwsError, constraintError } from './aws-error.ts';
import { authorizeCaller, type Handlers } from './call.ts';
import { findRole } from './stored-policies.ts';

/** Handlers of the STS API (Query protocol). */
export const stsHandlers: Handlers = {
  GetCallerIdentity: ({ caller }) => ({
    Account: caller.account,
    Arn: caller.arn,
    UserId: caller.account,
  }),

  AssumeRole(call, input) {
    const arn: string = input.RoleArn;
    const sessionName: string = input.RoleSessionName;
    if (!/^[\w+=,.@-]*$/.test(sessionName)) {
      throw constraintError(
        'ValidationError',
        sessionName,
        'roleSessionName',
        'Member must satisfy regular expression pattern: [\\w+=,.@-]*',
      );
    }
    if (!/^arn:[^:]+:iam::\d{12}:role\/.+$/.test(arn))
      throw new AwsError(400, 'ValidationError', `${arn} is invalid`);
    const tagKeys = ((input.Tags ?? []) as { Key: string }[]).map(({ Key }) => Key.toLowerCase());
    const transitiveKeys = ((input.TransitiveTagKeys ?? []) as string[]).map((key) => key.toLowerCase());
    if (transitiveKeys.some((key) => !tagKeys.includes(key))) {
      throw new AwsError(
        400,
        'InvalidParameterValue',
        'The specified transitive tag key must be included in the requested tags.',
      );
    }
    const inheritedKeys = call.session?.transitiveTags ?? [];
    if (tagKeys.some((key) => inheritedKeys.includes(key))) {
      throw new AwsError(
        400,
        'InvalidParameterValue',
        "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the calling session.",
      );
    }
    const role = findRole(call.store, arn, call.now);
    const account = arn.split(':')[4] ?? '';
    const isAllowed =
      role &&
      authorizeCaller(call, {
        action: 'sts:AssumeRole',
        resource: arn,
        resourceAccount: account,
        resourcePolicy: toNamedPolicy(call.store, `trust policy of ${role.name}`, role.trust),
      }).allowed;
    if (!role || !isAllowed) {
      throw new AwsError(403, 'AccessDenied', formatAccessDenied(call.caller.arn, 'sts:AssumeRole', arn));
    }
    const duration: number = input.DurationSeconds ?? 3600;
    const accessKeyId = `ASIA${randomBytes(8).toString('hex').toUpperCase()}`;
    const accountState = call.store.account(account);
    accountState.sessions.set(accessKeyId, {
      accessKeyId,
      roleName: role.name,
      sessionName: sessionName,
      expires: call.now + duration * 1000,
      transitiveTags: [...inheritedKeys, ...transitiveKeys],
    });
    call.store.markChanged(accountState);
    return {
      Credentials: {
        AccessKeyId: accessKeyId,
        SecretAccessKey: randomBytes(30).toString('base64'),
        SessionToken: randomBytes(48).toString('base64'),
        Expiration: new Date(call.now + duration * 1000),
      },
      AssumedRoleUser: {
        AssumedRoleId: `${role.id}:${sessionName}`,
        Arn: `arn:${partitionOfArn(arn)}:sts::${account}:assumed-role/${role.name}/${sessionName}`,
      },
    };
  },
};
