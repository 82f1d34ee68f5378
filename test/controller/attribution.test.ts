import {
  GetRolePolicyCommand,
  PutRolePolicyCommand,
  TagRoleCommand,
  UpdateAssumeRolePolicyCommand,
} from '@aws-sdk/client-iam';
import { DisableKeyRotationCommand, PutKeyPolicyCommand } from '@aws-sdk/client-kms';
import {
  DeleteBucketEncryptionCommand,
  DeleteBucketReplicationCommand,
  DeletePublicAccessBlockCommand,
  PutBucketOwnershipControlsCommand,
} from '@aws-sdk/client-s3';
import { describe, expect, test, vi } from 'vitest';
import type { ControllerOptions } from '../../src/controller/controller.ts';
import type { PairStatus } from '../../src/controller/status.ts';
import { TAX_SPEC, testEnv } from '../support/env.ts';
import { type FakeClock, fakeClock } from '../support/fake-clock.ts';
import { clientsOfJane, policyJson as document, JANE } from '../support/other-caller.ts';
import { RESYNC_INTERVAL_MS, testController } from '../support/test-controller.ts';

const cloudTrail = () => import('../../src/aws/cloudtrail.ts');
const MINUTE = 60_000;
const ACCOUNT = '111122223333';
const ROLE = 'replikey-acme-tax';

/** TAX_SPEC with every setting that another caller can change. */
const FULL_SPEC = TAX_SPEC.replace(
  'alias/acme-tax }',
  '{ alias: alias/acme-tax, rotation: true }, blockPublicAccess: true, objectOwnership: BucketOwnerEnforced }',
).replace('  rules:', '  role: { tags: { team: tax } }\n  rules:');

/** Creates a test environment and a controller that has converged it, on one clock. */
async function convergedController(yaml = TAX_SPEC, options: Partial<ControllerOptions> = {}) {
  const clock = fakeClock();
  const env = await testEnv(yaml, { clock: clock.now });
  const loop = testController(env, { clock, loadCloudTrail: cloudTrail, ...options });
  await loop.controller.update({
    files: [{ file: 'specs/tax.yaml', bytes: Buffer.from(yaml) }],
    problems: [],
  });
  await loop.idle();
  const pair = (): PairStatus => {
    const [status] = loop.controller.status().pairs;
    if (!status) throw new Error('no pair');
    return status;
  };
  expect(pair().conditions.Ready.status).toBe('True');
  await round({ clock, idle: loop.idle });
  const lookupCount = () => env.sandbox.log.counts()['cloudtrail:LookupEvents'] ?? 0;
  return {
    ...loop,
    env,
    clock,
    pair,
    lookupCount,
    driftedCondition: () => pair().conditions.Drifted,
    round: () => round({ clock, idle: loop.idle }),
    async [Symbol.asyncDispose]() {
      await loop.controller.drain();
      await env[Symbol.asyncDispose]();
    },
  };
}

async function round({ clock, idle }: { clock: FakeClock; idle: () => Promise<void> }): Promise<void> {
  await clock.advance(RESYNC_INTERVAL_MS * 1.2);
  await idle();
  // Runs the batched lookups of concurrent drift.
  await clock.advance(1_000);
}

const UNRELATED_POLICY = document({ Effect: 'Allow', Action: 's3:ListAllMyBuckets', Resource: '*' });
const FOREIGN_TRUST_POLICY = document({
  Effect: 'Allow',
  Principal: { Service: 'ec2.amazonaws.com' },
  Action: 'sts:AssumeRole',
});
const putRolePolicy = () =>
  new PutRolePolicyCommand({ RoleName: ROLE, PolicyName: 'replikey', PolicyDocument: UNRELATED_POLICY });

