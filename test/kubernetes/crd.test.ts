import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { renderCustomResourceDefinitions } from '../../src/kubernetes/crd.ts';
import { collectionPathOf, RESOURCE_PLURALS, type ResourceKind } from '../../src/kubernetes/resources.ts';
import { type ApiServer, NAMESPACE } from './api-server.ts';
import { realServerSkipReason, startRealServer } from './real-server.ts';
import { startValidator, toolSkipReason, type Validator } from './tools.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');

interface Schema {
  type?: string;
  properties?: Record<string, Schema>;
  items?: Schema;
  additionalProperties?: Schema;
  [keyword: string]: unknown;
}

const definitions = parseAllDocuments(renderCustomResourceDefinitions()).map((document) => document.toJS());
const schemas: [kind: string, schema: Schema][] = definitions.map(({ spec }) => [
  spec.names.kind,
  spec.versions[0].schema.openAPIV3Schema,
]);

const BRANCHES = ['anyOf', 'oneOf', 'allOf', 'not'];
const FORBIDDEN = ['$ref', 'definitions', 'dependencies', 'patternProperties', 'const', 'examples', 'if'];

/** Returns the violations of the rules for structural schemas. */
function structuralViolations(schema: Schema, at: string): string[] {
  const { properties = {}, items, additionalProperties } = schema;
  const isOpen = schema['x-kubernetes-preserve-unknown-fields'] === true;
  return [
    ...(schema.type === undefined && !isOpen ? [`${at} has no type`] : []),
    ...FORBIDDEN.filter((keyword) => keyword in schema).map((keyword) => `${at} has ${keyword}`),
    ...('default' in schema ? [`${at} has a default, which hides omitted fields`] : []),
    ...(typeof additionalProperties === 'boolean' ? [`${at} has additionalProperties`] : []),
    ...BRANCHES.filter((keyword) => keyword in schema).flatMap((keyword) =>
      /"(type|description|default|additionalProperties)":/.test(JSON.stringify(schema[keyword]))
        ? [`${at} has more than value constraints in ${keyword}`]
        : [],
    ),
    ...(/\(\?[!=<]/.test(String(schema.pattern)) ? [`${at} has a pattern that Go cannot parse`] : []),
    ...Object.entries(properties).flatMap(([name, field]) => structuralViolations(field, `${at}.${name}`)),
    ...(items ? structuralViolations(items, `${at}[]`) : []),
    ...(additionalProperties ? structuralViolations(additionalProperties, `${at}.*`) : []),
  ];
}

describe('custom resource definitions', () => {
  test.each(['deploy/kubernetes/crd/crd.yaml', 'deploy/helm/replikey/crds/crd.yaml'])(
    '%s is up to date',
    async (file) => {
      await expect(renderCustomResourceDefinitions()).toMatchFileSnapshot(path.join(ROOT, file));
    },
  );

  test.each(schemas)('%s has a structural schema', (kind, schema) => {
    expect(structuralViolations(schema, kind)).toEqual([]);
  });

  test('each definition is small enough for the annotation of kubectl apply', () => {
    for (const definition of definitions) expect(JSON.stringify(definition).length).toBeLessThan(256 * 1024);
  });

  test('one definition per kind, namespaced and with a status subresource', () => {
    expect(schemas.map(([kind]) => kind)).toEqual(Object.keys(RESOURCE_PLURALS));
    for (const { spec } of definitions) {
      expect(spec.scope).toBe('Namespaced');
      expect(spec.versions[0].subresources).toEqual({ status: {} });
    }
  });
});

const PAIR = {
  source: { bucket: 'acme-tax', region: 'us-east-1', key: 'alias/acme-tax' },
  destination: {
    bucket: 'acme-tax-replica',
    region: 'us-west-2',
    key: { alias: 'alias/acme-tax-replica', rotation: true },
  },
  rules: [{ prefix: 'Tax/' }],
};
const { source, destination } = PAIR;
const KEY_ARN = 'arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab';
const rule = (fields: object) => ({ ...PAIR, rules: [{ prefix: 'Tax/', ...fields }] });
const tagged = (count: number, fields: object = {}) => ({
  ...PAIR,
  rules: [
    {
      filter: { tags: Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, 'v'])) },
      ...fields,
    },
  ],
});

