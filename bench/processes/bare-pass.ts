/**
 * The baseline of a pass: makes the calls of a pass with unmodified SDK clients, and ignores the responses.
 * `bare-pass.mjs PAIRS [ARN_OF_SOURCE_KEY ARN_OF_DESTINATION_KEY]`.
 */
import { GetAccountAuthorizationDetailsCommand, IAMClient } from '@aws-sdk/client-iam';
import { DescribeKeyCommand, GetKeyPolicyCommand, KMSClient } from '@aws-sdk/client-kms';
import {
  GetBucketEncryptionCommand,
  GetBucketPolicyCommand,
  GetBucketReplicationCommand,
  GetBucketVersioningCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts';
import pLimit from 'p-limit';
import { ACCOUNT, pairName } from '../support/pairs.ts';

const [pairs = '1', ...shared] = process.argv.slice(2);

// The maximum concurrency of replikey.
const limit = pLimit(200);
const [east, west] = ['us-east-1', 'us-west-2'].map((region) => ({
  s3: new S3Client({ region, forcePathStyle: true }),
  kms: new KMSClient({ region }),
}));
if (!east || !west) throw new Error('two Regions');
const iam = new IAMClient({ region: 'us-east-1' });

type RegionClients = typeof east;

/** Sends a call. A "not found" error is a response like any other. */
const send = (call: () => Promise<unknown>) => limit(() => call().catch(() => undefined));

function readBucket({ s3 }: RegionClients, Bucket: string): Promise<unknown>[] {
  const input = { Bucket, ExpectedBucketOwner: ACCOUNT };
  return [
    send(() => s3.send(new GetBucketVersioningCommand(input))),
    send(() => s3.send(new GetBucketEncryptionCommand(input))),
    send(() => s3.send(new GetBucketPolicyCommand(input))),
  ];
}

async function readKey({ kms }: RegionClients, KeyId: string): Promise<void> {
  const description = await limit(() => kms.send(new DescribeKeyCommand({ KeyId })));
  await send(() =>
    kms.send(new GetKeyPolicyCommand({ KeyId: description.KeyMetadata?.Arn, PolicyName: 'default' })),
  );
}

async function listRoles(): Promise<void> {
  for (let Marker: string | undefined; ; ) {
    const page = await iam.send(
      new GetAccountAuthorizationDetailsCommand({
        Filter: ['Role'],
        MaxItems: 1_000,
        ...(Marker && { Marker }),
      }),
    );
    if (!page.IsTruncated) return;
    Marker = page.Marker;
  }
}

function readPair(index: number): Promise<unknown>[] {
  if (!east || !west) return [];
  const [source, replica] = [`bench-${pairName(index)}-source`, `bench-${pairName(index)}-replica`];
  return [
    ...readBucket(east, source),
    ...readBucket(west, replica),
    send(() =>
      east.s3.send(new GetBucketReplicationCommand({ Bucket: source, ExpectedBucketOwner: ACCOUNT })),
    ),
    ...(shared.length > 0 ? [] : [readKey(east, `alias/${source}`), readKey(west, `alias/${replica}`)]),
  ];
}

await Promise.all([
  new STSClient({ region: 'us-east-1' }).send(new GetCallerIdentityCommand({})),
  listRoles(),
  ...(shared.length > 0 ? [readKey(east, shared[0] ?? ''), readKey(west, shared[1] ?? '')] : []),
  ...Array.from({ length: Number(pairs) }, (_, index) => readPair(index)).flat(),
]);
