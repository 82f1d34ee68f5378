import { expect, test } from 'vitest';
import { defaultBatchRoleName, defaultRoleName } from '../../src/spec/patterns.ts';
import { jobPrefixesOf } from '../../src/spec/resolve.ts';
import type { RuleDeclaration } from '../../src/spec/rule-fields.ts';
import { MAIN, pairOf, pairsOf, TAX, tax, together } from './support.ts';

test('resolveSpecs: fills in safe defaults for the short form', async () => {
  const { positions: _, ...pair } = await pairOf(TAX);
  expect(pair).toEqual({
    name: 'tax',
    labels: {},
    source: {
      bucket: 'acme-tax',
      region: 'us-east-1',
      managed: true,
      key: { alias: 'alias/acme-tax' },
      replacedKeys: [],
      bucketKey: true,
      defaultEncryption: 'SSE-KMS',
    },
    destination: {
      bucket: 'acme-tax-replica',
      region: 'us-west-2',
      managed: true,
      key: { alias: 'alias/acme-tax-replica' },
      replacedKeys: [],
      bucketKey: true,
      defaultEncryption: 'SSE-KMS',
      objectOwner: 'source',
    },
    sourceKeys: [],
    role: { name: 'replikey-acme-tax' },
    rules: [
      {
        name: 'tax',
        unnamed: true,
        enabled: true,
        prefix: 'Tax/',
        tags: {},
        deleteMarkerReplication: false,
        replicationTimeControl: false,
        metrics: true,
        sseKmsEncryptedObjects: true,
        replicaModifications: false,
      },
    ],
    rollout: 'wait',
    policy: { deletion: 'Retain', foreignRules: 'Preserve', adopt: 'IfCompatible', drainMs: 900_000 },
  });
});

test('resolveSpecs: keeps every field of the long form', async () => {
  const { positions: _, ...pair } = await pairOf(
    together(
      `apiVersion: replikey.dev/v1
kind: BucketReplication
metadata:
  name: tax
  labels: { team: finance, example.com/tier: "1" }
spec:
  source:
    bucket: acme-tax
    region: us-east-1
    account: main
    key:
      alias: alias/acme-tax
      description: Tax records
      rotation: true
      rotationPeriodInDays: 180
      bucketKey: false
    blockPublicAccess: true
    objectOwnership: BucketOwnerEnforced
    objectLock: {}
  destination:
    bucket: acme-tax-replica
    region: us-west-2
    account: main
    key:
      arn: arn:aws:kms:us-west-2:444455556666:key/1234abcd-12ab-34cd-56ef-1234567890ab
      replaces: [alias/acme-vault, 11223344-12ab-34cd-56ef-1234567890ab]
    defaultEncryption: DSSE-KMS
    storageClass: STANDARD_IA
    objectLock: { mode: Compliance, years: 1 }
  sourceKeys: [alias/acme-old]
  role: { arn: "arn:aws:iam::111122223333:role/service/replication" }
  rules:
    - name: ledgers
      filter: { prefix: Ledgers/, tags: { tier: gold } }
      enabled: false
      priority: 7
      replicationTimeControl: true
    - prefix: ""
      deleteMarkerReplication: true
      metrics: false
      sseKmsEncryptedObjects: false
      replicaModifications: true
  policy: { deletion: Remove, foreignRules: Refuse, adopt: Never }
`,
      MAIN,
    ),
  );
  expect(pair).toEqual({
    name: 'tax',
    labels: { team: 'finance', 'example.com/tier': '1' },
    source: {
      bucket: 'acme-tax',
      region: 'us-east-1',
      account: 'main',
      accountId: '111122223333',
      managed: true,
      key: {
        alias: 'alias/acme-tax',
        description: 'Tax records',
        rotation: true,
        rotationPeriodInDays: 180,
      },
      replacedKeys: [],
      bucketKey: false,
      defaultEncryption: 'SSE-KMS',
      blockPublicAccess: true,
      objectOwnership: 'BucketOwnerEnforced',
      objectLock: {},
    },
    destination: {
      bucket: 'acme-tax-replica',
      region: 'us-west-2',
      account: 'main',
      accountId: '111122223333',
      managed: true,
      key: { arn: 'arn:aws:kms:us-west-2:444455556666:key/1234abcd-12ab-34cd-56ef-1234567890ab' },
      replacedKeys: [
        { alias: 'alias/acme-vault' },
        { arn: 'arn:aws:kms:us-west-2:111122223333:key/11223344-12ab-34cd-56ef-1234567890ab' },
      ],
      bucketKey: false,
      defaultEncryption: 'DSSE-KMS',
      storageClass: 'STANDARD_IA',
      objectOwner: 'source',
      objectLock: { mode: 'Compliance', years: 1 },
    },
    sourceKeys: [{ alias: 'alias/acme-old' }],
    role: { arn: 'arn:aws:iam::111122223333:role/service/replication' },
    rules: [
      {
        name: 'ledgers',
        enabled: false,
        prefix: 'Ledgers/',
        tags: { tier: 'gold' },
        priority: 7,
        deleteMarkerReplication: false,
        replicationTimeControl: true,
        metrics: true,
        sseKmsEncryptedObjects: true,
        replicaModifications: false,
      },
      {
        name: 'all',
        unnamed: true,
        enabled: true,
        prefix: '',
        tags: {},
        deleteMarkerReplication: true,
        replicationTimeControl: false,
        metrics: false,
        sseKmsEncryptedObjects: false,
        replicaModifications: true,
      },
    ],
    rollout: 'wait',
    policy: { deletion: 'Remove', foreignRules: 'Refuse', adopt: 'Never', drainMs: 900_000 },
  });
});

