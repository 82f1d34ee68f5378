import { isDeepStrictEqual } from 'node:util';
import type { ReplicationRule } from '@aws-sdk/client-s3';
import type { Aws } from '../aws.ts';
import {
  arn,
  bucket,
  FOREIGN_ACCOUNT,
  type Pair,
  pair,
  replicate,
  rule,
  type Scenario,
  type Scenarios,
  unique,
  versioned,
  versioning,
} from '../support.ts';

const TAG = { Key: 'tier', Value: 'gold' };
const KEY = '0d1c7a9c-3f0e-4f0e-8f0e-1c7a9c3f0e4f';

/** The account of the recordings that keep real names. */
const RECORDED = '644160558196';

/** Removes the fields that a rule of schema V1 must not have. */
const V1 = { Priority: undefined, DeleteMarkerReplication: undefined };

/** Puts a valid configuration with these changes to its rule. */
const putChanged =
  (changes: (buckets: Pair, aws: Aws) => object): Scenario =>
  async (aws) => {
    const buckets = await pair(aws);
    return replicate(aws, buckets, [rule(buckets, changes(buckets, aws))]);
  };

/** Like `putChanged`, and compares the rule that S3 returns with the rule that was put. */
const putAndRead =
  (...changes: object[]): Scenario =>
  async (aws) => {
    const buckets = await pair(aws);
    let lastResponse = {};
    let isKept = true;
    for (const change of changes) {
      const submitted = rule(buckets, change);
      lastResponse = await replicate(aws, buckets, [submitted]);
      isKept &&= isDeepStrictEqual(await read(aws, buckets), [submitted]);
    }
    return { ...lastResponse, kept: isKept };
  };