const REJECTED: [problem: string, kind: ResourceKind, spec: unknown, message: string][] = [
  ['no rules', 'BucketReplication', { source, destination }, 'rules: Required value'],
  ...(
    [
      ['tax', 'spec.source.key in body should match'],
      ['arn:aws:kms:us-east-1:111122223333:alias/tax', 'spec.source.key in body should match'],
      [5, '"spec.source.key" must not validate the schema'],
      [true, '"spec.source.key" must not validate the schema'],
      [['alias/tax'], '"spec.source.key" must not validate the schema'],
      [{ alias: 'tax' }, 'spec.source.key.alias in body should match'],
      [{ alias: 5 }, 'must be of type string'],
      [{ arn: 'alias/tax' }, 'spec.source.key.arn in body should match'],
      [{ alias: 'alias/tax', arn: KEY_ARN }, '"spec.source.key" must not validate the schema'],
      [{ alias: 'alias/tax', rotation: 'yes' }, 'must be of type boolean'],
      [{ alias: 'alias/tax', rotationPeriodInDays: 1 }, 'should be greater than or equal to 90'],
      [{ alias: 'alias/tax', description: '\u0001' }, 'key.description in body should match'],
      [{ alias: 'alias/tax', replaces: ['tax'] }, 'replaces[0] in body should match'],
      [{ alias: 'alias/tax', replaces: ['alias/aws/s3'] }, 'replaces[0]" must not validate the schema'],
    ] as const
  ).map(([key, message]): [string, ResourceKind, unknown, string] => [
    `the key ${JSON.stringify(key)}`,
    'BucketReplication',
    { ...PAIR, source: { ...source, key } },
    message,
  ]),
  [
    'a source key that is a number',
    'BucketReplication',
    { ...PAIR, sourceKeys: [5] },
    '"spec.sourceKeys[0]" must not validate the schema',
  ],
  [
    'no bucket',
    'BucketReplication',
    { ...PAIR, source: { region: 'us-east-1', key: 'k' } },
    'bucket: Required',
  ],
  [
    'no key',
    'BucketReplication',
    { ...PAIR, source: { bucket: 'abc', region: 'us-east-1' } },
    'key: Required',
  ],
  ['an unknown field', 'BucketReplication', { ...PAIR, rulez: [] }, 'unknown field "spec.rulez"'],
  ['a text for a number', 'BucketReplication', rule({ priority: 'high' }), 'must be of type integer'],
  ['a number too large', 'BucketReplication', rule({ priority: 2 ** 31 }), 'should be less than or equal'],
  ['an unknown enum value', 'BucketReplication', { ...PAIR, direction: 'back' }, 'Unsupported value: "back"'],
  [
    'prefix and filter',
    'BucketReplication',
    rule({ filter: { prefix: 'x' } }),
    'exactly one of prefix and filter',
  ],
  [
    'neither prefix nor filter',
    'BucketReplication',
    { ...PAIR, rules: [{}] },
    'exactly one of prefix and filter',
  ],
  [
    'an empty filter',
    'BucketReplication',
    { ...PAIR, rules: [{ filter: {} }] },
    'a filter needs a prefix or tags',
  ],
  ['eleven tags', 'BucketReplication', tagged(11), 'must have at most 10 items'],
  [
    'delete markers with tags',
    'BucketReplication',
    tagged(1, { deleteMarkerReplication: true }),
    'delete markers have no tags',
  ],
  [
    'time control without metrics',
    'BucketReplication',
    rule({ replicationTimeControl: true, metrics: false }),
    'replicationTimeControl needs metrics',
  ],
  [
    'a role with name and ARN',
    'BucketReplication',
    { ...PAIR, role: { name: 'a', arn: 'arn:aws:iam::111122223333:role/a' } },
    'set name or arn, not both',
  ],
  [
    'tags for a role by ARN',
    'BucketReplication',
    { ...PAIR, role: { arn: 'arn:aws:iam::111122223333:role/a', tags: { a: 'b' } } },
    'never changes a role given by ARN',
  ],
  ...(['source', 'destination'] as const).flatMap((side) =>
    (
      [
        [
          'a mode alone',
          { mode: 'Governance' },
          `${side}.objectLock: a default retention has a mode and a period`,
        ],
        ['days alone', { days: 30 }, `${side}.objectLock: a default retention has a mode and a period`],
        ['years alone', { years: 1 }, `${side}.objectLock: a default retention has a mode and a period`],
        ['days and years', { mode: 'Compliance', days: 1, years: 1 }, 'set days or years, not both'],
      ] as const
    ).map(([name, objectLock, message]): [string, ResourceKind, unknown, string] => [
      `a default retention of the ${side} with ${name}`,
      'BucketReplication',
      { ...PAIR, [side]: { ...PAIR[side], objectLock } },
      message,
    ]),
  ),
  [
    'days and years in Defaults',
    'Defaults',
    { destination: { objectLock: { days: 1, years: 1 } } },
    'set days or years, not both',
  ],
  [
    'Object Lock on one side of a two-way pair',
    'BucketReplication',
    { ...PAIR, direction: 'both', source: { ...source, objectLock: {} } },
    'set objectLock on both sides or on neither',
  ],
  [
    'the same bucket as source and destination',
    'BucketReplication',
    { ...PAIR, destination: { ...destination, bucket: 'acme-tax' } },
    'cannot replicate to itself',
  ],
  [
    'an account on one side',
    'BucketReplication',
    { ...PAIR, source: { ...source, account: 'main' } },
    'set the account on both sides',
  ],
  ...(
    [
      ['Acme_Tax', 'use 3 to 63 lower-case letters'],
      ['ab', 'should be at least 3 chars long'],
      ['a'.repeat(64), 'may not be more than 63 bytes'],
      ['acme-tax-', 'begin and end with a letter or digit'],
      ['acme..tax', 'do not use two dots in a row'],
      ['192.168.5.4', 'do not use the form of an IP address'],
      ['xn--acme', 'AWS reserves this prefix or suffix'],
      ['acme--x-s3', 'AWS reserves this prefix or suffix'],
      ['acme-an', 'S3 reserves the suffix -an'],
      ['acme-111122223333-eu-west-1-an', 'contains the Region of the bucket'],
    ] as const
  ).flatMap(([bucket, message]) =>
    (['source', 'destination'] as const).map((side): [string, ResourceKind, unknown, string] => [
      `the ${side} bucket ${bucket}`,
      'BucketReplication',
      { ...PAIR, [side]: { ...PAIR[side], bucket } },
      message,
    ]),
  ),
  ['a bucket name in Defaults', 'Defaults', { source: { bucket: 'Acme' } }, 'use 3 to 63 lower-case letters'],
  [
    'an Availability Zone as a Region',
    'BucketReplication',
    { ...PAIR, source: { ...source, region: 'us-east-1a' } },
    'invalid Region: use a Region name such as us-east-1',
  ],
  [
    'a misspelt Region',
    'BucketReplication',
    { ...PAIR, destination: { ...destination, region: 'us-wset-2' } },
    'invalid Region',
  ],
  [
    'Regions of two partitions',
    'BucketReplication',
    { ...PAIR, destination: { ...destination, region: 'cn-north-1' } },
    'does not replicate between partitions',
  ],
  [
    'the European Sovereign Cloud and Germany',
    'BucketReplication',
    {
      ...PAIR,
      source: { ...source, region: 'eusc-de-east-1' },
      destination: { ...destination, region: 'eu-central-1' },
    },
    'does not replicate between partitions',
  ],
  [
    'an object owner without accounts',
    'BucketReplication',
    { ...PAIR, destination: { ...destination, objectOwner: 'source' } },
    'objectOwner requires an account on both sides',
  ],
  [
    'an object owner with one account',
    'BucketReplication',
    {
      ...PAIR,
      source: { ...source, account: 'main' },
      destination: { ...destination, account: 'main', objectOwner: 'source' },
    },
    'objectOwner has no effect',
  ],
  [
    'both directions across accounts with one role',
    'BucketReplication',
    {
      direction: 'both',
      source: { ...source, account: 'main' },
      destination: { ...destination, account: 'other' },
      role: { arn: 'arn:aws:iam::111122223333:role/a' },
      rules: PAIR.rules,
    },
    'requires a role for each direction',
  ],
  ['a role without fields', 'BucketReplication', { ...PAIR, role: {} }, 'the role has no fields'],
  ['a role name with a space', 'BucketReplication', { ...PAIR, role: { name: 'a b' } }, 'invalid role name'],
  [
    'a role ARN without an account',
    'BucketReplication',
    { ...PAIR, role: { arn: 'role/a' } },
    'invalid role ARN',
  ],
  ['an IAM path without slashes', 'BucketReplication', { ...PAIR, role: { path: 'a' } }, 'invalid IAM path'],
  [
    'a permissions boundary that is no policy',
    'BucketReplication',
    { ...PAIR, role: { permissionsBoundary: 'arn:aws:iam::111122223333:role/a' } },
    'invalid policy ARN',
  ],
  ['an empty tag key', 'BucketReplication', { ...PAIR, role: { tags: { '': 'a' } } }, 'invalid tag key'],
  [
    'a tag key that is too long',
    'BucketReplication',
    { ...PAIR, role: { tags: { [`${'k'.repeat(129)}`]: 'a' } } },
    'use 1 to 128 characters',
  ],
  [
    'a control character in a tag',
    'BucketReplication',
    { ...PAIR, role: { tags: { a: '\u0001' } } },
    'tags.a',
  ],
  [
    'more than 50 tags of a role',
    'BucketReplication',
    { ...PAIR, role: { tags: Object.fromEntries(Array.from({ length: 51 }, (_, i) => [`k${i}`, 'v'])) } },
    'must have at most 50 items',
  ],
  [
    'a prefix with a leading slash',
    'BucketReplication',
    rule({ prefix: '/Tax' }),
    'remove the leading slash',
  ],
  [
    'a prefix of more than 1,024 bytes',
    'BucketReplication',
    rule({ prefix: '\u00e9'.repeat(600) }),
    'use at most 1,024 bytes',
  ],
  ['a control character in a prefix', 'BucketReplication', rule({ prefix: 'a\u0001' }), 'XML'],
  ['a rule name with a slash', 'BucketReplication', rule({ name: 'a/b' }), 'invalid name'],
  ['a rule id with a tab', 'BucketReplication', rule({ id: 'a\tb' }), 'invalid rule id'],
  [
    'two rules with one priority',
    'BucketReplication',
    {
      ...PAIR,
      rules: [
        { prefix: 'a', priority: 1 },
        { prefix: 'b', priority: 1 },
      ],
    },
    'two rules have the same priority',
  ],
  [
    'a duration without a unit',
    'BucketReplication',
    { ...PAIR, policy: { drain: '15' } },
    'invalid duration',
  ],
  [
    'a duration of more than a week',
    'BucketReplication',
    { ...PAIR, policy: { drain: '169h' } },
    'at most 168h',
  ],
  ['a short id', 'Account', { id: '1234' }, 'use 12 digits'],
  ['an id that is a number', 'Account', { id: 111122223333 }, 'must be of type string'],
  ['an empty profile', 'Account', { id: '111122223333', profile: '' }, 'spec.profile'],
  [
    'a role to assume without an ARN',
    'Account',
    { id: '111122223333', assumeRole: { arn: 'replikey' } },
    'invalid role ARN',
  ],
  ['an account name as an account id', 'Guardrails', { accounts: ['main'] }, 'invalid account id'],
  ['a Region that does not exist', 'Guardrails', { regions: ['us-east'] }, 'invalid Region'],
  ['a key without alias/', 'Guardrails', { keys: ['tax'] }, 'invalid KMS key'],
  [
    'a profile and a role to assume',
    'Account',
    { id: '111122223333', profile: 'x', assumeRole: { arn: 'arn:aws:iam::111122223333:role/a' } },
    'set profile or assumeRole, not both',
  ],
  [
    'credentials for an unmanaged account',
    'Account',
    { id: '111122223333', managed: false, profile: 'x' },
    'does not manage this account',
  ],
  ['a negative limit', 'Guardrails', { maxRemovals: -1 }, 'greater than or equal to 0'],
  [
    'prefix and filter',
    'Defaults',
    { rules: [{ prefix: '', filter: {} }] },
    'exactly one of prefix and filter',
  ],
];

