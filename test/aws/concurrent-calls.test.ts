import { GetBucketReplicationCommand, GetBucketTaggingCommand } from '@aws-sdk/client-s3';
import { expect, test } from 'vitest';
import { createAwsClient } from '../../src/aws/client.ts';
import { createSdkClients } from '../../src/aws/sdk-clients.ts';
import { startSandbox } from '../../src/sandbox/server.ts';

test('AwsClient: concurrent calls reach their own buckets', async () => {
  const sandbox = await startSandbox();
  const requestedNames: string[] = [];
  const clients = createSdkClients([], {
    endpoint: sandbox.endpoint,
    credentials: { accessKeyId: '111122223333', secretAccessKey: 'test' },
  });
  try {
    const client = createAwsClient({ clients, accounts: [], region: 'us-east-1', retryTimeoutMs: 0 });
    const names = Array.from({ length: 100 }, (_, index) => `acme-bucket-${index}`);
    await Promise.all(
      names.flatMap((Bucket) =>
        [new GetBucketReplicationCommand({ Bucket }), new GetBucketTaggingCommand({ Bucket })].map(
          (command) =>
            client.send({ region: 'us-east-1' }, command as never).catch((error: { BucketName?: string }) => {
              requestedNames.push(`${error.BucketName}`);
            }),
        ),
      ),
    );
    expect(requestedNames.sort()).toEqual([...names, ...names].sort());
  } finally {
    clients.destroy();
    await sandbox.close();
  }
});
