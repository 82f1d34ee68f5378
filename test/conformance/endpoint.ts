import { startSandbox } from '../../src/sandbox/server.ts';
import { type Aws, connect, type ReplicationWait } from './aws.ts';

/** Returns the endpoint of the scenarios: a new sandbox, or an endpoint that the user names. */
export async function startEndpoint(otherEndpoint?: string): Promise<{ aws: Aws; close(): Promise<void> }> {
  if (otherEndpoint !== undefined) {
    const { aws, close } = connect(otherEndpoint, pollUntilNotPending);
    return { aws: await withOwnAccount(aws), close: async () => close() };
  }
  const sandbox = await startSandbox();
  // Long enough to observe the status PENDING, as in the captures.
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

/** Polls until the status is final. An endpoint without replication returns no status. */
const pollUntilNotPending: ReplicationWait = async ({ s3 }, Bucket, Key) => {
  const deadline = Date.now() + 20_000;
  let status: string | undefined;
  do status = (await s3.headObject({ Bucket, Key })).ReplicationStatus;
  while (status === 'PENDING' && Date.now() < deadline);
};

/** Uses the account that the endpoint returns, which may have only one. */
async function withOwnAccount(aws: Aws): Promise<Aws> {
  const { Account } = await aws.sts.getCallerIdentity();
  return { ...aws, account: Account ?? aws.account };
}