export const s3Replication: Scenarios = {
  'localstack/s3.put_bucket_replication/test_replication_config#put-bucket-replication': putChanged(() => ({
    ID: undefined,
    Priority: 0,
    Filter: {},
    Status: 'Disabled',
  })),
  // A foreign account owns the recorded bucket name by now.
  'localstack/s3.put_bucket_replication/test_replication_config_without_filter#expected_error_dest_does_not_exist':
    async (aws) => {
      const destination = await bucket(aws.as(FOREIGN_ACCOUNT));
      const buckets = {
        source: await versioned(aws),
        destination,
        role: `arn:aws:iam::${aws.account}:role/r`,
      };
      return replicate(aws, buckets, [
        rule(buckets, {
          ID: 'rtc',
          Priority: 0,
          Filter: {},
          Status: 'Disabled',
          Destination: withReplicationTime(buckets),
        }),
      ]);
    },
  'report/s3.PutBucketReplication.dest-absent': async (aws) => {
    const buckets = { ...(await pair(aws)), destination: unique('absent') };
    return replicate(aws, buckets, [rule(buckets)]);
  },

  'terraform/and-prefix-one-tag': async (aws) => {
    const buckets = await pair(aws);
    return replicate(aws, buckets, [
      rule(buckets, { ID: 'one', Priority: 1, Filter: { And: { Prefix: 'a/', Tags: [TAG] } } }),
      rule(buckets, { ID: 'two', Priority: 2, Filter: { Prefix: 'b/' } }),
      rule(buckets, { ID: 'three', Priority: 3, Filter: { Tag: TAG } }),
    ]);
  },
  'terraform/owner-override-same-account': putChanged(({ destination }, aws) => ({
    Destination: {
      Bucket: arn(destination),
      Account: aws.account,
      AccessControlTranslation: { Owner: 'Destination' },
    },
  })),

  'c7n/test_s3_bucket_no_replication_rule/s3.GetBucketReplication_1': (aws) =>
    putRecordedNames(aws, 'service-role/s3crr_role_for_custodian-repl-test-1', 'custodian-replication-west', {
      ID: 'replication-1',
      Priority: 0,
      Filter: { And: { Prefix: 'abc', Tags: [{ Key: 'Owner', Value: 'c7n' }] } },
    }),
  'c7n/test_s3_bucket_no_replication_rule/s3.GetBucketReplication_2': async (aws) =>
    aws
      .as(RECORDED)
      .s3.getBucketReplication({ Bucket: await bucket(aws.as(RECORDED), 'custodian-replication-west') }),
  'c7n/test_s3_bucket_replication_no_bucket/s3.GetBucketReplication_1': (aws) =>
    putRecordedNames(aws, 's3-replication', 'c1-replication-west', {
      ID: 'rule-1',
      Priority: 0,
      Filter: { Prefix: 'test' },
    }),
  'c7n/test_s3_delete_replicated_bucket/s3.GetBucketReplication_2': (aws) =>
    putRecordedNames(
      aws,
      'custodian-replicated-custodian-replicated-west-s3-repl-role',
      'custodian-replicated-west',
      {
        ID: 'custodian-replicated',
        Filter: undefined,
        Prefix: '',
        ...V1,
      },
    ),
  'c7n/test_s3_replication_policy_disable/s3.GetBucketReplication_1': (aws) =>
    putRecordedNames(aws, 's3_replicator', 'repela3', { ID: '1', Filter: {} }),
  'c7n/test_s3_replication_policy_disable/s3.GetBucketReplication_3': (aws) =>
    putRecordedNames(aws, 's3_replicator', 'repela3', { ID: '1', Filter: {}, Status: 'Disabled' }),

  'stackd/get-none': async (aws) => aws.s3.getBucketReplication({ Bucket: await bucket(aws) }),
  'stackd/delete-none': async (aws) => aws.s3.deleteBucketReplication({ Bucket: await bucket(aws) }),
  'stackd/get-wrong-owner': async (aws) =>
    aws.s3.getBucketReplication({ Bucket: await configured(aws), ExpectedBucketOwner: FOREIGN_ACCOUNT }),
  'stackd/del-wrong-owner': async (aws) =>
    aws.s3.deleteBucketReplication({ Bucket: await configured(aws), ExpectedBucketOwner: FOREIGN_ACCOUNT }),
  'stackd/put-wrong-owner': async (aws) => {
    const buckets = await pair(aws);
    return replicate(aws, buckets, [rule(buckets)], { ExpectedBucketOwner: FOREIGN_ACCOUNT });
  },

  'stackd/src-unversioned': async (aws) => {
    const buckets = { ...(await pair(aws)), source: await bucket(aws), destination: await bucket(aws) };
    return replicate(aws, buckets, [rule(buckets)]);
  },
  'stackd/dst-unversioned': async (aws) => {
    const buckets = { ...(await pair(aws)), destination: await bucket(aws) };
    return replicate(aws, buckets, [rule(buckets)]);
  },
  'stackd/suspend-dst': async (aws) => {
    const buckets = await pair(aws);
    await replicate(aws, buckets, [rule(buckets)]);
    return versioning(aws.in('us-west-2'), buckets.destination, 'Suspended');
  },
  'stackd/dst-suspended': async (aws) => {
    const buckets = await pair(aws);
    await versioning(aws.in('us-west-2'), buckets.destination, 'Suspended');
    return replicate(aws, buckets, [rule(buckets)]);
  },
  'stackd/valid-v2': putChanged(() => ({})),
  'stackd/valid-v2-get': putAndRead({}),
  'stackd/failed-put-keeps-old': async (aws) => {
    const buckets = await pair(aws);
    await replicate(aws, buckets, [rule(buckets)]);
    const failure = await replicate(aws, buckets, [rule(buckets, { Priority: undefined })]).catch(
      (e: Error) => e,
    );
    const current = await aws.s3.getBucketReplication({ Bucket: buckets.source });
    return {
      ...current,
      refused: failure instanceof Error,
      kept: isDeepStrictEqual(current.ReplicationConfiguration?.Rules, [rule(buckets)]),
    };
  },

  'stackd/role-empty': (aws) => withRole(aws, ''),
  'stackd/role-malformed': (aws) => withRole(aws, 'not-an-arn'),
  'stackd/role-absent': (aws) => withRole(aws, `arn:aws:iam::${aws.account}:role/${unique('absent')}`),
  'stackd/rules-empty': async (aws) => replicate(aws, await pair(aws), []),
  'stackd/v1-noprefix': putChanged(() => ({ Filter: undefined, ...V1 })),
  'stackd/v1-priority': putChanged(() => ({ Filter: undefined, Prefix: '', ...V1, Priority: 1 })),
  'stackd/v1-dmr': putChanged(() => ({
    Filter: undefined,
    Prefix: '',
    ...V1,
    DeleteMarkerReplication: { Status: 'Disabled' },
  })),

  'stackd/filter-tag': putAndRead({ Filter: { Tag: TAG } }),
  'stackd/filter-and': putAndRead({
    Filter: {
      And: {
        Prefix: 'x/',
        Tags: [
          { Key: 'z', Value: '2' },
          { Key: 'a', Value: '1' },
        ],
      },
    },
  }),
  'stackd/filter-and-1prefix': putChanged(() => ({ Filter: { And: { Prefix: 'x/' } } })),
  'stackd/filter-and-1tag': putChanged(() => ({ Filter: { And: { Tags: [TAG] } } })),
  'stackd/filter-and-empty': putChanged(() => ({ Filter: { And: {} } })),
  'stackd/filter-prefix+tag': putChanged(() => ({ Filter: { Prefix: 'x/', Tag: TAG } })),
  'stackd/dup-tags': putChanged(() => ({
    Filter: {
      And: {
        Tags: [
          { Key: 'a', Value: '1' },
          { Key: 'a', Value: '2' },
        ],
      },
    },
  })),

  'stackd/ssc-empty': putChanged(() => ({ SourceSelectionCriteria: {} })),
  'stackd/repmod': putAndRead(
    { SourceSelectionCriteria: { ReplicaModifications: { Status: 'Enabled' } } },
    { SourceSelectionCriteria: { ReplicaModifications: { Status: 'Disabled' } } },
  ),
  'stackd/kms-optout-no-key': putChanged(() => ({
    SourceSelectionCriteria: { SseKmsEncryptedObjects: { Status: 'Disabled' } },
  })),
  'report/s3.PutBucketReplication.enc-without-ssc': putChanged(({ destination }, aws) => ({
    Destination: {
      Bucket: arn(destination),
      EncryptionConfiguration: { ReplicaKmsKeyID: `arn:aws:kms:us-west-2:${aws.account}:key/${KEY}` },
    },
  })),
  'report/s3.PutBucketReplication.ssc-without-key': putChanged(() => ({
    SourceSelectionCriteria: { SseKmsEncryptedObjects: { Status: 'Enabled' } },
  })),
  'stackd/existing-obj': ['Enabled', 'Disabled'].map((Status) =>
    putChanged(() => ({ ExistingObjectReplication: { Status } })),
  ),
  'stackd/v2-noprio': putChanged(() => ({ Priority: undefined })),
  'stackd/v2-nodmr': putChanged(() => ({ DeleteMarkerReplication: undefined })),
  'stackd/v2-noid': async (aws) => {
    const buckets = await pair(aws);
    const put = await replicate(aws, buckets, [rule(buckets, { ID: undefined })]);
    const [firstRead, secondRead] = [await read(aws, buckets), await read(aws, buckets)];
    return {
      ...put,
      kept: (firstRead?.[0]?.ID?.length ?? 0) > 0 && isDeepStrictEqual(firstRead, secondRead),
    };
  },
  'stackd/dup-id': (aws) => putTwoRules(aws, { Priority: 1 }, { Priority: 2 }),
  'stackd/dup-prio': (aws) => putTwoRules(aws, { ID: 'one' }, { ID: 'two' }),
  'stackd/two-dst': async (aws) => {
    const [buckets, secondDestination] = [await pair(aws), await versioned(aws)];
    return replicate(aws, buckets, [
      rule(buckets, { ID: 'one', Priority: 1 }),
      rule({ ...buckets, destination: secondDestination }, { ID: 'two', Priority: 2 }),
    ]);
  },
  'stackd/id-256': putChanged(() => ({ ID: 'x'.repeat(256) })),
  'stackd/prio-neg': putChanged(() => ({ Priority: -1 })),

  'stackd/dst-object-arn': putChanged(({ destination }) => ({
    Destination: { Bucket: `${arn(destination)}/object` },
  })),
  'stackd/same-bucket': putChanged(({ source }) => ({ Destination: { Bucket: arn(source) } })),
  'stackd/acct-own': putChanged(({ destination }, aws) => ({
    Destination: { Bucket: arn(destination), Account: aws.account },
  })),
  'stackd/acct-wrong': putChanged(({ destination }) => ({
    Destination: { Bucket: arn(destination), Account: FOREIGN_ACCOUNT },
  })),
  'stackd/acct-junk': putChanged(({ destination }) => ({
    Destination: { Bucket: arn(destination), Account: 'abc' },
  })),
  'stackd/owner-noacct': putChanged(({ destination }) => ({
    Destination: { Bucket: arn(destination), AccessControlTranslation: { Owner: 'Destination' } },
  })),
  'stackd/rtc-threshold': putChanged(({ destination }) => ({
    Destination: {
      Bucket: arn(destination),
      ReplicationTime: { Status: 'Enabled', Time: { Minutes: 15 } },
      Metrics: { Status: 'Enabled' },
    },
  })),
  'stackd/metrics-threshold-nortc': putChanged(({ destination }) => ({
    Destination: {
      Bucket: arn(destination),
      Metrics: { Status: 'Enabled', EventThreshold: { Minutes: 15 } },
    },
  })),
};

