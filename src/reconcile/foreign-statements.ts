import type { ReplicationRule } from '@aws-sdk/client-s3';
import { bucketResourceId, keyResourceId, roleResourceId } from '../core/ids.ts';
import { type ActualState, type Current, currentOf, type Id, type Resource } from '../core/resource.ts';
import { keyArnOrRef, roleArnOrRef } from '../kinds/helpers.ts';
import { iamRolePolicy } from '../kinds/iam-role-policy.ts';
import { kmsKeyPolicy } from '../kinds/kms-key-policy.ts';
import { s3BucketPolicy } from '../kinds/s3-bucket-policy.ts';
import { type S3Replication, s3Replication } from '../kinds/s3-replication.ts';
import {
  type ForeignRuleNeeds,
  foreignRuleStatements,
  sourceKeyArns,
} from '../policy/required-statements.ts';
import { normalizeStatements, type Statements } from '../policy/statements.ts';
import { replicatesDeleteMarkers, rulePrefixOf, selectsKmsObjects } from '../proof/rule-context.ts';
import { sourceKeySides } from '../spec/key-uses.ts';
import type { BucketReplication } from '../spec/types.ts';
import { omitUndefined } from '../util/canonical-json.ts';

/**
 * Adds the permissions of foreign rules to the policies of specs that declare `role.also: foreignRules`: the rules of a
 * source bucket share one role, so they change role with the spec. The permissions stay while the rules exist. Pure.
 */
export function addForeignStatements(
  resources: readonly Resource[],
  actual: ActualState,
  pairs: readonly BucketReplication[],
): Resource[] {
  const added = new Map<Id, Statements>();
  const add = (id: Id, statements: Statements) => added.set(id, { ...added.get(id), ...statements });
  for (const pair of pairs) {
    if ('arn' in pair.role || pair.role.also !== 'foreignRules' || !pair.source.managed) continue;
    const rules = foreignRulesOf(pair, actual);
    if (rules.length === 0) continue;
    const statements = foreignRuleStatements(pair, rules, sourceKeyArns(pair, keyArnOrRef));
    add(roleResourceId(iamRolePolicy.name, pair), statements);
    const principal = { Principal: { AWS: [roleArnOrRef(pair)] as string[] } };
    const pick = (selected: readonly ForeignRuleNeeds[], subject: RegExp) =>
      Object.fromEntries(
        Object.entries(foreignRuleStatements(pair, selected, ['*'], principal)).filter(([sid]) =>
          subject.test(sid),
        ),
      );
    const ofKey = (items: Statements): Statements =>
      Object.fromEntries(Object.entries(items).map(([sid, item]) => [sid, { ...item, Resource: '*' }]));
    for (const side of sourceKeySides(pair))
      add(keyResourceId(kmsKeyPolicy.name, side), ofKey(pick(rules, /^ReplikeyForeignSourceKey/)));
    for (const { id, kind, name } of resources) {
      const arn = currentOf(actual, id)?.attrs.arn;
      if (kind === kmsKeyPolicy.name)
        add(
          id,
          ofKey(
            pick(
              rules.filter((rule) => rule.replicaKey === arn),
              /^ReplikeyForeignDestinationKey/,
            ),
          ),
        );
      if (kind === s3BucketPolicy.name)
        add(
          id,
          pick(
            rules.filter((rule) => rule.destination.endsWith(`:::${name}`)),
            /^ReplikeyForeignDestination(Objects|Deletes|Owner)/,
          ),
        );
    }
  }
  return resources.map((resource) => {
    const statements = added.get(resource.id);
    if (!statements || Object.keys(statements).length === 0) return resource;
    const spec = resource.spec as { statements: Statements };
    return {
      ...resource,
      spec: { ...spec, statements: normalizeStatements({ ...spec.statements, ...statements }) },
    };
  });
}

/** Returns what the foreign rules of a source bucket need, also disabled ones: a person may enable them again. */
function foreignRulesOf({ source }: BucketReplication, actual: ActualState): ForeignRuleNeeds[] {
  const current = currentOf(actual, bucketResourceId(s3Replication.name, source.bucket)) as
    | Current<S3Replication, ReplicationRule[]>
    | undefined;
  return (current?.foreign ?? []).map((rule) => {
    const key = rule.Destination?.EncryptionConfiguration?.ReplicaKmsKeyID;
    return omitUndefined({
      prefix: rulePrefixOf(rule),
      destination: rule.Destination?.Bucket ?? '',
      // A policy cannot name an alias, or the related keys of unknown objects; the proof reports the rule.
      replicaKey:
        selectsKmsObjects(rule) && key?.startsWith('arn:') && key.includes(':key/') ? key : undefined,
      replicatesDeletes: replicatesDeleteMarkers(rule),
      overridesOwner: rule.Destination?.AccessControlTranslation?.Owner === 'Destination',
    });
  });
}
