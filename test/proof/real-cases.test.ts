import { PutKeyPolicyCommand } from '@aws-sdk/client-kms';
import { describe, expect, test } from 'vitest';
import { type Facts, factValue, type KeyFacts } from '../../src/core/facts.ts';
import type { Grant } from '../../src/iam/grants.ts';
import type { Policy, Statement } from '../../src/iam/types.ts';
import type { Finding, Fix } from '../../src/proof/findings.ts';
import { applyFix } from '../../src/proof/fix.ts';
import type { ObservedObject } from '../../src/proof/object-cases.ts';
import { proveRules } from '../../src/proof/prove.ts';
import type { RuleProof } from '../../src/proof/types.ts';
import { problemsOf, tax } from '../spec/support.ts';
import { ACCOUNT_SPECS, TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';
import { aPair, REAL_CASES } from './real-cases.ts';

describe('proof of reported cases: finds and fixes the cause', () => {
  test.each(REAL_CASES)(
    '$name ($thread)',
    ({ world: env, seen = [], errors, warnings = [], names, rounds = 1 }) => {
      const { verdict, findings } = proofOf(env, seen);
      expect(codesOf(findings, 'error')).toEqual(errors);
      expect(codesOf(findings, 'warning')).toEqual(warnings);
      expect(verdict).toBe(errors.length === 0 ? 'proven' : 'broken');
      for (const name of names) expect(findings[0]?.message).toContain(name);

      let fixedEnv = env;
      for (let round = 0; round < rounds; round++) {
        const { findings: openFindings } = proofOf(fixedEnv, seen);
        expect(openFindings.filter(({ fixes }) => fixes.length === 0)).toEqual([]);
        // Other roles may share an attached policy, so a fix extends an inline policy of the role.
        expect(openFindings.flatMap(({ fixes }) => fixes).filter(isToAttached)).toEqual([]);
        fixedEnv = openFindings.flatMap(({ fixes }) => fixes).reduce(withFix, fixedEnv);
      }
      expect(proofOf(fixedEnv, seen)).toMatchObject({ verdict: 'proven', findings: [] });
    },
  );
});

describe('proof with an unreadable destination in another account', () => {
  const blind = (parts: Parameters<typeof aPair>[0]): Facts => {
    const facts = aPair({ across: true, ...parts });
    return { ...facts, buckets: { ...facts.buckets, 'acme-tax-replica': { unread: 'AccessDenied' } } };
  };

  // IAM User Guide, "Cross-account policy evaluation logic": both sides must allow.
  test('a role without the permission there is denied, also if the other account allows everything (aws/aws-cdk#35825)', () => {
    const { verdict, findings } = proofOf(blind({ role: { replicas: null } }), []);
    expect(verdict).toBe('broken');
    expect(codesOf(findings, 'error')).toEqual(['RK1308', 'RK1311']);
    expect(findings[0]?.message).toContain('no identity policy of');
    expect(findings[0]?.fixes).toMatchObject([{ policy: { kind: 'role' } }]);
  });

  test('a role with the permissions is undecided, because the other account may not allow', () => {
    const { verdict, findings } = proofOf(blind({}), []);
    expect(verdict).toBe('unknown');
    expect(codesOf(findings, 'error')).toEqual([]);
  });

  test('a key of another account with an unreadable policy: the role alone is denied', () => {
    const facts = aPair({ across: true, role: { replicaKey: null } });
    const keyArn = `arn:aws:kms:us-west-2:444455556666:key/replica`;
    const keys = {
      ...facts.keys,
      [keyArn]: { arn: keyArn, state: 'Enabled', policy: { unread: 'AccessDenied' } },
    };
    const { verdict, findings } = proofOf({ ...facts, keys }, []);
    expect(verdict).toBe('broken');
    expect(codesOf(findings, 'error')).toEqual(['RK1313', 'RK1313', 'RK1312']);
  });
});

describe('proof with condition keys that are known', () => {
  const denyingUnless = (operator: string, key: string, value: string): Facts =>
    aPair({
      bucketPolicy: {
        Version: '2012-10-17',
        Statement: {
          Effect: 'Deny',
          Principal: '*',
          Action: 's3:*',
          Resource: ['arn:aws:s3:::acme-tax-replica', 'arn:aws:s3:::acme-tax-replica/*'],
          Condition: { [operator]: { [key]: value } },
        },
      },
    });
  const withRole = (facts: Facts, parts: object): Facts => ({
    ...facts,
    roles: Object.fromEntries(Object.entries(facts.roles).map(([arn, role]) => [arn, { ...role, ...parts }])),
  });
  const roleFacts = { id: 'AROAEXAMPLEEXAMPLE123', tags: { team: 'tax' } };

  // aws-facts: a session is `<RoleId>:s3-replication`; the tags are those of GetRole; a service role acts itself.
  test.each([
    ['aws:userId of the role', 'StringNotLike', 'aws:userId', 'AROAEXAMPLEEXAMPLE123:*', 'proven'],
    ['aws:userId of another role', 'StringNotLike', 'aws:userId', 'AROAOTHER:*', 'broken'],
    [
      'aws:RequestedRegion of the destination',
      'StringNotEquals',
      'aws:RequestedRegion',
      'us-west-2',
      'proven',
    ],
    ['aws:RequestedRegion of the source', 'StringNotEquals', 'aws:RequestedRegion', 'us-east-1', 'broken'],
    ['a tag of the role', 'StringNotEquals', 'aws:PrincipalTag/team', 'tax', 'proven'],
    ['another value of a tag', 'StringNotEquals', 'aws:PrincipalTag/team', 'audit', 'broken'],
    ['a tag that the role lacks', 'StringNotEquals', 'aws:PrincipalTag/other', 'tax', 'broken'],
    ['aws:ViaAWSService', 'Bool', 'aws:ViaAWSService', 'true', 'proven'],
    ['aws:CalledVia', 'ForAnyValue:StringEquals', 'aws:CalledVia', 's3.amazonaws.com', 'proven'],
  ])('%s: the result is decided', (_, operator, key, value, verdict) => {
    expect(proofOf(withRole(denyingUnless(operator, key, value), roleFacts), []).verdict).toBe(verdict);
  });

  test('a role whose id and tags are not known yet: the result is undecided', () => {
    const facts = denyingUnless('StringNotEquals', 'aws:PrincipalTag/team', 'tax');
    expect(proofOf(facts, []).verdict).toBe('unknown');
  });

  test.each([
    ['another account', { 'aws:SourceAccount': '999988887777' }, 'broken'],
    ['another bucket', { 'aws:SourceArn': 'arn:aws:s3:::other' }, 'broken'],
    ['the account', { 'aws:SourceAccount': '111122223333' }, 'unknown'],
  ])(
    'trust policy with a condition for %s: is decided if no value that S3 may send meets it',
    (_, keys, verdict) => {
      const trust = {
        Version: '2012-10-17',
        Statement: {
          Effect: 'Allow',
          Principal: { Service: 's3.amazonaws.com' },
          Action: 'sts:AssumeRole',
          Condition: { StringEquals: keys },
        },
      };
      expect(proofOf(withRole(aPair(), { trust }), []).verdict).toBe(verdict);
    },
  );
});

// AWS KMS Developer Guide, "Grants in AWS KMS": a grant allows without any key policy or IAM policy.
describe('proof with grants of keys', () => {
  const KEY = 'arn:aws:kms:us-east-1:111122223333:key/source';
  const ROLE = 'arn:aws:iam::111122223333:role/acme-tax-replication';
  const grant: Grant = { GrantId: '0c237476', GranteePrincipal: ROLE, Operations: ['Decrypt'] };
  const pair = (grants: KeyFacts['grants'], parts: Parameters<typeof aPair>[0] = {}): Facts => {
    const facts = aPair({ role: { sourceKey: null }, ...parts });
    const key = { ...factValue(facts.keys[KEY]), arn: KEY };
    return { ...facts, keys: { ...facts.keys, [KEY]: grants === undefined ? key : { ...key, grants } } };
  };
  const answersOf = (facts: Facts) =>
    proofOf(facts, []).answers.filter(({ action, resource }) => action === 'kms:Decrypt' && resource === KEY);

  test('a grant to the role: the rule is proven without a policy that allows', () => {
    const { verdict, findings } = proofOf(pair([grant]), []);
    expect([verdict, findings]).toEqual(['proven', []]);
    expect(answersOf(pair([grant]))[0]).toMatchObject({
      result: 'allowed',
      reason: `allowed by the grant 0c237476 of ${KEY}`,
    });
  });

  test('a grant to a role of another account: neither side needs a policy', () => {
    const OTHER = 'arn:aws:kms:us-west-2:444455556666:key/replica';
    const facts = aPair({ across: true, role: { replicaKey: null }, replicaKeyPolicy: { Statement: [] } });
    const key = { arn: OTHER, state: 'Enabled', policy: { Statement: [] } };
    const grants = [{ ...grant, Operations: ['Encrypt', 'GenerateDataKey', 'Decrypt'] }];
    expect(proofOf({ ...facts, keys: { ...facts.keys, [OTHER]: key } }, []).verdict).toBe('broken');
    const granted = { ...facts, keys: { ...facts.keys, [OTHER]: { ...key, grants } } };
    expect(proofOf(granted, [])).toMatchObject({ verdict: 'proven', findings: [] });
  });

  test.each<[string, Partial<Grant>]>([
    ['another role', { GranteePrincipal: `${ROLE}2` }],
    ['another operation', { Operations: ['Encrypt'] }],
    ['another bucket', { Constraints: { EncryptionContextEquals: { 'aws:s3:arn': 'arn:aws:s3:::other' } } }],
  ])('a grant for %s does not count: the rule is broken, with the fix of the policy', (_, parts) => {
    const { verdict, findings } = proofOf(pair([{ ...grant, ...parts }]), []);
    expect(verdict).toBe('broken');
    expect(findings[0]).toMatchObject({ code: 'RK1307', fixes: [{ policy: { kind: 'role' } }] });
    expect(findings[0]?.message).not.toContain('grants');
  });

  test('a constraint on the bucket covers objects with a Bucket Key alone', () => {
    const Constraints = { EncryptionContextEquals: { 'aws:s3:arn': 'arn:aws:s3:::acme-tax' } };
    const { verdict, findings } = proofOf(pair([{ ...grant, Constraints }]), []);
    expect(verdict).toBe('proven');
    expect(findings.map(({ code, severity }) => [code, severity])).toEqual([['RK1307', 'warning']]);
  });

  test('an explicit Deny wins over a grant', () => {
    const deny: Statement = { Effect: 'Deny', Principal: '*', Action: 'kms:Decrypt', Resource: '*' };
    const { verdict, findings } = proofOf(pair([grant], { sourceKeyPolicy: { Statement: [deny] } }), []);
    expect(verdict).toBe('broken');
    expect(findings[0]?.message).toContain('denies kms:Decrypt');
  });

  // AWS documents for policies alone what a permissions boundary limits.
  test('a permissions boundary that does not allow: the result is undecided', () => {
    const facts = pair([grant]);
    const boundary: Policy = { Statement: [{ Effect: 'Allow', Action: 's3:*', Resource: '*' }] };
    const roles = { [ROLE]: { ...factValue(facts.roles[ROLE]), boundary } };
    expect(answersOf({ ...facts, roles })[0]?.result).toBe('unknown');
    const wide: Policy = { Statement: [{ Effect: 'Allow', Action: '*', Resource: '*' }] };
    const allowed = { [ROLE]: { ...factValue(facts.roles[ROLE]), boundary: wide } };
    expect(answersOf({ ...facts, roles: allowed })[0]?.result).toBe('allowed');
  });

  test('grants that cannot be read: the result is undecided, and names the key', () => {
    const { verdict, findings } = proofOf(pair({ unread: 'AccessDenied' }), []);
    expect(verdict).toBe('unknown');
    expect(findings[0]).toMatchObject({ code: 'RK1901', fixes: [] });
    expect(findings[0]?.message).toContain(`the grants of ${KEY} cannot be read: AccessDenied`);
  });

  test('grants that were not read: the rule is broken, and the message says so', () => {
    const { verdict, findings } = proofOf(pair(undefined), []);
    expect(verdict).toBe('broken');
    expect(findings[0]?.message).toMatch(/; the grants of the key were not read$/);
  });
});

const ID = '1234abcd-12ab-34cd-56ef-1234567890ab';

describe('reported cases that replikey prevents', () => {
  test('spec: a replica key for a rule without the KMS selection is rejected with its line (hashicorp/terraform-provider-aws#26241)', async () => {
    const [problem, ...more] = await problemsOf(tax(['Tax/', `Tax/\n      replicaKmsKeyId: ${ID}`]));
    expect(more).toEqual([]);
    expect(problem).toMatchObject({ position: { line: 16 }, path: 'spec.rules[0].replicaKmsKeyId' });
  });

  test('rule: has a replica key exactly if it selects KMS-encrypted objects (hashicorp/terraform-provider-aws#26241)', async () => {
    const both = '\n    - { prefix: Plain/, sseKmsEncryptedObjects: false }\n';
    await using env = await testEnv(TAX_SPEC.replace('Tax/\n', `Tax/${both}`));
    await env.reconcile();
    const sent = rulesOf(env, 'acme-tax').map(({ SourceSelectionCriteria: selects, Destination }) => [
      selects?.SseKmsEncryptedObjects?.Status,
      Destination?.EncryptionConfiguration !== undefined,
    ]);
    expect(sent).toEqual([
      ['Enabled', true],
      [undefined, false],
    ]);
  });

  test('alias: is resolved in the account of the bucket and written as an ARN (ministryofjustice/aws-root-account#1015)', async () => {
    const shared = TAX_SPEC.replaceAll('alias/acme-tax-replica', 'alias/acme-tax');
    const across = shared
      .replace('us-east-1,', 'us-east-1, account: main,')
      .replace('us-west-2,', 'us-west-2, account: backup,');
    await using env = await testEnv(`${ACCOUNT_SPECS}${across}`);
    // The account of the role has a key of the same alias in the Region of the destination.
    await env.reconcileWith(
      TAX_SPEC.replaceAll('acme-tax', 'decoy')
        .replace('decoy-replica,', 'decoy-copy,')
        .replace('decoy-replica', 'acme-tax'),
    );
    await env.reconcile();
    const [rule] = rulesOf(env, 'acme-tax');
    const { store } = env.sandbox;
    const { aliases, keys } = store.account('111122223333');
    const ids = [...aliases.values()]
      .filter(({ name }) => name === 'alias/acme-tax')
      .map(({ targetKeyId }) => targetKeyId);
    const decoys = [...keys.values()].filter(({ id }) => ids.includes(id)).map(({ region }) => region);
    expect(decoys).toContain('us-west-2');
    const destinationKeys = [...store.account('444455556666').keys.values()];
    expect(destinationKeys).toHaveLength(1);
    expect(rule?.Destination?.EncryptionConfiguration?.ReplicaKmsKeyID).toBe(
      `arn:aws:kms:us-west-2:444455556666:key/${destinationKeys[0]?.id}`,
    );
    expect((await env.canaries()).map(({ result }) => result)).toEqual(['replicated', 'replicated']);
  });

  test('key id: is written as an ARN, and rejected if the account is unknown (crossplane-contrib/provider-upjet-aws#1478)', async () => {
    const [problem] = await problemsOf(tax(['alias/acme-tax-replica\n', `${ID}\n`]));
    expect(problem).toMatchObject({
      position: { line: 13 },
      message: 'a key id does not identify the account of the key',
    });

    const inAccount = `${ACCOUNT_SPECS}${TAX_SPEC.replaceAll('region:', 'account: main, region:')}`;
    await using env = await testEnv(inAccount);
    await env.reconcile();
    const [rule] = rulesOf(env, 'acme-tax');
    const arn = rule?.Destination?.EncryptionConfiguration?.ReplicaKmsKeyID ?? '';
    const { plan } = await env.reconcileWith(
      inAccount.replace('alias/acme-tax-replica', arn.slice(arn.lastIndexOf('/') + 1)),
    );
    expect({ waves: plan.waves, blocked: plan.blocked }).toEqual({ waves: [], blocked: [] });
  });

  test('versioning: is enabled on both buckets before replication, within one run (terraform-aws-modules/terraform-aws-s3-bucket#172)', async () => {
    const message = 'Destination bucket must have versioning enabled.';
    const late = { match: 'PutBucketReplication', nth: 1, times: 2 };
    await using env = await testEnv(TAX_SPEC, {
      faultSettings: { faults: [{ ...late, what: { status: 400, code: 'InvalidRequest', message } }] },
    });
    const waits: string[] = [];
    const { plan, results, remaining } = await env.reconcile({
      onEvent: (event) => event.type === 'waiting' && waits.push(event.waitsFor),
    });
    const needs = plan.waves.flat().find(({ id }) => id === 's3.replication/acme-tax')?.needs;
    expect(needs).toContain('s3.versioning/acme-tax');
    expect(needs).toContain('s3.versioning/acme-tax-replica');
    expect(results.filter(({ result }) => result !== 'applied')).toEqual([]);
    expect(remaining?.waves).toEqual([]);
    expect(waits).toContain('S3 to see that versioning is enabled on both buckets');
    const order = writesOf(env).filter((operation) => /PutBucket(Versioning|Replication)/.test(operation));
    expect(order).toEqual([
      'PutBucketVersioning',
      'PutBucketVersioning',
      'PutBucketReplication',
      'PutBucketReplication',
      'PutBucketReplication',
    ]);
  });

  test('role: is created before a policy names it (terraform-aws-modules/terraform-aws-kms#30)', async () => {
    await using env = await testEnv();
    const { results } = await env.reconcile();
    expect(results.filter(({ result }) => result !== 'applied')).toEqual([]);
    const writes = writesOf(env);
    expect(writes.indexOf('CreateRole')).toBeLessThan(writes.indexOf('PutKeyPolicy'));
    expect(writes.indexOf('CreateRole')).toBeGreaterThanOrEqual(0);
    // The reverse order fails.
    const Statement = {
      Effect: 'Allow',
      Action: 'kms:*',
      Resource: '*',
      Principal: { AWS: `${ROLES}/missing` },
    };
    const Policy = JSON.stringify({ Version: '2012-10-17', Statement });
    const [key] = [...env.sandbox.store.account('111122223333').keys.values()];
    await expect(
      env.client.send(
        { region: key?.region ?? '' },
        new PutKeyPolicyCommand({ KeyId: key?.id, PolicyName: 'default', Policy }),
      ),
    ).rejects.toMatchObject({ name: 'MalformedPolicyDocumentException' });
  });

  test('missing role: is reported with its position, before any write (aws-ia/terraform-aws-eks-blueprints#455)', async () => {
    await using env = await testEnv(
      TAX_SPEC.replace('  rules:', `  role: { arn: "${ROLES}/missing" }\n  rules:`),
    );
    const { plan } = await env.reconcile();
    expect(plan.blocked).toEqual([
      expect.objectContaining({
        why: `the role ${ROLES}/missing does not exist; create it first, since replikey never creates a role given by ARN`,
        from: expect.objectContaining({ line: 7 }),
      }),
    ]);
    expect(writesOf(env)).not.toContain('PutKeyPolicy');
    expect(writesOf(env)).not.toContain('PutBucketReplication');
  });

  test('several destinations: every rule has its own filter and priority (cloudposse/terraform-aws-s3-bucket#93)', async () => {
    const other = TAX_SPEC.replace('name: tax', 'name: copy').replaceAll('acme-tax-replica', 'acme-tax-copy');
    await using env = await testEnv([TAX_SPEC, other].join('---\n').replaceAll('Tax/', '""'));
    const { results } = await env.reconcile();
    expect(results.filter(({ result }) => result !== 'applied')).toEqual([]);
    const rules = rulesOf(env, 'acme-tax');
    expect(rules.map(({ Filter }) => Filter)).toEqual([{ Prefix: '' }, { Prefix: '' }]);
    expect(new Set(rules.map(({ Priority }) => Priority)).size).toBe(2);
    expect(new Set(rules.map(({ Destination }) => Destination?.Bucket)).size).toBe(2);
  });
});

const ROLES = 'arn:aws:iam::111122223333:role';

const rulesOf = ({ sandbox }: TestEnv, bucket: string) =>
  (sandbox.store.bucket(bucket)?.replication?.Rules ?? []).toSorted(
    (a, b) => (a.Priority ?? 0) - (b.Priority ?? 0),
  );

const writesOf = ({ sandbox }: TestEnv): string[] =>
  sandbox.log.entries.filter(({ write }) => write).map(({ operation }) => operation);

function proofOf(env: Facts, seen: readonly ObservedObject[]): RuleProof {
  const [proof] = proveRules(env, 'acme-tax', seen);
  if (!proof) throw new Error('there is no rule');
  return proof;
}

const codesOf = (findings: readonly Finding[], wanted: Finding['severity']) =>
  findings.filter(({ severity }) => severity === wanted).map(({ code }) => code);

const isToAttached = (fix: Fix): boolean => 'policy' in fix && fix.policy.policy?.startsWith('arn:') === true;

/** Returns the facts after a fix, exactly as printed. */
function withFix(env: Facts, fix: Fix): Facts {
  if (!('call' in fix)) return applyFix(env, fix);
  const { operation, input } = fix.call;
  if (operation !== 'PutBucketReplication') throw new Error(`no row needs ${operation}`);
  const { Bucket, ReplicationConfiguration } = input as { Bucket: string; ReplicationConfiguration: never };
  const before = env.buckets[Bucket] as object as { region: string };
  return {
    ...env,
    buckets: { ...env.buckets, [Bucket]: { ...before, replication: ReplicationConfiguration } },
  };
}