describe('drift attribution', () => {
  test('CloudTrail lists the event after the revert: the condition, the change and one log line name the caller', async () => {
    await using loop = await convergedController();
    const { iam } = await clientsOfJane(loop.env);
    const at = new Date(loop.clock.now()).toISOString().replace('.000Z', 'Z');
    await iam.send(putRolePolicy());
    await loop.round();
    await vi.waitFor(() => expect(loop.driftedCondition().message).toContain('last changed by'));
    expect(loop.driftedCondition()).toMatchObject({
      status: 'False',
      reason: 'Healed',
      message: expect.stringMatching(
        new RegExp(
          `^iam\\.role-policy/${ROLE}: changed outside replikey, and reverted at \\S+Z; last changed by ${JANE} with PutRolePolicy at ${at}$`,
        ),
      ),
    });
    expect(loop.pair().changes[0]?.steps).toMatchObject([
      { id: `iam.role-policy/${ROLE}`, lastChange: { by: JANE, event: 'PutRolePolicy', at } },
    ]);
    expect(loop.lines.filter(({ msg }) => msg.includes('last changed by')).map(({ msg }) => msg)).toEqual([
      `iam.role-policy/${ROLE}: last changed by ${JANE} with PutRolePolicy at ${at}`,
    ]);
    const { PolicyDocument = '' } = await iam.send(
      new GetRolePolicyCommand({ RoleName: ROLE, PolicyName: 'replikey' }),
    );
    expect(decodeURIComponent(PolicyDocument)).toContain('ReplikeySourceObjects');
    expect(loop.lookupCount()).toBe(1);
    for (let count = 0; count < 3; count++) await loop.round();
    expect(loop.lookupCount()).toBe(1);
    expect(loop.driftedCondition().message).toContain(JANE);
  });

  test('CloudTrail delivers the event late: repeats the lookup until it finds the event', async () => {
    await using loop = await convergedController();
    loop.env.sandbox.faultSettings.trailDelayMs = 20 * MINUTE;
    const { iam } = await clientsOfJane(loop.env);
    await iam.send(putRolePolicy());
    await loop.round();
    await vi.waitFor(() => expect(loop.lookupCount()).toBe(1));
    expect(loop.driftedCondition().message).toMatch(/ and reverted at \S+Z$/);
    await vi.waitFor(
      async () => {
        await loop.clock.advance(MINUTE);
        expect(loop.driftedCondition().message).toContain(JANE);
      },
      { timeout: 10_000 },
    );
    expect(loop.lookupCount()).toBeGreaterThan(1);
  });

  test('another replikey process made the change: names no caller', async () => {
    await using loop = await convergedController();
    await loop.env.client.send(
      { region: 'us-east-1' },
      new UpdateAssumeRolePolicyCommand({ RoleName: ROLE, PolicyDocument: FOREIGN_TRUST_POLICY }),
    );
    await loop.round();
    await vi.waitFor(() => expect(loop.lookupCount()).toBe(1));
    await loop.clock.advance(40 * MINUTE);
    expect(loop.driftedCondition().message).not.toContain('last changed');
  });

  test('lookups are denied: the pass succeeds, and one debug line reports the missing permission', async () => {
    await using loop = await convergedController();
    loop.env.sandbox.faultSettings.faults = [
      {
        match: 'LookupEvents',
        nth: 1,
        times: 1_000,
        what: { status: 400, code: 'AccessDeniedException', message: 'User: x is not authorized' },
      },
    ];
    loop.log.level = 'debug';
    const { iam } = await clientsOfJane(loop.env);
    for (let count = 0; count < 3; count++) {
      await iam.send(putRolePolicy());
      await loop.round();
      await vi.waitFor(() => expect(loop.lookupCount()).toBe(count + 1));
    }
    expect(loop.driftedCondition()).toMatchObject({
      reason: 'Healed',
      message: expect.stringMatching(/, and reverted at \S+Z$/),
    });
    expect(loop.pair()).toMatchObject({ failures: 0, retry: 'none' });
    const denials = loop.lines.filter(({ msg }) => msg.includes('not authorized'));
    expect(denials.map(({ level }) => level)).toEqual(['debug']);
  });

  test('without loadCloudTrail: reports the drift and looks up nothing', async () => {
    await using loop = await convergedController(TAX_SPEC, { loadCloudTrail: undefined as never });
    const { iam } = await clientsOfJane(loop.env);
    await iam.send(putRolePolicy());
    await loop.round();
    expect(loop.driftedCondition()).toMatchObject({
      reason: 'Healed',
      message: expect.stringMatching(/, and reverted at \S+Z$/),
    });
    expect(loop.lookupCount()).toBe(0);
  });

  test('a changed spec, or no drift: looks up nothing', async () => {
    await using loop = await convergedController();
    await loop.controller.update({
      files: [
        { file: 'specs/tax.yaml', bytes: Buffer.from(TAX_SPEC.replace('prefix: Tax/', 'prefix: Taxes/')) },
      ],
      problems: [],
    });
    await loop.idle();
    expect(loop.pair().changes[0]).toMatchObject({ cause: 'spec', result: 'applied' });
    await loop.round();
    expect(loop.lookupCount()).toBe(0);
  });

  test('drift is not reverted yet: later passes keep the attribution without another lookup', async () => {
    let isLeader = true;
    await using loop = await convergedController(TAX_SPEC, { isLeaderFor: () => isLeader });
    const { iam } = await clientsOfJane(loop.env);
    await iam.send(putRolePolicy());
    isLeader = false;
    await loop.round();
    await vi.waitFor(() =>
      expect(loop.driftedCondition()).toMatchObject({
        status: 'True',
        reason: 'ChangedElsewhere',
        message: expect.stringContaining(`last changed by ${JANE}`),
      }),
    );
    await loop.round();
    expect(loop.driftedCondition().message).toContain(`last changed by ${JANE}`);
    expect(loop.lookupCount()).toBe(1);
    isLeader = true;
    await loop.round();
    expect(loop.driftedCondition()).toMatchObject({
      status: 'False',
      reason: 'Healed',
      message: expect.stringMatching(/reverted at \S+Z; last changed by/),
    });
  });
});

