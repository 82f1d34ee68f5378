import { expect, it } from 'vitest';
import { boto3Client } from './boto3.ts';

const CALL = {
  service: 's3',
  operation: 'ListBuckets',
  input: {},
  region: 'us-east-1',
  credentials: { accessKeyId: '111111111111', secretAccessKey: 'secret' },
} as const;

it('boto3 client: rejects calls with the reason if its process exits', async () => {
  // Node.js cannot run the Python program.
  const client = boto3Client(process.execPath, 'http://127.0.0.1:1');
  await expect(client.send(CALL)).rejects.toThrow(/^boto3 exited: .*boto3_client\.py/s);
  await expect(client.send(CALL)).rejects.toThrow(/^boto3 exited/);
  await client.close();
});

it('boto3 client: rejects calls if there is no interpreter', async () => {
  const client = boto3Client('/absent/python', 'http://127.0.0.1:1');
  await expect(client.send(CALL)).rejects.toThrow('boto3 exited: spawn /absent/python ENOENT');
  await client.close();
});
