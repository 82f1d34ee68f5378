import { isDeepStrictEqual } from 'node:util';
import type { ReplicationRule } from '@aws-sdk/client-s3';
import type { Aws } from '../aws.ts';
import {
  arn,
  bucket,
  type Pair,
  pair,
  replicate,
  rule,
  type Scenario,
  type Scenarios,
  STRANGER,
  unique,
  versioned,
  versioning,
} from '../support.ts';

const TAG = { Key: 'tier', Value: 'gold' };
const KEY = '0d1c7a9c-3f0e-4f0e-8f0e-1c7a9c3f0e4f';

/** The account of the recordings with real names. */
const RECORDED = '644160558196';

/** What a rule of the first schema must not carry. */
const V1 = { Priority: undefined, DeleteMarkerReplication: undefined };

/** A rule is changed; everything else about the configuration is as AWS likes it. */
const changed =
  (changes: (made: Pair, aws: Aws) => object): Scenario =>
  async (aws) => {
    const made = await pair(aws);
    return replicate(aws, made, [rule(made, changes(made, aws))]);
  };

/** As `changed`, and whether what is read back is what was put. */
const kept =
  (...changes: object[]): Scenario =>
  async (aws) => {
    const made = await pair(aws);
    let last = {};
    let same = true;
    for (const change of changes) {
      const submitted = rule(made, change);
      last = await replicate(aws, made, [submitted]);
      same &&= isDeepStrictEqual(await read(aws, made), [submitted]);
    }
    return { ...last, kept: same };
  };