const ACCEPTED: [description: string, kind: ResourceKind, spec: unknown][] = [
  ['a pair', 'BucketReplication', PAIR],
  ...[
    'alias/tax',
    KEY_ARN,
    KEY_ARN.slice(-36),
    { arn: KEY_ARN },
    { alias: 'alias/tax', description: 'Büro', rotation: true, rotationPeriodInDays: 90, bucketKey: true },
  ].map((key): [string, ResourceKind, unknown] => [
    `the key ${JSON.stringify(key)}`,
    'BucketReplication',
    { ...PAIR, source: { ...source, key }, sourceKeys: ['alias/old'] },
  ]),
  ['a key without an alias in Defaults', 'Defaults', { source: { key: { rotation: true } } }],
  [
    'a key that takes its alias from Defaults',
    'BucketReplication',
    { defaults: 'house', source: { key: { rotation: true } } },
  ],
  ['a pair that takes all fields from Defaults', 'BucketReplication', { defaults: 'house' }],
  ['a pair that takes the role from Defaults', 'BucketReplication', { defaults: 'house', role: {} }],
  ['a rule by tags', 'BucketReplication', tagged(10)],
  [
    'the shortest and the longest bucket name',
    'BucketReplication',
    {
      ...PAIR,
      source: { ...source, bucket: 'a.b' },
      destination: { ...destination, bucket: '0'.repeat(63) },
    },
  ],
  ['letters outside ASCII', 'BucketReplication', rule({ prefix: 'Büro/\u{1f600}' })],
  [
    'a pair in China',
    'BucketReplication',
    {
      ...PAIR,
      source: { ...source, region: 'cn-north-1' },
      destination: { ...destination, region: 'cn-northwest-1' },
    },
  ],
  [
    'a pair in the European Sovereign Cloud, with names in the account-regional namespace',
    'BucketReplication',
    {
      ...PAIR,
      source: { ...source, region: 'eusc-de-east-1', bucket: 'acme-111122223333-eusc-de-east-1-an' },
      destination: {
        ...destination,
        region: 'eusc-de-east-1',
        bucket: 'copy-111122223333-eusc-de-east-1-an',
      },
    },
  ],
  ['the longest duration', 'BucketReplication', { ...PAIR, policy: { drain: '604800s' } }],
  ['an account with a leading zero', 'Account', { id: '011122223333' }],
  ['guardrails', 'Guardrails', { regions: ['us-east-1'], accounts: ['111122223333'], keys: ['alias/a'] }],
  ['any part of a pair', 'Defaults', { destination: { region: 'us-west-2' } }],
  [
    'sides of which a pair overrides one',
    'Defaults',
    {
      source: { region: 'us-east-1' },
      destination: { region: 'cn-north-1' },
    },
  ],
];

