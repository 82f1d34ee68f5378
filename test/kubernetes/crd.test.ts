import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { renderCustomResourceDefinitions } from '../../src/kubernetes/crd.ts';
import { collectionPathOf, RESOURCE_PLURALS, type ResourceKind } from '../../src/kubernetes/resources.ts';
import { type ApiServer, NAMESPACE } from './api-server.ts';
import { realServerSkipReason, startRealServer } from './real-server.ts';

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
  test('deploy/kubernetes/crd.yaml is up to date', async () => {
    await expect(renderCustomResourceDefinitions()).toMatchFileSnapshot(
      path.join(ROOT, 'deploy/kubernetes/crd.yaml'),
    );
  });

  test.each(schemas)('%s has a structural schema', (kind, schema) => {
    expect(structuralViolations(schema, kind)).toEqual([]);
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
  ['eleven tags', 'BucketReplication', tagged(11), 'at most 10 tags'],
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
  ['a short id', 'Account', { id: '1234' }, 'spec.id'],
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

const skipReason = realServerSkipReason();
describe.skipIf(skipReason)(`real API server${skipReason ? ` (skipped: ${skipReason})` : ''}`, () => {
  let server: ApiServer;
  beforeAll(async () => {
    server = await startRealServer();
  }, 90_000);
  afterAll(async () => server?.[Symbol.asyncDispose]());

  const dryRun = (kind: ResourceKind, spec: unknown, name = 'tax') =>
    server.admin.request('POST', `${collectionPathOf(kind, NAMESPACE)}?dryRun=All&fieldValidation=Strict`, {
      apiVersion: 'replikey.dev/v1',
      kind,
      metadata: { name },
      spec,
    });

  test.each(REJECTED)('rejects %s (%s) with a message', async (_, kind, spec, message) => {
    const { status, body } = await dryRun(kind, spec);
    expect(status).toBeGreaterThanOrEqual(400);
    expect(body.message).toContain(message);
  });

  test.each<[string, ResourceKind, unknown]>([
    ['a pair', 'BucketReplication', PAIR],
    ['a pair that takes all fields from Defaults', 'BucketReplication', { defaults: 'house' }],
    ['a rule by tags', 'BucketReplication', tagged(10)],
    ['an account', 'Account', { id: '111122223333' }],
    ['guardrails', 'Guardrails', { regions: ['us-east-1'] }],
    ['any part of a pair', 'Defaults', { destination: { region: 'us-west-2' } }],
  ])('accepts %s, and adds no omitted field', async (_, kind, spec) => {
    const { status, body } = await dryRun(kind, spec);
    expect(status, body.message).toBe(201);
    expect(body.spec).toEqual(spec);
  });

  test('rejects a name that is invalid in spec files', async () => {
    expect((await dryRun('BucketReplication', PAIR, 'tax.books')).body.message).toContain('metadata.name');
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
        const { status, body } = await dryRun(kind, spec, metadata.name);
        expect(status, `${file}: ${body.message}`).toBe(201);
        count += 1;
      }
    expect(count).toBeGreaterThan(10);
  });
});