function withReplicationTime({ destination }: Pair) {
  return {
    Bucket: arn(destination),
    StorageClass: 'STANDARD',
    ReplicationTime: { Status: 'Enabled', Time: { Minutes: 15 } },
    Metrics: { Status: 'Enabled', EventThreshold: { Minutes: 15 } },
  };
}

async function read(aws: Aws, { source }: Pair): Promise<ReplicationRule[] | undefined> {
  const { ReplicationConfiguration } = await aws.s3.getBucketReplication({ Bucket: source });
  return ReplicationConfiguration?.Rules;
}

async function configured(aws: Aws): Promise<string> {
  const buckets = await pair(aws);
  await replicate(aws, buckets, [rule(buckets)]);
  return buckets.source;
}

async function withRole(aws: Aws, role: string) {
  const buckets = { ...(await pair(aws)), role };
  return replicate(aws, buckets, [rule(buckets)]);
}

/** Puts two rules for one destination, with these fields. */
async function putTwoRules(aws: Aws, first: object, second: object) {
  const buckets = await pair(aws);
  return replicate(aws, buckets, [
    rule(buckets, { Filter: { Prefix: 'a/' }, ...first }),
    rule(buckets, { Filter: { Prefix: 'b/' }, ...second }),
  ]);
}

/** Puts a rule with the recorded names, and reads it. */
async function putRecordedNames(aws: Aws, roleName: string, destination: string, changes: object) {
  const caller = aws.as(RECORDED);
  const buckets = {
    source: await versioned(caller),
    destination: await versioned(caller, destination),
    role: `arn:aws:iam::${caller.account}:role/${roleName}`,
  };
  await replicate(caller, buckets, [rule(buckets, changes)]);
  return caller.s3.getBucketReplication({ Bucket: buckets.source });
}
