/**
 * The least that a pass could cost with the SDK: the calls that one makes, as fast as the endpoint answers, by clients as
 * they come, and nothing done with the answers. `bare-pass.mjs PAIRS [ARN_OF_SOURCE_KEY ARN_OF_DESTINATION_KEY]`.
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
import { ACCOUNT, numbered } from '../support/pairs.ts';

const [pairs = '1', ...shared] = process.argv.slice(2);

// As many as replikey has under way at most.
const limit = pLimit(200);
const [east, west] = ['us-east-1', 'us-west-2'].map((region) => ({
  s3: new S3Client({ region, forcePathStyle: true }),
  kms: new KMSClient({ region }),
}));
if (!east || !west) throw new Error('two Regions');
const iam = new IAMClient({ region: 'us-east-1' });

type At = typeof east;

/** What says that there is none is an answer like others. */
const send = (call: () => Promise<unknown>) => limit(() => call().catch(() => undefined));

function bucketOf({ s3 }: At, Bucket: string): Promise<unknown>[] {
  const input = { Bucket, ExpectedBucketOwner: ACCOUNT };
  return [
    send(() => s3.send(new GetBucketVersioningCommand(input))),
    send(() => s3.send(new GetBucketEncryptionCommand(input))),
    send(() => s3.send(new GetBucketPolicyCommand(input))),
  ];
}

async function keyOf({ kms }: At, KeyId: string): Promise<void> {
  const found = await limit(() => kms.send(new DescribeKeyCommand({ KeyId })));
  await send(() =>
    kms.send(new GetKeyPolicyCommand({ KeyId: found.KeyMetadata?.Arn, PolicyName: 'default' })),
  );
}

async function roles(): Promise<void> {
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

function pairOf(index: number): Promise<unknown>[] {
  if (!east || !west) return [];
  const [source, replica] = [`bench-${numbered(index)}-source`, `bench-${numbered(index)}-replica`];
  return [
    ...bucketOf(east, source),
    ...bucketOf(west, replica),
    send(() =>
      east.s3.send(new GetBucketReplicationCommand({ Bucket: source, ExpectedBucketOwner: ACCOUNT })),
    ),
    ...(shared.length > 0 ? [] : [keyOf(east, `alias/${source}`), keyOf(west, `alias/${replica}`)]),
  ];
}

await Promise.all([
  new STSClient({ region: 'us-east-1' }).send(new GetCallerIdentityCommand({})),
  roles(),
  ...(shared.length > 0 ? [keyOf(east, shared[0] ?? ''), keyOf(west, shared[1] ?? '')] : []),
  ...Array.from({ length: Number(pairs) }, (_, index) => pairOf(index)).flat(),
]);