/** Creates a resource, without storing it, and returns the errors. */
type DryRun = (kind: ResourceKind, spec: unknown, name?: string) => Promise<string>;

const toResource = (kind: ResourceKind, spec: unknown, name = 'tax') => ({
  apiVersion: 'replikey.dev/v1',
  kind,
  metadata: { name, namespace: NAMESPACE },
  spec,
});

function testApiServer(dryRun: DryRun) {
  test.each(REJECTED)('rejects %s (%s) with a message', async (_, kind, spec, message) => {
    expect(await dryRun(kind, spec)).toContain(message);
  });

  test.each(ACCEPTED)('accepts %s (%s)', async (_, kind, spec) => {
    expect(await dryRun(kind, spec)).toBe('');
  });

  test('rejects a name that is invalid in spec files', async () => {
    expect(await dryRun('BucketReplication', PAIR, 'tax.books')).toContain('metadata.name');
  });

  test('accepts every example spec', async () => {
    const files = (await readdir(path.join(ROOT, 'specs'), { recursive: true })).filter((name) =>
      /\.ya?ml$/.test(name),
    );
    let count = 0;
    for (const file of files)
      for (const document of parseAllDocuments(await readFile(path.join(ROOT, 'specs', file), 'utf8'))) {
        const { kind, metadata, spec } = document.toJS();
        // In a cluster, overlays replace variables.
        if (!(kind in RESOURCE_PLURALS) || JSON.stringify(spec).includes('${var.')) continue;
        expect(await dryRun(kind, spec, metadata.name), file).toBe('');
        count += 1;
      }
    expect(count).toBeGreaterThan(10);
  });
}

