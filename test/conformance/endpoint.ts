import { startSandbox } from '../../src/sandbox/server.ts';
import { type Aws, connect, type Settle } from './aws.ts';

/** Where the scenarios run: a sandbox of their own, or another endpoint that somebody wants to know about. */
export async function startEndpoint(other?: string): Promise<{ aws: Aws; close(): Promise<void> }> {
  if (other !== undefined) {
    const { aws, close } = connect(other, untilNotPending);
    return { aws: await asItself(aws), close: async () => close() };
  }
  const sandbox = await startSandbox();
  // Long enough to see an object PENDING, as the captures did.
  sandbox.faultSettings.replicationDelayMs = 1000;
  const { aws, close } = connect(sandbox.endpoint, () => sandbox.waitForReplication());
  return {
    aws,
    close: async () => {
      close();
      await sandbox.close();
    },
  };
}

/** Ask until the status is final; an endpoint that never replicates shows none at all. */
const untilNotPending: Settle = async ({ s3 }, Bucket, Key) => {
  const deadline = Date.now() + 20_000;
  let status: string | undefined;
  do status = (await s3.headObject({ Bucket, Key })).ReplicationStatus;
  while (status === 'PENDING' && Date.now() < deadline);
};

/** An endpoint that has one account only says which. */
async function asItself(aws: Aws): Promise<Aws> {
  const { Account } = await aws.sts.getCallerIdentity();
  return { ...aws, account: Account ?? aws.account };
}
