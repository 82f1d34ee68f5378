import { describe, expect, test } from 'vitest';
import { errorsOf, type Json, proveRecorded, resourceIn } from './recorded.ts';

const SOURCE = 'module.source_bucket.aws_s3_bucket_replication_configuration.this[0]';
const CROSS = 'module.source.aws_s3_bucket_replication_configuration.this[0]';
const BUCKET_POLICY = 'module.destination.aws_s3_bucket_policy.this[0]';
const PAIR = (name: string) => `module.pair["${name}"].aws_s3_bucket_replication_configuration.this`;

/** By recording: the verdict of each rule with its address, and the errors with the addresses of their documents. */
const EXPECTED: Record<string, { rules: [address: string, verdict: string][]; errors: string[] }> = {
  'same-account-correct': { rules: [[SOURCE, 'proven']], errors: [] },
  'same-account-state': { rules: [[SOURCE, 'proven']], errors: [] },
  'same-account-alias': { rules: [[SOURCE, 'proven']], errors: [] },
  'same-account-no-kms-statement': {
    rules: [[SOURCE, 'broken']],
    errors: ['RK1307', 'RK1313', 'RK1312'].map((code) => `${code} at aws_iam_policy.replication`),
  },
  'same-account-one-sided-context': {
    rules: [[SOURCE, 'broken']],
    errors: ['RK1313', 'RK1312'].map((code) => `${code} at aws_iam_policy.replication`),
  },
  // Terraform knows the actions of the policy before apply, because a data source renders it.
  'same-account-new-no-kms-statement': {
    rules: [[SOURCE, 'broken']],
    errors: ['RK1307', 'RK1313', 'RK1312'].map((code) => `${code} at aws_iam_policy.replication`),
  },
  'same-account-new': { rules: [[SOURCE, 'unknown']], errors: [] },
  'cross-account-correct': { rules: [[CROSS, 'proven']], errors: [] },
  'cross-account-new': { rules: [[CROSS, 'unknown']], errors: [] },
  'cross-account-no-bucket-policy': {
    rules: [[CROSS, 'broken']],
    errors: ['RK1308', 'RK1311', 'RK1310'].map((code) => `${code} at ${BUCKET_POLICY}`),
  },
  'cross-account-no-owner-override': { rules: [[CROSS, 'broken']], errors: [`RK1311 at ${BUCKET_POLICY}`] },
  'cross-account-state': { rules: [[CROSS, 'broken']], errors: [`RK1311 at ${BUCKET_POLICY}`] },
  'for-each-no-kms-statement': {
    rules: [
      [PAIR('ledgers'), 'broken'],
      [PAIR('ledgers'), 'broken'],
      [PAIR('tax'), 'proven'],
      [PAIR('tax'), 'proven'],
    ],
    errors: ['RK1307', 'RK1312'].map((code) => `${code} at module.pair["ledgers"].aws_iam_role_policy.this`),
  },
  'for-each-new-pair': {
    rules: [
      [PAIR('invoices'), 'broken'],
      [PAIR('invoices'), 'broken'],
      [PAIR('ledgers'), 'proven'],
      [PAIR('ledgers'), 'proven'],
      [PAIR('tax'), 'proven'],
      [PAIR('tax'), 'proven'],
    ],
    errors: ['RK1307', 'RK1312'].map((code) => `${code} at module.pair["invoices"].aws_iam_role_policy.this`),
  },
  'for-each-new': {
    rules: ['ledgers', 'ledgers', 'tax', 'tax'].map((name) => [PAIR(name), 'unknown']),
    errors: [],
  },
  'for-each-foreign-keys': {
    rules: ['ledgers', 'ledgers', 'tax', 'tax'].map((name) => [PAIR(name), 'unknown']),
    errors: [],
  },
  'legacy-blocks-correct': { rules: [['aws_s3_bucket.source', 'proven']], errors: [] },
  'legacy-blocks-state': { rules: [['aws_s3_bucket.source', 'proven']], errors: [] },
  'legacy-blocks-no-encrypt': {
    rules: [['aws_s3_bucket.source', 'broken']],
    errors: ['RK1312 at aws_iam_role.replication'],
  },
};

test.each(Object.entries(EXPECTED))(
  'recorded %s: gives each rule its verdict and address',
  async (name, expected) => {
    const proof = await proveRecorded(name);
    expect(proof.rules.map(({ address, verdict }) => [address, verdict])).toEqual(expected.rules);
    expect(errorsOf(proof)).toEqual(expected.errors);
  },
);

