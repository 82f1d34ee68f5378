import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { changeEventNames } from '../../src/kinds/cloudtrail-events.ts';
import { kinds } from '../../src/kinds/index.ts';
import { changeEventPattern, renderChangeEventTemplate } from '../../src/report/change-event-template.ts';
import { pythonEnvironment } from '../support/python.ts';

const names = changeEventNames(kinds.values());
const template = renderChangeEventTemplate(names);
const cfnLint = pythonEnvironment('cfn-lint');

/** Runs cfn-lint on a template. Returns its findings; empty: none. */
async function lint(text: string): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'replikey-template-'));
  try {
    await writeFile(path.join(folder, 'changes.yaml'), text);
    const args = ['--regions', 'us-east-1', 'eu-central-1', '--', path.join(folder, 'changes.yaml')];
    const { stdout } = await promisify(execFile)(cfnLint.program('cfn-lint'), args).catch(
      (error: { stdout: string }) => error,
    );
    return stdout.trim();
  } finally {
    await rm(folder, { recursive: true });
  }
}

describe('change event template', () => {
  test('the event pattern: the events of all documents that a pair uses, by service', () => {
    expect(Object.fromEntries(names)).toEqual({
      'iam.amazonaws.com': [
        'AttachRolePolicy',
        'CreatePolicyVersion',
        'CreateRole',
        'DeleteRole',
        'DeleteRolePermissionsBoundary',
        'DeleteRolePolicy',
        'DetachRolePolicy',
        'PutRolePermissionsBoundary',
        'PutRolePolicy',
        'SetDefaultPolicyVersion',
        'TagRole',
        'UntagRole',
        'UpdateAssumeRolePolicy',
      ],
      'kms.amazonaws.com': [
        'CancelKeyDeletion',
        'CreateAlias',
        'CreateGrant',
        'DeleteAlias',
        'DeleteImportedKeyMaterial',
        'DisableKey',
        'DisableKeyRotation',
        'EnableKey',
        'EnableKeyRotation',
        'ImportKeyMaterial',
        'PutKeyPolicy',
        'RetireGrant',
        'RevokeGrant',
        'ScheduleKeyDeletion',
        'UpdateAlias',
        'UpdateKeyDescription',
      ],
      'monitoring.amazonaws.com': [
        'DeleteAlarms',
        'DisableAlarmActions',
        'EnableAlarmActions',
        'PutMetricAlarm',
      ],
      's3.amazonaws.com': [
        'CreateBucket',
        'CreateJob',
        'DeleteBucket',
        'DeleteBucketEncryption',
        'DeleteBucketOwnershipControls',
        'DeleteBucketPolicy',
        'DeleteBucketPublicAccessBlock',
        'DeleteBucketReplication',
        'PutBucketEncryption',
        'PutBucketNotification',
        'PutBucketObjectLockConfiguration',
        'PutBucketOwnershipControls',
        'PutBucketPolicy',
        'PutBucketPublicAccessBlock',
        'PutBucketReplication',
        'PutBucketVersioning',
        'UpdateJobStatus',
      ],
      'sns.amazonaws.com': ['AddPermission', 'DeleteTopic', 'RemovePermission', 'SetTopicAttributes'],
      'sqs.amazonaws.com': ['AddPermission', 'DeleteQueue', 'RemovePermission', 'SetQueueAttributes'],
    });
  });

  test('the event pattern: fits into the quota of EventBridge', () => {
    // Amazon EventBridge User Guide, "EventBridge quotas": event pattern size.
    expect(JSON.stringify(changeEventPattern(names)).length).toBeLessThanOrEqual(2_048);
  });

  test.each(['us-east-1', 'us-gov-west-1', 'eusc-de-east-1', 'us-isob-east-1'])(
    'the template: accepts the Region %s',
    (region) => {
      const [, pattern = ''] = /CentralRegion:\n.*\n\s*AllowedPattern: (.*)/.exec(template) ?? [];
      expect(region).toMatch(new RegExp(pattern));
    },
  );

  test('the template: is the golden file', async () => {
    await expect(template).toMatchFileSnapshot('golden/change-events.yaml');
  });

  test.skipIf(cfnLint.missing)(
    'the template: cfn-lint finds nothing in it, and an error in a broken copy',
    async () => {
      const results = await Promise.all([
        lint(template),
        lint(template.replace('EventPattern:', 'Pattern:')),
      ]);
      expect(results[0]).toBe('');
      expect(results[1]).toContain("'Pattern' was unexpected");
    },
    60_000,
  );
});
