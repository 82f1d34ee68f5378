import { CreateKeyCommand, DescribeKeyCommand, KMSClient } from '@aws-sdk/client-kms';
import {
  CreateBucketCommand,
  GetBucketReplicationCommand,
  PutBucketReplicationCommand,
  type ReplicationConfiguration,
  S3Client,
} from '@aws-sdk/client-s3';
import { ACCOUNT, type KeyMode, pairName } from '../support/pairs.ts';

/** A pair that every tool configures. Its buckets exist. Keys by ARN exist, keys by alias do not. */
export interface Pair {
  name: string;
  source: string;
  replica: string;
  /** `alias/NAME`, or an ARN. */
  sourceKey: string;
  replicaKey: string;
}

const SOURCE_REGION = 'us-east-1';
const REPLICA_REGION = 'us-west-2';

/** The job of a tool, with checks of its result. */
export interface Job {
  pairs: Pair[];
  /** Returns the number of pairs with the right replication. */
  countReplicating(): Promise<number>;
  /** Changes the replica key of the first pair outside the tool. */
  drift(): Promise<void>;
  close(): void;
}

export async function createJob(endpoint: string, size: number, keys: KeyMode): Promise<Job> {
  const credentials = { accessKeyId: ACCOUNT, secretAccessKey: 'bench' };
  const [source, replica] = [SOURCE_REGION, REPLICA_REGION].map((region) => ({
    s3: new S3Client({ endpoint, region, credentials, forcePathStyle: true }),
    kms: new KMSClient({ endpoint, region, credentials }),
  })) as [Clients, Clients];
  const shared =
    keys === 'shared'
      ? { sourceKey: await createKey(source.kms), replicaKey: await createKey(replica.kms) }
      : {};
  const pairs = Array.from({ length: size }, (_, index) => {
    const name = pairName(index);
    const own = { sourceKey: `alias/bench-${name}-source`, replicaKey: `alias/bench-${name}-replica` };
    return { name, source: `bench-${name}-source`, replica: `bench-${name}-replica`, ...own, ...shared };
  });
  for (const pair of pairs) {
    await source.s3.send(new CreateBucketCommand({ Bucket: pair.source }));
    await replica.s3.send(
      new CreateBucketCommand({
        Bucket: pair.replica,
        CreateBucketConfiguration: { LocationConstraint: REPLICA_REGION },
      }),
    );
  }

  const replicates = async (pair: Pair) => {
    const configuration = await replicationOf(source.s3, pair);
    const [rule, ...otherRules] = configuration?.Rules ?? [];
    return (
      otherRules.length === 0 &&
      rule?.Status === 'Enabled' &&
      rule.Filter?.Prefix === 'Data/' &&
      rule.SourceSelectionCriteria?.SseKmsEncryptedObjects?.Status === 'Enabled' &&
      rule.Destination?.Bucket === `arn:aws:s3:::${pair.replica}` &&
      rule.Destination.EncryptionConfiguration?.ReplicaKmsKeyID ===
        (await arnOf(replica.kms, pair.replicaKey))
    );
  };

  return {
    pairs,
    countReplicating: async () => {
      let count = 0;
      for (const pair of pairs) if (await replicates(pair)) count += 1;
      return count;
    },
    drift: async () => {
      const [pair] = pairs;
      const replication = pair && (await replicationOf(source.s3, pair));
      const [rule] = replication?.Rules ?? [];
      if (!pair || !rule?.Destination) throw new Error('no replication to change');
      const EncryptionConfiguration = { ReplicaKmsKeyID: await createKey(replica.kms) };
      const Rules = [{ ...rule, Destination: { ...rule.Destination, EncryptionConfiguration } }];
      await source.s3.send(
        new PutBucketReplicationCommand({
          Bucket: pair.source,
          ReplicationConfiguration: { Role: replication?.Role, Rules },
        }),
      );
    },
    close: () => {
      for (const { s3, kms } of [source, replica]) {
        s3.destroy();
        kms.destroy();
      }
    },
  };
}

interface Clients {
  s3: S3Client;
  kms: KMSClient;
}

async function createKey(kms: KMSClient): Promise<string> {
  const { KeyMetadata } = await kms.send(new CreateKeyCommand({}));
  return KeyMetadata?.Arn ?? '';
}

async function arnOf(kms: KMSClient, KeyId: string): Promise<string | undefined> {
  const { KeyMetadata } = await kms.send(new DescribeKeyCommand({ KeyId }));
  return KeyMetadata?.Arn;
}

/** Returns undefined if the configuration does not exist or cannot be read. */
async function replicationOf(s3: S3Client, { source }: Pair): Promise<ReplicationConfiguration | undefined> {
  const response = await s3.send(new GetBucketReplicationCommand({ Bucket: source })).catch(() => undefined);
  return response?.ReplicationConfiguration;
}
