/**
 * Measures the CPU time of the proof and its growth with the number of rules. Each bucket has ten rules and its own keys.
 * Run with `npm run bench`. The results are CPU times of this machine and ratios; they are not a test.
 */
import { type Facts, factValue } from '../src/core/facts.ts';
import { evaluate } from '../src/iam/evaluate.ts';
import type { Policy } from '../src/iam/types.ts';
import { proveRules } from '../src/proof/prove.ts';
import { saveResults } from './support/results.ts';

const ACCOUNT = '111122223333';
const RULES_A_BUCKET = 10;

/** Returns the facts of converged specs with this number of rules. */
function createFacts(rules: number): Facts {
  const facts: Facts = { buckets: {}, roles: {}, keys: {} };
  for (let bucket = 0; bucket < rules / RULES_A_BUCKET; bucket++) {
    const [source, destination] = [`source-${bucket}`, `destination-${bucket}`];
    const role = `arn:aws:iam::${ACCOUNT}:role/replikey-${source}`;
    const [from, to] = [`key/source-${bucket}`, `key/destination-${bucket}`];
    const keys = {
      source: `arn:aws:kms:us-east-1:${ACCOUNT}:${from}`,
      destination: `arn:aws:kms:us-west-2:${ACCOUNT}:${to}`,
    };
    const prefixes = Array.from({ length: RULES_A_BUCKET }, (_, index) => `Prefix${index}/`);
    const rule = (Prefix: string, index: number) => ({
      ID: `replikey/${source}/${index}`,
      Status: 'Enabled' as const,
      Priority: index + 1,
      Filter: { Prefix },
      DeleteMarkerReplication: { Status: 'Enabled' as const },
      SourceSelectionCriteria: { SseKmsEncryptedObjects: { Status: 'Enabled' as const } },
      Destination: {
        Bucket: `arn:aws:s3:::${destination}`,
        EncryptionConfiguration: { ReplicaKmsKeyID: keys.destination },
        Metrics: { Status: 'Enabled' as const },
      },
    });
    const encrypted = (KMSMasterKeyID: string) => ({
      Rules: [
        {
          ApplyServerSideEncryptionByDefault: { SSEAlgorithm: 'aws:kms', KMSMasterKeyID },
          BucketKeyEnabled: true,
        },
      ],
    });
    const bucketFacts = (region: string, key: string) => ({
      region,
      account: ACCOUNT,
      versioning: { Status: 'Enabled' },
      encryption: encrypted(key),
      policy: null,
      objectLock: null,
    });
    facts.buckets[source] = {
      ...bucketFacts('us-east-1', keys.source),
      replication: { Role: role, Rules: prefixes.map(rule) },
    };
    facts.buckets[destination] = bucketFacts('us-west-2', keys.destination);
    facts.roles[role] = {
      trust: policy({ Principal: { Service: 's3.amazonaws.com' }, Action: 'sts:AssumeRole' }),
      policies: { replikey: rolePolicy(source, destination, keys, prefixes) },
      boundary: null,
    };
    for (const arn of Object.values(keys)) {
      facts.keys[arn] = {
        arn,
        state: 'Enabled',
        usage: 'ENCRYPT_DECRYPT',
        keySpec: 'SYMMETRIC_DEFAULT',
        policy: policy({
          Principal: { AWS: `arn:aws:iam::${ACCOUNT}:root` },
          Action: 'kms:*',
          Resource: '*',
        }),
      };
    }
  }
  return facts;
}

const policy = (...statements: object[]): Policy => ({
  Version: '2012-10-17',
  Statement: statements.map((statement) => ({ Effect: 'Allow', ...statement })),
});

function rolePolicy(
  source: string,
  destination: string,
  keys: { source: string; destination: string },
  prefixes: string[],
): Policy {
  const under = (bucket: string) => prefixes.map((prefix) => `arn:aws:s3:::${bucket}/${prefix}*`);
  const use = (bucket: string, region: string) => ({
    StringEquals: { 'kms:ViaService': `s3.${region}.amazonaws.com` },
    StringLike: { 'kms:EncryptionContext:aws:s3:arn': [`arn:aws:s3:::${bucket}`, ...under(bucket)] },
  });
  return policy(
    { Action: ['s3:GetReplicationConfiguration', 's3:ListBucket'], Resource: `arn:aws:s3:::${source}` },
    { Action: 's3:GetObjectVersion*', Resource: under(source) },
    {
      Action: ['s3:ReplicateObject', 's3:ReplicateTags', 's3:ReplicateDelete'],
      Resource: under(destination),
    },
    { Action: 'kms:Decrypt', Resource: keys.source, Condition: use(source, 'us-east-1') },
    {
      Action: ['kms:Encrypt', 'kms:Decrypt', 'kms:GenerateDataKey'],
      Resource: keys.destination,
      Condition: use(destination, 'us-west-2'),
    },
  );
}

/** Returns the CPU time of some work in milliseconds: the minimum of a few runs. */
function cpuOf(work: () => void): number {
  const runs = Array.from({ length: 5 }, () => {
    const before = process.cpuUsage();
    work();
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1_000;
  });
  return Math.min(...runs);
}

let requests = 0;
function proveAll(facts: Facts): void {
  requests = 0;
  for (const [name, fact] of Object.entries(facts.buckets)) {
    if (!factValue(factValue(fact)?.replication)) continue;
    for (const { verdict, rule, answers } of proveRules(facts, name)) {
      if (verdict !== 'proven') throw new Error(`${rule} is ${verdict}`);
      requests += answers.length;
    }
  }
}

const request = {
  principal: `arn:aws:sts::${ACCOUNT}:assumed-role/replikey-source-0/s3-replication`,
  action: 's3:ReplicateObject',
  resource: 'arn:aws:s3:::destination-0/Prefix9/x',
  resourceAccount: ACCOUNT,
};
const [first] = Object.values(createFacts(10).roles);
const identity = Object.entries(factValue(factValue(first)?.policies) ?? {}).map(([name, policy]) => ({
  name,
  policy: policy,
}));
const decisions = cpuOf(() => {
  for (let count = 0; count < 10_000; count++) evaluate(request, { identity });
});

console.log('| rules | CPU | requests | a rule | against one rule of 100 |');
console.log('| ---: | ---: | ---: | ---: | ---: |');
const rows: object[] = [];
let base = 0;
for (const rules of [100, 1_000, 10_000]) {
  const facts = createFacts(rules);
  const ms = cpuOf(() => proveAll(facts));
  base ||= ms / rules;
  const msPerRule = ms / rules;
  rows.push({ rules, ms, requests, usARule: msPerRule * 1_000, ratio: msPerRule / base });
  console.log(
    `| ${rules.toLocaleString('en')} | ${ms.toFixed(0)} ms | ${requests.toLocaleString('en')} | ${(msPerRule * 1_000).toFixed(0)} µs | ${(msPerRule / base).toFixed(2)} |`,
  );
}
console.log(`\nOne decision of the evaluator alone: ${(decisions / 10).toFixed(1)} µs.`);
await saveResults('proof', rows);