describe('values that are not known', () => {
  test('a policy that is known after apply: leaves the requests undecided, and names it', async () => {
    const { rules, unknownValues } = await proveRecorded('cross-account-new');
    expect(unknownValues).toEqual([
      'aws_iam_role_policy.replication.policy is known after apply',
      `${BUCKET_POLICY}.policy is known after apply`,
    ]);
    expect(rules[0]?.answers.filter(({ result }) => result === 'denied')).toEqual([]);
    // The trust policy is known.
    expect(rules[0]?.answers[0]).toMatchObject({ action: 'sts:AssumeRole', result: 'allowed' });
  });

  test('keys of another stack: are named', async () => {
    const { unknownValues } = await proveRecorded('for-each-foreign-keys');
    expect(unknownValues).toEqual([
      'the key arn:aws:kms:us-east-1:111122223333:key/11111111-2222-4333-8444-555555555555 is not in the file',
      'the key arn:aws:kms:us-west-2:111122223333:key/66666666-7777-4888-9999-aaaaaaaaaaaa is not in the file',
    ]);
  });

  test('a new key: has the address in place of its id', async () => {
    const { rules } = await proveRecorded('same-account-new');
    expect(rules[0]?.basis?.keys).toEqual(
      expect.arrayContaining([
        'arn:aws:kms:us-west-2:{account of provider aws}:key/{aws_kms_key.replica}',
        'arn:aws:kms:us-east-1:{account of provider aws}:key/{aws_kms_key.source}',
      ]),
    );
  });

  test('a sensitive policy: is undecided, and none of its text is in the proof', async () => {
    const proof = await proveRecorded('cross-account-correct', (json) => {
      const { change, sensitive } = resourceIn(json, 'aws_iam_role_policy.replication');
      change.after_sensitive = { policy: true };
      sensitive.policy = true;
      const role = resourceIn(json, 'aws_iam_role.replication');
      role.values.inline_policy = [];
    });
    expect(proof.rules.map(({ verdict }) => verdict)).toEqual(['unknown']);
    expect(proof.unknownValues).toEqual([
      'aws_iam_role_policy.replication.policy is sensitive, and replikey does not read it',
    ]);
    expect(JSON.stringify(proof)).not.toContain('GetObjectVersionForReplication"]');
  });

  test('a role policy whose role is a local value: may belong to the role, which denies nothing', async () => {
    const proof = await proveRecorded('cross-account-correct', (json) => {
      const { values, change } = resourceIn(json, 'aws_iam_role_policy.replication');
      delete values.role;
      change.after_unknown = { role: true };
      resourceIn(json, 'aws_iam_role.replication').values.inline_policy = [];
      const [config] = json.configuration.root_module.resources.filter(
        (resource: Json) => resource.address === 'aws_iam_role_policy.replication',
      );
      config.expressions.role = { references: ['local.role_name'] };
    });
    expect(proof.rules.map(({ verdict }) => verdict)).toEqual(['unknown']);
    expect(proof.unknownValues).toEqual(['aws_iam_role_policy.replication.role is known after apply']);
  });

  test('a key policy whose key is a local value: leaves the policy of the key undecided', async () => {
    const proof = await proveRecorded('cross-account-correct', (json) => {
      const { values, change } = resourceIn(json, 'aws_kms_key_policy.replica');
      delete values.key_id;
      change.after_unknown = { key_id: true };
      const [config] = json.configuration.root_module.resources.filter(
        (resource: Json) => resource.address === 'aws_kms_key_policy.replica',
      );
      config.expressions.key_id = { references: ['local.key_id'] };
    });
    expect(proof.rules.map(({ verdict }) => verdict)).toEqual(['unknown']);
    expect(proof.unknownValues).toContain('aws_kms_key_policy.replica.key_id is known after apply');
  });

  test('a rule whose status is known after apply: is proven as an enabled one, and undecided', async () => {
    const { rules } = await proveRecorded('same-account-correct', (json) => {
      const { values, change } = resourceIn(json, SOURCE);
      delete values.rule[0].status;
      change.after_unknown = { rule: [{ status: true }] };
    });
    expect(rules).toMatchObject([{ verdict: 'unknown' }]);
    expect(rules[0]?.answers.length).toBeGreaterThan(10);
  });
});