test('resolveSpecs: completes a key id with the account and Region of its side', async () => {
  const id = 'mrk-1234abcd12ab34cd56ef1234567890ab';
  const yaml = together(
    tax(
      ['alias/acme-tax\n', `${id}\n    account: main\n`],
      ['us-east-1', 'us-gov-west-1'],
      ['us-west-2', 'us-gov-east-1\n    account: main'],
    ),
    MAIN,
  );
  expect((await pairOf(yaml)).source.key).toEqual({
    arn: `arn:aws-us-gov:kms:us-gov-west-1:111122223333:key/${id}`,
  });
});

test('resolveSpecs: applies the rotation of one spec to all specs that share the key', async () => {
  const pairs = await pairsOf(
    together(
      tax(['alias/acme-tax\n', '{ alias: alias/acme-tax, rotation: true }\n']),
      tax(['name: tax', 'name: other'], ['Tax/', 'Other/']),
    ),
  );
  expect(pairs.map(({ source }) => source.key)).toEqual([
    { alias: 'alias/acme-tax', rotation: true },
    { alias: 'alias/acme-tax', rotation: true },
  ]);
});

test.each([
  ['Tax/', 'tax'],
  ['Tax/2026/Q1', 'tax-2026-q1'],
  ['', 'all'],
  ['日本/', 'prefix'],
  ['__/', 'prefix'],
])('ruleNamesOf: derives the name of a rule with prefix %j as %s', async (prefix, name) => {
  const pair = await pairOf(tax(['prefix: Tax/', `prefix: ${JSON.stringify(prefix)}`]));
  expect(pair.rules[0]?.name).toBe(name);
});

test('ruleNamesOf: does not derive a name that another rule declares', async () => {
  const rules = '- prefix: Tax/\n    - { prefix: tax/, priority: 2 }\n    - { prefix: X/, name: tax }';
  const pair = await pairOf(tax(['- prefix: Tax/', rules]));
  expect(pair.rules.map(({ name }) => name)).toEqual(['tax-2', 'tax-3', 'tax']);
});

test('defaultRoleName: cuts a long name to 64 characters, and keeps it unique', () => {
  const bucket = 'b'.repeat(62);
  const names = ['x', 'y'].map((end) => defaultRoleName(bucket + end));
  expect(names.map((name) => name.length)).toEqual([64, 64]);
  expect(new Set(names).size).toBe(2);
  expect(defaultRoleName(`${bucket}x`)).toBe(names[0]);
});

test('resolveSpecs: records the position of every field', async () => {
  const { positions } = await pairOf(TAX);
  expect(positions['']).toEqual({ file: '<stdin>', line: 1, column: 1 });
  expect(positions['spec.source.key']).toEqual({ file: '<stdin>', line: 9, column: 10 });
  expect(positions['spec.rules']).toEqual({ file: '<stdin>', line: 14, column: 3 });
  expect(positions['spec.rules[0]']).toEqual({ file: '<stdin>', line: 15, column: 7 });
});

test('resolveSpecs: expands a two-way spec to two pairs with their own roles and replica modification sync', async () => {
  const pairs = await pairsOf(
    tax(['  rules:', '  direction: both\n  rules:'], ['us-west-2', 'us-west-2\n    storageClass: GLACIER']),
  );
  expect(
    pairs.map(({ name, source, destination, role, rules }) => ({
      name,
      from: source.bucket,
      to: destination.bucket,
      storageClass: destination.storageClass,
      role,
      sync: rules.map((rule) => rule.replicaModifications),
    })),
  ).toEqual([
    {
      name: 'tax',
      from: 'acme-tax',
      to: 'acme-tax-replica',
      storageClass: 'GLACIER',
      role: { name: 'replikey-acme-tax' },
      sync: [true],
    },
    {
      name: 'tax-reverse',
      from: 'acme-tax-replica',
      to: 'acme-tax',
      storageClass: undefined,
      role: { name: 'replikey-acme-tax-replica' },
      sync: [true],
    },
  ]);
  expect(pairs[1]?.positions['spec.source.bucket']).toEqual(pairs[0]?.positions['spec.destination.bucket']);
});