export const s3Replication: Scenarios = {
  'localstack/s3.put_bucket_replication/test_replication_config#put-bucket-replication': changed(() => ({
    ID: undefined,
    Priority: 0,
    Filter: {},
    Status: 'Disabled',
  })),
  // The name that was recorded is long since somebody else's bucket.
  'localstack/s3.put_bucket_replication/test_replication_config_without_filter#expected_error_dest_does_not_exist':
    async (aws) => {
      const destination = await bucket(aws.as(STRANGER));
      const made = { source: await versioned(aws), destination, role: `arn:aws:iam::${aws.account}:role/r` };
      return replicate(aws, made, [
        rule(made, {
          ID: 'rtc',
          Priority: 0,
          Filter: {},
          Status: 'Disabled',
          Destination: withReplicationTime(made),
        }),
      ]);
    },
  'report/s3.PutBucketReplication.dest-absent': async (aws) => {
    const made = { ...(await pair(aws)), destination: unique('absent') };
    return replicate(aws, made, [rule(made)]);
  },

  'terraform/and-prefix-one-tag': async (aws) => {
    const made = await pair(aws);
    return replicate(aws, made, [
      rule(made, { ID: 'one', Priority: 1, Filter: { And: { Prefix: 'a/', Tags: [TAG] } } }),
      rule(made, { ID: 'two', Priority: 2, Filter: { Prefix: 'b/' } }),
      rule(made, { ID: 'three', Priority: 3, Filter: { Tag: TAG } }),
    ]);
  },
  'terraform/owner-override-same-account': changed(({ destination }, aws) => ({
    Destination: {
      Bucket: arn(destination),
      Account: aws.account,
      AccessControlTranslation: { Owner: 'Destination' },
    },
  })),

  'c7n/test_s3_bucket_no_replication_rule/s3.GetBucketReplication_1': (aws) =>
    recorded(aws, 'service-role/s3crr_role_for_custodian-repl-test-1', 'custodian-replication-west', {
      ID: 'replication-1',
      Priority: 0,
      Filter: { And: { Prefix: 'abc', Tags: [{ Key: 'Owner', Value: 'c7n' }] } },
    }),
  'c7n/test_s3_bucket_no_replication_rule/s3.GetBucketReplication_2': async (aws) =>
    aws
      .as(RECORDED)
      .s3.getBucketReplication({ Bucket: await bucket(aws.as(RECORDED), 'custodian-replication-west') }),
  'c7n/test_s3_bucket_replication_no_bucket/s3.GetBucketReplication_1': (aws) =>
    recorded(aws, 's3-replication', 'c1-replication-west', {
      ID: 'rule-1',
      Priority: 0,
      Filter: { Prefix: 'test' },
    }),
  'c7n/test_s3_delete_replicated_bucket/s3.GetBucketReplication_2': (aws) =>
    recorded(
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
    recorded(aws, 's3_replicator', 'repela3', { ID: '1', Filter: {} }),
  'c7n/test_s3_replication_policy_disable/s3.GetBucketReplication_3': (aws) =>
    recorded(aws, 's3_replicator', 'repela3', { ID: '1', Filter: {}, Status: 'Disabled' }),

  'stackd/get-none': async (aws) => aws.s3.getBucketReplication({ Bucket: await bucket(aws) }),
  'stackd/delete-none': async (aws) => aws.s3.deleteBucketReplication({ Bucket: await bucket(aws) }),
  'stackd/get-wrong-owner': async (aws) =>
    aws.s3.getBucketReplication({ Bucket: await configured(aws), ExpectedBucketOwner: STRANGER }),
  'stackd/del-wrong-owner': async (aws) =>
    aws.s3.deleteBucketReplication({ Bucket: await configured(aws), ExpectedBucketOwner: STRANGER }),
  'stackd/put-wrong-owner': async (aws) => {
    const made = await pair(aws);
    return replicate(aws, made, [rule(made)], { ExpectedBucketOwner: STRANGER });
  },

  'stackd/src-unversioned': async (aws) => {
    const made = { ...(await pair(aws)), source: await bucket(aws), destination: await bucket(aws) };
    return replicate(aws, made, [rule(made)]);
  },
  'stackd/dst-unversioned': async (aws) => {
    const made = { ...(await pair(aws)), destination: await bucket(aws) };
    return replicate(aws, made, [rule(made)]);
  },
  'stackd/suspend-dst': async (aws) => {
    const made = await pair(aws);
    await replicate(aws, made, [rule(made)]);
    return versioning(aws.in('us-west-2'), made.destination, 'Suspended');
  },
  'stackd/dst-suspended': async (aws) => {
    const made = await pair(aws);
    await versioning(aws.in('us-west-2'), made.destination, 'Suspended');
    return replicate(aws, made, [rule(made)]);
  },
  'stackd/valid-v2': changed(() => ({})),
  'stackd/valid-v2-get': kept({}),
  'stackd/failed-put-keeps-old': async (aws) => {
    const made = await pair(aws);
    await replicate(aws, made, [rule(made)]);
    const refused = await replicate(aws, made, [rule(made, { Priority: undefined })]).catch((e: Error) => e);
    const now = await aws.s3.getBucketReplication({ Bucket: made.source });
    return {
      ...now,
      refused: refused instanceof Error,
      kept: isDeepStrictEqual(now.ReplicationConfiguration?.Rules, [rule(made)]),
    };
  },

  'stackd/role-empty': (aws) => withRole(aws, ''),
  'stackd/role-malformed': (aws) => withRole(aws, 'not-an-arn'),
  'stackd/role-absent': (aws) => withRole(aws, `arn:aws:iam::${aws.account}:role/${unique('absent')}`),
  'stackd/rules-empty': async (aws) => replicate(aws, await pair(aws), []),
  'stackd/v1-noprefix': changed(() => ({ Filter: undefined, ...V1 })),
  'stackd/v1-priority': changed(() => ({ Filter: undefined, Prefix: '', ...V1, Priority: 1 })),
  'stackd/v1-dmr': changed(() => ({
    Filter: undefined,
    Prefix: '',
    ...V1,
    DeleteMarkerReplication: { Status: 'Disabled' },
  })),

  'stackd/filter-tag': kept({ Filter: { Tag: TAG } }),
  'stackd/filter-and': kept({
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
  'stackd/filter-and-1prefix': changed(() => ({ Filter: { And: { Prefix: 'x/' } } })),
  'stackd/filter-and-1tag': changed(() => ({ Filter: { And: { Tags: [TAG] } } })),
  'stackd/filter-and-empty': changed(() => ({ Filter: { And: {} } })),
  'stackd/filter-prefix+tag': changed(() => ({ Filter: { Prefix: 'x/', Tag: TAG } })),
  'stackd/dup-tags': changed(() => ({
    Filter: {
      And: {
        Tags: [
          { Key: 'a', Value: '1' },
          { Key: 'a', Value: '2' },
        ],
      },
    },
  })),

  'stackd/ssc-empty': changed(() => ({ SourceSelectionCriteria: {} })),
  'stackd/repmod': kept(
    { SourceSelectionCriteria: { ReplicaModifications: { Status: 'Enabled' } } },
    { SourceSelectionCriteria: { ReplicaModifications: { Status: 'Disabled' } } },
  ),
  'stackd/kms-optout-no-key': changed(() => ({
    SourceSelectionCriteria: { SseKmsEncryptedObjects: { Status: 'Disabled' } },
  })),
  'report/s3.PutBucketReplication.enc-without-ssc': changed(({ destination }, aws) => ({
    Destination: {
      Bucket: arn(destination),
      EncryptionConfiguration: { ReplicaKmsKeyID: `arn:aws:kms:us-west-2:${aws.account}:key/${KEY}` },
    },
  })),
  'report/s3.PutBucketReplication.ssc-without-key': changed(() => ({
    SourceSelectionCriteria: { SseKmsEncryptedObjects: { Status: 'Enabled' } },
  })),
  'stackd/existing-obj': ['Enabled', 'Disabled'].map((Status) =>
    changed(() => ({ ExistingObjectReplication: { Status } })),
  ),
  'stackd/v2-noprio': changed(() => ({ Priority: undefined })),
  'stackd/v2-nodmr': changed(() => ({ DeleteMarkerReplication: undefined })),
  'stackd/v2-noid': async (aws) => {
    const made = await pair(aws);
    const put = await replicate(aws, made, [rule(made, { ID: undefined })]);
    const [first, again] = [await read(aws, made), await read(aws, made)];
    return { ...put, kept: (first?.[0]?.ID?.length ?? 0) > 0 && isDeepStrictEqual(first, again) };
  },
  'stackd/dup-id': (aws) => two(aws, { Priority: 1 }, { Priority: 2 }),
  'stackd/dup-prio': (aws) => two(aws, { ID: 'one' }, { ID: 'two' }),
  'stackd/two-dst': async (aws) => {
    const [made, other] = [await pair(aws), await versioned(aws)];
    return replicate(aws, made, [
      rule(made, { ID: 'one', Priority: 1 }),
      rule({ ...made, destination: other }, { ID: 'two', Priority: 2 }),
    ]);
  },
  'stackd/id-256': changed(() => ({ ID: 'x'.repeat(256) })),
  'stackd/prio-neg': changed(() => ({ Priority: -1 })),

  'stackd/dst-object-arn': changed(({ destination }) => ({
    Destination: { Bucket: `${arn(destination)}/object` },
  })),
  'stackd/same-bucket': changed(({ source }) => ({ Destination: { Bucket: arn(source) } })),
  'stackd/acct-own': changed(({ destination }, aws) => ({
    Destination: { Bucket: arn(destination), Account: aws.account },
  })),
  'stackd/acct-wrong': changed(({ destination }) => ({
    Destination: { Bucket: arn(destination), Account: STRANGER },
  })),
  'stackd/acct-junk': changed(({ destination }) => ({
    Destination: { Bucket: arn(destination), Account: 'abc' },
  })),
  'stackd/owner-noacct': changed(({ destination }) => ({
    Destination: { Bucket: arn(destination), AccessControlTranslation: { Owner: 'Destination' } },
  })),
  'stackd/rtc-threshold': changed(({ destination }) => ({
    Destination: {
      Bucket: arn(destination),
      ReplicationTime: { Status: 'Enabled', Time: { Minutes: 15 } },
      Metrics: { Status: 'Enabled' },
    },
  })),
  'stackd/metrics-threshold-nortc': changed(({ destination }) => ({
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
  const made = await pair(aws);
  await replicate(aws, made, [rule(made)]);
  return made.source;
}

async function withRole(aws: Aws, role: string) {
  const made = { ...(await pair(aws)), role };
  return replicate(aws, made, [rule(made)]);
}

/** Two rules for one destination that share what they are not given. */
async function two(aws: Aws, first: object, second: object) {
  const made = await pair(aws);
  return replicate(aws, made, [
    rule(made, { Filter: { Prefix: 'a/' }, ...first }),
    rule(made, { Filter: { Prefix: 'b/' }, ...second }),
  ]);
}

/** Put a rule under the names that were recorded, and read it. */
async function recorded(aws: Aws, roleName: string, destination: string, changes: object) {
  const caller = aws.as(RECORDED);
  const made = {
    source: await versioned(caller),
    destination: await versioned(caller, destination),
    role: `arn:aws:iam::${caller.account}:role/${roleName}`,
  };
  await replicate(caller, made, [rule(made, changes)]);
  return caller.s3.getBucketReplication({ Bucket: made.source });
}