type CallerClients = Awaited<ReturnType<typeof clientsOfJane>>;

test.each<[id: string, event: string, change: (clients: CallerClients, key: string) => Promise<unknown>]>([
  ['iam.role-policy', 'PutRolePolicy', ({ iam }) => iam.send(putRolePolicy())],
  [
    'iam.role',
    'UpdateAssumeRolePolicy',
    ({ iam }) =>
      iam.send(new UpdateAssumeRolePolicyCommand({ RoleName: ROLE, PolicyDocument: FOREIGN_TRUST_POLICY })),
  ],
  [
    'iam.role',
    'TagRole',
    ({ iam }) => iam.send(new TagRoleCommand({ RoleName: ROLE, Tags: [{ Key: 'team', Value: 'books' }] })),
  ],
  [
    's3.replication',
    'DeleteBucketReplication',
    ({ s3 }) => s3.send(new DeleteBucketReplicationCommand({ Bucket: 'acme-tax' })),
  ],
  [
    's3.encryption',
    'DeleteBucketEncryption',
    ({ s3 }) => s3.send(new DeleteBucketEncryptionCommand({ Bucket: 'acme-tax' })),
  ],
  [
    's3.public-access',
    'DeleteBucketPublicAccessBlock',
    ({ s3 }) => s3.send(new DeletePublicAccessBlockCommand({ Bucket: 'acme-tax' })),
  ],
  [
    's3.ownership',
    'PutBucketOwnershipControls',
    ({ s3 }) =>
      s3.send(
        new PutBucketOwnershipControlsCommand({
          Bucket: 'acme-tax',
          OwnershipControls: { Rules: [{ ObjectOwnership: 'ObjectWriter' }] },
        }),
      ),
  ],
  [
    'kms.key',
    'DisableKeyRotation',
    ({ kms }, KeyId) => kms.send(new DisableKeyRotationCommand({ KeyId: KeyId.replace(/^.*key\//, '') })),
  ],
  [
    'kms.key-policy',
    'PutKeyPolicy',
    ({ kms }, KeyId) =>
      kms.send(
        new PutKeyPolicyCommand({
          KeyId,
          Policy: JSON.stringify({
            Version: '2012-10-17',
            Statement: [
              {
                Effect: 'Allow',
                Principal: { AWS: `arn:aws:iam::${ACCOUNT}:root` },
                Action: 'kms:*',
                Resource: '*',
              },
            ],
          }),
        }),
      ),
  ],
])('drift attribution: names the caller that changed %s with %s', async (kind, event, change) => {
  await using loop = await convergedController(FULL_SPEC, {
    allow: ['change-default-encryption', 'change-ownership', 'open-public-access'],
  });
  const [alias] = [...loop.env.sandbox.store.account(ACCOUNT).keys.values()].filter(
    ({ region }) => region === 'us-east-1',
  );
  await change(await clientsOfJane(loop.env), alias?.arn ?? '');
  await loop.round();
  await vi.waitFor(() =>
    expect(loop.driftedCondition().message).toContain(`last changed by ${JANE} with ${event} at `),
  );
  expect(loop.pair().changes[0]?.steps.find(({ id }) => id.startsWith(`${kind}/`))?.lastChange).toMatchObject(
    {
      by: JANE,
      event,
    },
  );
  expect(loop.driftedCondition().reason).toBe('Healed');
});