const validatorSkipReason = toolSkipReason('validator');
describe.skipIf(validatorSkipReason)(
  `validation code of the API server${validatorSkipReason ? ` (skipped: ${validatorSkipReason})` : ''}`,
  () => {
    let validator: Validator;
    beforeAll(async () => {
      validator = await startValidator();
    });
    afterAll(async () => validator?.[Symbol.asyncDispose]());

    testApiServer(async (kind, spec, name) =>
      (await validator.errorsOf(toResource(kind, spec, name))).join('\n'),
    );
  },
);

const serverSkipReason = realServerSkipReason();
describe.skipIf(serverSkipReason)(
  `real API server${serverSkipReason ? ` (skipped: ${serverSkipReason})` : ''}`,
  () => {
    let server: ApiServer;
    beforeAll(async () => {
      server = await startRealServer();
    }, 90_000);
    afterAll(async () => server?.[Symbol.asyncDispose]());

    testApiServer(async (kind, spec, name) => {
      const url = `${collectionPathOf(kind, NAMESPACE)}?dryRun=All&fieldValidation=Strict`;
      const { status, body } = await server.admin.request('POST', url, toResource(kind, spec, name));
      // The server adds no omitted field.
      if (status === 201) expect(body.spec).toEqual(spec);
      return status === 201 ? '' : body.message;
    });
  },
);