test('resolveSpecs: sends the events of each direction to the queue in the Region of its source', async () => {
  const queue = 'arn:aws:sqs:us-east-1:111122223333:failures';
  const topic = 'arn:aws:sns:us-west-2:444455556666:failures';
  const backup = MAIN.replace('main', 'backup')
    .replace('111122223333', '444455556666')
    .concat('  managed: false\n');
  const [forward, reverse] = await pairsOf(
    together(
      tax(
        ['us-east-1', 'us-east-1\n    account: main'],
        ['us-west-2', 'us-west-2\n    account: main'],
        [
          '  rules:',
          `  direction: both\n  failures: { to: "${queue}", reverseTo: "${topic}", events: [notTracked, failed] }\n  rules:`,
        ],
      ),
      MAIN,
      backup,
    ),
  );
  const events = ['failed', 'notTracked'];
  expect(forward?.failures).toEqual({
    to: queue,
    path: 'spec.failures.to',
    account: 'main',
    accountId: '111122223333',
    managed: true,
    events,
  });
  expect(reverse?.failures).toEqual({
    to: topic,
    path: 'spec.failures.reverseTo',
    account: 'backup',
    accountId: '444455556666',
    managed: false,
    events,
  });
});

test('resolveSpecs: uses the ambient credentials for a queue, and sends failed objects only by default', async () => {
  const queue = 'arn:aws:sqs:us-east-1:111122223333:failures';
  const { failures } = await pairOf(tax(['  rules:', `  failures: { to: "${queue}" }\n  rules:`]));
  expect(failures).toEqual({
    to: queue,
    path: 'spec.failures.to',
    accountId: '111122223333',
    managed: true,
    events: ['failed'],
  });
});

test('resolveSpecs: applies settings of a shared bucket, key or role to the specs that omit them', async () => {
  const [, second] = await pairsOf(
    together(
      tax(
        ['alias/acme-tax\n', '{ alias: alias/acme-tax, description: Tax }\n    blockPublicAccess: true\n'],
        ['  rules:', '  role: { tags: { team: finance } }\n  rules:'],
      ),
      tax(['name: tax', 'name: other'], ['bucket: acme-tax-replica', 'bucket: acme-other']),
    ),
  );
  expect(second?.source).toMatchObject({ key: { description: 'Tax' }, blockPublicAccess: true });
  expect(second?.role).toEqual({ name: 'replikey-acme-tax', tags: { team: 'finance' } });
});

const BACKFILL = tax([
  '  rules:',
  '  backfill: { before: "2026-01-01T01:00:00+01:00", report: { bucket: acme-reports } }\n  rules:',
]);

test('resolveSpecs: a backfill is of existing and failed objects, waits for a person, and has its instants in UTC', async () => {
  expect((await pairOf(BACKFILL)).backfill).toEqual({
    objects: ['existing', 'failed'],
    before: '2026-01-01T00:00:00Z',
    start: 'Confirmed',
    priority: 10,
    report: { bucket: 'acme-reports', prefix: 'replikey/' },
    role: { name: 'replikey-batch-acme-tax' },
    prefixes: ['Tax/'],
  });
});

test('resolveSpecs: the reverse direction has a backfill with its own role', async () => {
  const pairs = await pairsOf(
    tax([
      '  rules:',
      '  direction: both\n  backfill: { before: "2026-01-01T00:00:00Z", role: { name: batch } }\n  rules:',
    ]),
  );
  expect(pairs.map(({ backfill }) => backfill?.role)).toEqual([
    { name: 'batch' },
    { name: 'replikey-batch-acme-tax-replica' },
  ]);
});

test('defaultBatchRoleName: cuts a long name to 64 characters, and keeps it unique', () => {
  const names = ['a', 'b'].map((end) => defaultBatchRoleName('x'.repeat(62) + end));
  expect(names.map(({ length }) => length)).toEqual([64, 64]);
  expect(new Set(names).size).toBe(2);
  expect(defaultBatchRoleName('x'.repeat(49))).toHaveLength(64);
});

const ruleOf = (prefix: string, enabled = true) => ({ prefix, enabled }) as RuleDeclaration;
// KeyNameConstraint.MatchAnyPrefix takes one string (API reference, KeyNameConstraint).
test.each<[string[], RuleDeclaration[]]>([
  [['Tax/'], [ruleOf('Tax/'), ruleOf('Tax/')]],
  [['Tax/'], [ruleOf('Tax/2026/'), ruleOf('Tax/')]],
  [
    ['Ledgers/', 'Tax/'],
    [ruleOf('Tax/'), ruleOf('Ledgers/'), ruleOf('Old/', false)],
  ],
  [[''], [ruleOf('Tax/'), ruleOf('')]],
])('jobPrefixesOf: returns %j', (prefixes, rules) => {
  expect(jobPrefixesOf(rules)).toEqual(prefixes);
});
