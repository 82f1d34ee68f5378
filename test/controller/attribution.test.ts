import {
  CreateRoleCommand,
  GetRolePolicyCommand,
  IAMClient,
  PutRolePolicyCommand,
  TagRoleCommand,
  UpdateAssumeRolePolicyCommand,
} from '@aws-sdk/client-iam';
import { DisableKeyRotationCommand, KMSClient, PutKeyPolicyCommand } from '@aws-sdk/client-kms';
import {
  DeleteBucketEncryptionCommand,
  DeleteBucketReplicationCommand,
  DeletePublicAccessBlockCommand,
  PutBucketOwnershipControlsCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { AssumeRoleCommand, STSClient } from '@aws-sdk/client-sts';
import { describe, expect, test, vi } from 'vitest';
import type { ControllerOptions } from '../../src/controller/controller.ts';
import type { PairStatus } from '../../src/controller/status.ts';
import { TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';
import { type FakeClock, fakeClock } from '../support/fake-clock.ts';
import { RESYNC_INTERVAL_MS, testController } from '../support/test-controller.ts';

const cloudTrail = () => import('../../src/aws/cloudtrail.ts');
const MINUTE = 60_000;
const ACCOUNT = '111122223333';
const ROLE = 'replikey-acme-tax';
const JANE = `arn:aws:sts::${ACCOUNT}:assumed-role/admin/jane`;

/** Everything that somebody else could change. */
const FULL = TAX_SPEC.replace(
  'alias/acme-tax }',
  '{ alias: alias/acme-tax, rotation: true }, blockPublicAccess: true, objectOwnership: BucketOwnerEnforced }',
).replace('  rules:', '  role: { tags: { team: tax } }\n  rules:');

const document = (Statement: object) => JSON.stringify({ Version: '2012-10-17', Statement });

/** A world and a controller that has converged it, on one clock. */
async function aLife(yaml = TAX_SPEC, more: Partial<ControllerOptions> = {}) {
  const clock = fakeClock();
  const env = await testEnv(yaml, { clock: clock.now });
  const loop = testController(env, { clock, loadCloudTrail: cloudTrail, ...more });
  loop.controller.update({
    files: [{ file: 'specs/tax.yaml', bytes: Buffer.from(yaml) }],
    problems: [],
  });
  await loop.idle();
  const pair = (): PairStatus => {
    const [one] = loop.controller.status().pairs;
    if (!one) throw new Error('no pair');
    return one;
  };
  expect(pair().conditions.Ready.status).toBe('True');
  await round({ clock, idle: loop.idle });
  const asked = () => env.sandbox.log.counts()['cloudtrail:LookupEvents'] ?? 0;
  return {
    ...loop,
    world: env,
    clock,
    pair,
    asked,
    drifted: () => pair().conditions.Drifted,
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
  // What drifts together is asked about together.
  await clock.advance(1_000);
}

/** Somebody else, with a role and clients of their own. */
async function jane({ sandbox }: TestEnv) {
  const config = (accessKeyId: string, more: { sessionToken?: string; secretAccessKey?: string } = {}) => ({
    endpoint: sandbox.endpoint,
    region: 'us-east-1',
    credentials: { accessKeyId, secretAccessKey: 'any', ...more },
  });
  const iam = new IAMClient(config(ACCOUNT));
  const sts = new STSClient(config(ACCOUNT));
  const trust = { Effect: 'Allow', Principal: { AWS: ACCOUNT }, Action: 'sts:AssumeRole' };
  const all = { Effect: 'Allow', Action: '*', Resource: '*' };
  const { Role } = await iam.send(
    new CreateRoleCommand({ RoleName: 'admin', AssumeRolePolicyDocument: document(trust) }),
  );
  await iam.send(
    new PutRolePolicyCommand({ RoleName: 'admin', PolicyName: 'all', PolicyDocument: document(all) }),
  );
  const { Credentials } = await sts.send(
    new AssumeRoleCommand({ RoleArn: Role?.Arn, RoleSessionName: 'jane' }),
  );
  const own = config(Credentials?.AccessKeyId ?? '', {
    secretAccessKey: Credentials?.SecretAccessKey ?? '',
    sessionToken: Credentials?.SessionToken ?? '',
  });
  return {
    iam: new IAMClient(own),
    kms: new KMSClient(own),
    s3: new S3Client({ ...own, forcePathStyle: true }),
  };
}

const NOTHING_OF_OURS = document({ Effect: 'Allow', Action: 's3:ListAllMyBuckets', Resource: '*' });
const TRUST_OF_OTHERS = document({
  Effect: 'Allow',
  Principal: { Service: 'ec2.amazonaws.com' },
  Action: 'sts:AssumeRole',
});
const putRolePolicy = () =>
  new PutRolePolicyCommand({ RoleName: ROLE, PolicyName: 'replikey', PolicyDocument: NOTHING_OF_OURS });

describe('who changed what drifted', () => {
  test('is said once CloudTrail tells it, after it was put back', async () => {
    await using life = await aLife();
    const { iam } = await jane(life.world);
    const at = new Date(life.clock.now()).toISOString().replace('.000Z', 'Z');
    await iam.send(putRolePolicy());
    await life.round();
    await vi.waitFor(() => expect(life.drifted().message).toContain('last changed by'));
    expect(life.drifted()).toMatchObject({
      status: 'False',
      reason: 'Healed',
      message: expect.stringMatching(
        new RegExp(
          `^iam\\.role-policy/${ROLE}: changed by somebody else, and put back at \\S+Z; last changed by ${JANE} with PutRolePolicy at ${at}$`,
        ),
      ),
    });
    expect(life.pair().changes[0]?.steps).toMatchObject([
      { id: `iam.role-policy/${ROLE}`, lastChange: { by: JANE, event: 'PutRolePolicy', at } },
    ]);
    expect(life.lines.filter(({ msg }) => msg.includes('last changed by')).map(({ msg }) => msg)).toEqual([
      `iam.role-policy/${ROLE}: last changed by ${JANE} with PutRolePolicy at ${at}`,
    ]);
    const { PolicyDocument = '' } = await iam.send(
      new GetRolePolicyCommand({ RoleName: ROLE, PolicyName: 'replikey' }),
    );
    expect(decodeURIComponent(PolicyDocument)).toContain('ReplikeySourceObjects');
    expect(life.asked()).toBe(1);
    for (let count = 0; count < 3; count++) await life.round();
    expect(life.asked()).toBe(1);
    expect(life.drifted().message).toContain(JANE);
  });

  test('is asked again while CloudTrail is late', async () => {
    await using life = await aLife();
    life.world.sandbox.faultSettings.trailDelayMs = 20 * MINUTE;
    const { iam } = await jane(life.world);
    await iam.send(putRolePolicy());
    await life.round();
    await vi.waitFor(() => expect(life.asked()).toBe(1));
    expect(life.drifted().message).toMatch(/ and put back at \S+Z$/);
    await vi.waitFor(
      async () => {
        await life.clock.advance(MINUTE);
        expect(life.drifted().message).toContain(JANE);
      },
      { timeout: 10_000 },
    );
    expect(life.asked()).toBeGreaterThan(1);
  });

  test('is nobody where it was replikey itself, as another process of it', async () => {
    await using life = await aLife();
    await life.world.door.send(
      { region: 'us-east-1' },
      new UpdateAssumeRolePolicyCommand({ RoleName: ROLE, PolicyDocument: TRUST_OF_OTHERS }),
    );
    await life.round();
    await vi.waitFor(() => expect(life.asked()).toBe(1));
    await life.clock.advance(40 * MINUTE);
    expect(life.drifted().message).not.toContain('last changed');
  });

  test('is not known to who may not ask, which is no failure and is said once, for whoever debugs', async () => {
    await using life = await aLife();
    life.world.sandbox.faultSettings.faults = [
      {
        match: 'LookupEvents',
        nth: 1,
        times: 1_000,
        what: { status: 400, code: 'AccessDeniedException', message: 'User: x is not authorized' },
      },
    ];
    life.log.level = 'debug';
    const { iam } = await jane(life.world);
    for (let count = 0; count < 3; count++) {
      await iam.send(putRolePolicy());
      await life.round();
      await vi.waitFor(() => expect(life.asked()).toBe(count + 1));
    }
    expect(life.drifted()).toMatchObject({
      reason: 'Healed',
      message: expect.stringMatching(/, and put back at \S+Z$/),
    });
    expect(life.pair()).toMatchObject({ failures: 0, retry: 'none' });
    const said = life.lines.filter(({ msg }) => msg.includes('not authorized'));
    expect(said.map(({ level }) => level)).toEqual(['debug']);
  });

  test('is not asked where nobody says how: the rest is the same', async () => {
    await using life = await aLife(TAX_SPEC, { loadCloudTrail: undefined as never });
    const { iam } = await jane(life.world);
    await iam.send(putRolePolicy());
    await life.round();
    expect(life.drifted()).toMatchObject({
      reason: 'Healed',
      message: expect.stringMatching(/, and put back at \S+Z$/),
    });
    expect(life.asked()).toBe(0);
  });

  test('is not asked of a change of the spec, nor where nothing drifts', async () => {
    await using life = await aLife();
    life.controller.update({
      files: [
        { file: 'specs/tax.yaml', bytes: Buffer.from(TAX_SPEC.replace('prefix: Tax/', 'prefix: Taxes/')) },
      ],
      problems: [],
    });
    await life.idle();
    expect(life.pair().changes[0]).toMatchObject({ cause: 'spec', result: 'applied' });
    await life.round();
    expect(life.asked()).toBe(0);
  });

  test('stays known while it is not put back', async () => {
    let leads = true;
    await using life = await aLife(TAX_SPEC, { isLeaderFor: () => leads });
    const { iam } = await jane(life.world);
    await iam.send(putRolePolicy());
    leads = false;
    await life.round();
    await vi.waitFor(() =>
      expect(life.drifted()).toMatchObject({
        status: 'True',
        reason: 'ChangedElsewhere',
        message: expect.stringContaining(`last changed by ${JANE}`),
      }),
    );
    await life.round();
    expect(life.drifted().message).toContain(`last changed by ${JANE}`);
    expect(life.asked()).toBe(1);
    leads = true;
    await life.round();
    expect(life.drifted()).toMatchObject({
      status: 'False',
      reason: 'Healed',
      message: expect.stringMatching(/put back at \S+Z; last changed by/),
    });
  });
});

type Somebody = Awaited<ReturnType<typeof jane>>;

test.each<[id: string, event: string, change: (by: Somebody, key: string) => Promise<unknown>]>([
  ['iam.role-policy', 'PutRolePolicy', ({ iam }) => iam.send(putRolePolicy())],
  [
    'iam.role',
    'UpdateAssumeRolePolicy',
    ({ iam }) =>
      iam.send(new UpdateAssumeRolePolicyCommand({ RoleName: ROLE, PolicyDocument: TRUST_OF_OTHERS })),
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
])('whoever changes %s with %s is named', async (kind, event, change) => {
  await using life = await aLife(FULL, {
    allow: ['change-ownership', 'open-public-access'],
  });
  const [alias] = [...life.world.sandbox.store.account(ACCOUNT).keys.values()].filter(
    ({ region }) => region === 'us-east-1',
  );
  await change(await jane(life.world), alias?.arn ?? '');
  await life.round();
  await vi.waitFor(() =>
    expect(life.drifted().message).toContain(`last changed by ${JANE} with ${event} at `),
  );
  expect(life.pair().changes[0]?.steps.find(({ id }) => id.startsWith(`${kind}/`))?.lastChange).toMatchObject(
    {
      by: JANE,
      event,
    },
  );
  expect(life.drifted().reason).toBe('Healed');
});
