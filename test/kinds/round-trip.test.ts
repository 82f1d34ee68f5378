import type { ReplicationRule } from '@aws-sdk/client-s3';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { desiredResources } from '../../src/core/desired.ts';
import type { Kind } from '../../src/core/kind.ts';
import { renderFrom } from '../../src/core/plan.ts';
import type { Current, Id, Ref, Resource } from '../../src/core/resource.ts';
import type { Policy } from '../../src/iam/types.ts';
import { kinds } from '../../src/kinds/index.ts';
import type { EncryptionDoc } from '../../src/kinds/s3-encryption.ts';
import type { ObjectLockDoc } from '../../src/kinds/s3-object-lock.ts';
import type { ReplicationDoc } from '../../src/kinds/s3-replication.ts';
import { canonicalJson } from '../../src/util/canonical-json.ts';
import { parseSpecs } from '../support/env.ts';
import { specArbitrary } from '../support/spec-arbitraries.ts';

const FOREIGN_RULE: ReplicationRule = {
  ID: 'foreign',
  Priority: 7,
  Status: 'Enabled',
  Filter: { Prefix: 'Foreign/' },
  DeleteMarkerReplication: { Status: 'Enabled' },
  ExistingObjectReplication: { Status: 'Enabled' },
  Destination: { Bucket: 'arn:aws:s3:::foreign', StorageClass: 'GLACIER' },
};
const FOREIGN_STATEMENT = {
  Sid: 'Foreign',
  Effect: 'Allow' as const,
  Principal: { AWS: ['b', 'a'] },
  Action: ['S3:GetObject', 's3:*'],
  Resource: '*',
};
const withForeignStatement = ({ Statement, ...policy }: Policy): Policy => ({
  ...policy,
  Statement: [FOREIGN_STATEMENT, ...[Statement].flat()],
});

/** Adds foreign entries to a document, for every kind whose documents may contain them. */
const ADD_FOREIGN: Record<string, (doc: never) => unknown> = {
  'iam.role': (doc: { trust: Policy }) => ({ ...doc, trust: withForeignStatement(doc.trust) }),
  'iam.role-policy': withForeignStatement,
  'kms.key-policy': (doc: { policy: Policy }) => ({ ...doc, policy: withForeignStatement(doc.policy) }),
  's3.bucket-policy': withForeignStatement,
  's3.encryption': ({ Rules }: EncryptionDoc) => ({
    Rules: Rules.map((rule) => ({ ...rule, BlockedEncryptionTypes: { EncryptionType: ['SSE-C'] } })),
  }),
  's3.object-lock': (doc: ObjectLockDoc) => ({
    ...doc,
    foreign: { rootAttributes: '', inConfiguration: '<Foreign/>', inRule: '', inRetention: '' },
  }),
  's3.replication': ({ Role, Rules }: ReplicationDoc) => ({ Role, Rules: [FOREIGN_RULE, ...Rules] }),
};

/** The specs of these tests declare neither monitoring nor jobs, which have tests of their own. */
const REPLICATION_KINDS = [...kinds.values()]
  .flatMap(({ name, scope }) => (scope.stage === 'monitoring' || scope.stage === 'jobs' ? [] : name))
  .sort();

const kindOf = (resource: Resource): Kind => {
  const kind = kinds.get(resource.kind);
  if (!kind) throw new Error(`unknown kind ${resource.kind} of ${resource.id}`);
  return kind;
};
const resolveRef = ({ $ref, attr }: Ref) => `${attr} of ${$ref}`;
const desiredOf = async (yaml: string): Promise<Resource[]> =>
  desiredResources((await parseSpecs(yaml)).pairs, [...kinds.values()]);

/** Returns the documents that the specs leave, each with foreign entries, by id. */
async function documentsOf(yaml: string): Promise<Map<Id, unknown>> {
  const resources = await desiredOf(yaml);
  return new Map(
    resources.map((resource) => {
      const { doc } = renderFrom(resource, undefined, kindOf(resource), resolveRef);
      return [resource.id, ADD_FOREIGN[resource.kind]?.(doc as never) ?? doc];
    }),
  );
}

/** Fails unless one write reaches the desired state and keeps the foreign entries of `current`. */
function expectFixedPoint(resource: Resource, current: Current | undefined): void {
  const kind = kindOf(resource);
  const change = renderFrom(resource, current, kind, resolveRef);
  const after = kind.parse(change.doc, change.resource);
  expect(canonicalJson(kind.normalize(after.spec)), resource.id).toBe(canonicalJson(change.desired));
  expect(canonicalJson(kind.normalize(change.desired)), resource.id).toBe(canonicalJson(change.desired));
  if (current) expect(after.foreign, resource.id).toEqual(current.foreign);
  const again = renderFrom(resource, after, kind, resolveRef);
  expect(canonicalJson(again.desired), resource.id).toBe(canonicalJson(change.desired));
  expect(canonicalJson(again.doc), resource.id).toBe(canonicalJson(change.doc));
}

test('render: one write reaches the desired state from the documents of any other specs', async () => {
  const coveredKinds = new Set<string>();
  await fc.assert(
    fc.asyncProperty(specArbitrary, specArbitrary, async (yaml, yamlBefore) => {
      const documents = await documentsOf(yamlBefore);
      for (const resource of await desiredOf(yaml)) {
        expectFixedPoint(resource, undefined);
        const doc = documents.get(resource.id);
        if (doc === undefined) continue;
        coveredKinds.add(resource.kind);
        const { resource: resolved } = renderFrom(resource, undefined, kindOf(resource), resolveRef);
        expectFixedPoint(resource, kindOf(resource).parse(doc, resolved));
      }
    }),
    { numRuns: 60 },
  );
  expect([...coveredKinds].sort()).toEqual(REPLICATION_KINDS);
});

test('render: an unchanged document keeps all foreign entries', async () => {
  const coveredKinds = new Set<string>();
  await fc.assert(
    fc.asyncProperty(specArbitrary, async (yaml) => {
      const documents = await documentsOf(yaml);
      for (const declared of await desiredOf(yaml)) {
        const kind = kindOf(declared);
        const { resource } = renderFrom(declared, undefined, kind, resolveRef);
        const doc = documents.get(resource.id);
        const current = kind.parse(doc, resource);
        const unchanged = kind.render({ ...resource, spec: current.spec }, current);
        const { foreignRules } = current.spec as { foreignRules?: string };
        // With Replace all rules are managed, and replikey refuses an element that it does not model.
        if (foreignRules === 'Replace') continue;
        coveredKinds.add(resource.kind);
        expect(kind.parse(unchanged, resource).foreign, resource.id).toEqual(current.foreign);
        if (resource.kind in ADD_FOREIGN) {
          expect(JSON.stringify(current.foreign), resource.id).toMatch(/Foreign|SSE-C/);
          if (kind.response.replacesWholeDocument)
            expect(canonicalJson(unchanged), resource.id).toBe(canonicalJson(doc));
        }
      }
    }),
    { numRuns: 60 },
  );
  expect([...coveredKinds].sort()).toEqual(REPLICATION_KINDS);
});
