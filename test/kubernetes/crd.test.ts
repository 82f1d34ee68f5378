import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { renderCustomResourceDefinitions } from '../../src/kubernetes/crd.ts';
import { collectionPathOf, RESOURCE_PLURALS, type ResourceKind } from '../../src/kubernetes/resources.ts';
import { type ApiServer, NAMESPACE } from './api-server.ts';
import { startRealServer, whyNoRealServer } from './real-server.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');

interface Schema {
  type?: string;
  properties?: Record<string, Schema>;
  items?: Schema;
  additionalProperties?: Schema;
  [keyword: string]: unknown;
}

const parsed = parseAllDocuments(renderCustomResourceDefinitions()).map((one) => one.toJS());
const schemas: [kind: string, schema: Schema][] = parsed.map((one) => [
  one.spec.names.kind,
  one.spec.versions[0].schema.openAPIV3Schema,
]);

const BRANCHES = ['anyOf', 'oneOf', 'allOf', 'not'];
const FORBIDDEN = ['$ref', 'definitions', 'dependencies', 'patternProperties', 'const', 'examples', 'if'];

/** Where a schema is not structural, as the API server has it. */
function unstructural(schema: Schema, at: string): string[] {
  const { properties = {}, items, additionalProperties } = schema;
  const isOpen = schema['x-kubernetes-preserve-unknown-fields'] === true;
  return [
    ...(schema.type === undefined && !isOpen ? [`${at} has no type`] : []),
    ...FORBIDDEN.filter((keyword) => keyword in schema).map((keyword) => `${at} has ${keyword}`),
    ...('default' in schema ? [`${at} has a default, which hides what was left out`] : []),
    ...(typeof additionalProperties === 'boolean' ? [`${at} has additionalProperties`] : []),
    ...BRANCHES.filter((keyword) => keyword in schema).flatMap((keyword) =>
      /"(type|description|default|additionalProperties)":/.test(JSON.stringify(schema[keyword]))
        ? [`${at} has more than values in ${keyword}`]
        : [],
    ),
    ...(/\(\?[!=<]/.test(String(schema.pattern)) ? [`${at} has a pattern that Go cannot read`] : []),
    ...Object.entries(properties).flatMap(([name, field]) => unstructural(field, `${at}.${name}`)),
    ...(items ? unstructural(items, `${at}[]`) : []),
    ...(additionalProperties ? unstructural(additionalProperties, `${at}.*`) : []),
  ];
}

describe('the definitions of the custom resources', () => {
  test('are those in deploy/kubernetes/crd.yaml', async () => {
    await expect(renderCustomResourceDefinitions()).toMatchFileSnapshot(
      path.join(ROOT, 'deploy/kubernetes/crd.yaml'),
    );
  });

  test.each(schemas)('%s has a structural schema', (kind, schema) => {
    expect(unstructural(schema, kind)).toEqual([]);
  });

  test('name every kind once, in this namespace, with a status of its own', () => {
    expect(schemas.map(([kind]) => kind)).toEqual(Object.keys(RESOURCE_PLURALS));
    for (const { spec } of parsed) {
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
const rule = (more: object) => ({ ...PAIR, rules: [{ prefix: 'Tax/', ...more }] });
const tagged = (count: number, more: object = {}) => ({
  ...PAIR,
  rules: [
    {
      filter: { tags: Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, 'v'])) },
      ...more,
    },
  ],
});

const REFUSED: [what: string, kind: ResourceKind, spec: unknown, why: string][] = [
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
  ['a word for a number', 'BucketReplication', rule({ priority: 'high' }), 'must be of type integer'],
  ['a number too large', 'BucketReplication', rule({ priority: 2 ** 31 }), 'should be less than or equal'],
  ['a class of no kind', 'BucketReplication', { ...PAIR, direction: 'back' }, 'Unsupported value: "back"'],
  [
    'prefix and filter',
    'BucketReplication',
    rule({ filter: { prefix: 'x' } }),
    'exactly one of prefix and filter',
  ],
  ['neither', 'BucketReplication', { ...PAIR, rules: [{}] }, 'exactly one of prefix and filter'],
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
    'time control alone',
    'BucketReplication',
    rule({ replicationTimeControl: true, metrics: false }),
    'replicationTimeControl needs metrics',
  ],
  [
    'two roles',
    'BucketReplication',
    { ...PAIR, role: { name: 'a', arn: 'arn:aws:iam::111122223333:role/a' } },
    'both a name and an ARN',
  ],
  [
    'tags for a role by ARN',
    'BucketReplication',
    { ...PAIR, role: { arn: 'arn:aws:iam::111122223333:role/a', tags: { a: 'b' } } },
    'never altered',
  ],
  [
    'one bucket twice',
    'BucketReplication',
    { ...PAIR, destination: { ...destination, bucket: 'acme-tax' } },
    'cannot replicate to itself',
  ],
  [
    'an account on one side',
    'BucketReplication',
    { ...PAIR, source: { ...source, account: 'main' } },
    'an account is named on both sides',
  ],
  ['a short id', 'Account', { id: '1234' }, 'spec.id'],
  [
    'two ways in',
    'Account',
    { id: '111122223333', profile: 'x', assumeRole: { arn: 'arn:aws:iam::111122223333:role/a' } },
    'both profile and assumeRole',
  ],
  ['credentials for nothing', 'Account', { id: '111122223333', managed: false, profile: 'x' }, 'not managed'],
  ['a negative limit', 'Guardrails', { maxRemovals: -1 }, 'greater than or equal to 0'],
  [
    'prefix and filter',
    'Defaults',
    { rules: [{ prefix: '', filter: {} }] },
    'exactly one of prefix and filter',
  ],
];

const skipped = whyNoRealServer();
describe.skipIf(skipped)(`a real API server${skipped ? ` (skipped: ${skipped})` : ''}`, () => {
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

  test.each(REFUSED)('refuses %s (%s), in words', async (_, kind, spec, why) => {
    const { status, body } = await dryRun(kind, spec);
    expect(status).toBeGreaterThanOrEqual(400);
    expect(body.message).toContain(why);
  });

  test.each<[string, ResourceKind, unknown]>([
    ['a pair', 'BucketReplication', PAIR],
    ['a pair that takes all from Defaults', 'BucketReplication', { defaults: 'house' }],
    ['a rule by tags', 'BucketReplication', tagged(10)],
    ['an account', 'Account', { id: '111122223333' }],
    ['guardrails', 'Guardrails', { regions: ['us-east-1'] }],
    ['any part of a pair', 'Defaults', { destination: { region: 'us-west-2' } }],
  ])('takes %s, and leaves what was left out', async (_, kind, spec) => {
    const { status, body } = await dryRun(kind, spec);
    expect(status, body.message).toBe(201);
    expect(body.spec).toEqual(spec);
  });

  test('refuses a name that files could not have', async () => {
    expect((await dryRun('BucketReplication', PAIR, 'tax.books')).body.message).toContain('metadata.name');
  });

  test('takes every example, whatever it holds', async () => {
    const files = (await readdir(path.join(ROOT, 'specs'), { recursive: true })).filter((name) =>
      /\.ya?ml$/.test(name),
    );
    let count = 0;
    for (const file of files)
      for (const document of parseAllDocuments(await readFile(path.join(ROOT, 'specs', file), 'utf8'))) {
        const { kind, metadata, spec } = document.toJS();
        // What holds variables is filled in by overlays in a cluster.
        if (!(kind in RESOURCE_PLURALS) || JSON.stringify(spec).includes('${var.')) continue;
        const { status, body } = await dryRun(kind, spec, metadata.name);
        expect(status, `${file}: ${body.message}`).toBe(201);
        count += 1;
      }
    expect(count).toBeGreaterThan(10);
  });
});