describe('accounts and Regions', () => {
  test('providers without a known account: a request is decided if every account gives the same decision', async () => {
    const proof = await proveRecorded('same-account-correct', (json) => {
      // Two profiles may belong to one account, or to two.
      for (const [key, profile] of [
        ['aws', 'source'],
        ['aws.replica', 'replica'],
      ] as const)
        json.configuration.provider_config[key].expressions = {
          profile: { constant_value: profile },
          region: { constant_value: key === 'aws' ? 'us-east-1' : 'us-west-2' },
        };
      const replica = resourceIn(json, 'module.replica_bucket.aws_s3_bucket.this[0]');
      replica.values.grant = [];
      for (const address of ['aws_kms_key.replica', 'aws_kms_alias.replica']) {
        const key = resourceIn(json, address);
        for (const attribute of ['arn', 'target_key_arn', 'target_key_id']) delete key.values[attribute];
        key.change.after_unknown = { arn: true, target_key_arn: true, target_key_id: true };
      }
    });
    expect(proof.rules.map(({ verdict }) => verdict)).toEqual(['unknown']);
    expect(proof.unknownValues).toContain('the account of provider aws.replica');
  });

  test('provider release 6: the Region of a resource takes precedence over that of its provider', async () => {
    const proof = await proveRecorded('same-account-correct', (json) => {
      for (const change of json.resource_changes) {
        if (change.mode === 'data' || change.type.startsWith('aws_iam_')) continue;
        const region = /replica/.test(change.address) ? 'us-west-2' : 'us-east-1';
        resourceIn(json, change.address).values.region = region;
      }
      for (const provider of Object.values<Json>(json.configuration.provider_config))
        provider.expressions.region = { constant_value: 'eu-central-1' };
    });
    expect(proof.rules.map(({ verdict }) => verdict)).toEqual(['proven']);
  });

  test('a state without the account of the destination: two buckets of one owner are in one account', async () => {
    const { rules } = await proveRecorded('same-account-state');
    const writes = rules[0]?.answers.filter(({ action }) => action === 's3:ReplicateObject') ?? [];
    expect(new Set(writes.map(({ result }) => result))).toEqual(new Set(['allowed']));
  });
});

describe('changes of the plan', () => {
  test('a role policy that the plan deletes: no longer allows, although the role still lists it', async () => {
    const proof = await proveRecorded('cross-account-correct', (json) => {
      const address = 'aws_iam_role_policy.replication';
      const { change, values } = resourceIn(json, address);
      Object.assign(change, { actions: ['delete'], before: values, after: null });
      json.planned_values.root_module.resources = json.planned_values.root_module.resources.filter(
        (resource: { address: string }) => resource.address !== address,
      );
    });
    expect(proof.rules.map(({ verdict }) => verdict)).toEqual(['broken']);
    expect(errorsOf(proof)).toContain('RK1304 at aws_iam_role.replication');
  });

  test('versioning that the plan deletes: the provider suspends it', async () => {
    const proof = await proveRecorded('same-account-correct', (json) => {
      const address = 'module.replica_bucket.aws_s3_bucket_versioning.this[0]';
      const { change, values } = resourceIn(json, address);
      Object.assign(change, { actions: ['delete'], before: values, after: null });
      for (const module of json.planned_values.root_module.child_modules)
        module.resources = module.resources.filter(
          (resource: { address: string }) => resource.address !== address,
        );
    });
    expect(errorsOf(proof)).toEqual(['RK1104 at module.replica_bucket.aws_s3_bucket_versioning.this[0]']);
  });

  test('a resource that leaves the state but not AWS: still counts', async () => {
    const proof = await proveRecorded('cross-account-correct', (json) => {
      const address = 'aws_kms_key_policy.replica';
      resourceIn(json, address).change.actions = ['forget'];
      resourceIn(json, 'aws_kms_key.replica').values.policy = '{"Version":"2012-10-17","Statement":[]}';
      json.planned_values.root_module.resources = json.planned_values.root_module.resources.filter(
        (resource: { address: string }) => resource.address !== address,
      );
    });
    expect(proof.rules.map(({ verdict }) => verdict)).toEqual(['proven']);
  });

  test('a bucket that only other resources configure: what they do not contain is undecided', async () => {
    const proof = await proveRecorded('same-account-correct', (json) => {
      for (const module of json.planned_values.root_module.child_modules)
        module.resources = module.resources.filter(
          (resource: { type: string }) => resource.type !== 'aws_s3_bucket',
        );
    });
    expect(proof.rules.map(({ verdict }) => verdict)).toEqual(['unknown']);
    expect(proof.unknownValues.join('\n')).toContain('module.replica_bucket');
  });
});
