import { startSandbox } from '../../src/sandbox/server.ts';
import { type Aws, callers, type ReplicationWait } from './aws.ts';
import type { Client, Response } from './client.ts';

/** An endpoint of the scenarios, with the client that is compared. */
export interface Endpoint {
  /** Returns the caller of one scenario. `onResponse` receives each response. */
  aws(onResponse?: (response: Response) => void): Aws;
  close(): Promise<void>;
}

/** Returns the endpoint of the scenarios: a new sandbox, or an endpoint that the user names. */
export async function startEndpoint(
  connect: (endpoint: string) => Client,
  otherEndpoint?: string,
): Promise<Endpoint> {
  if (otherEndpoint !== undefined) {
    const client = connect(otherEndpoint);
    const account = await ownAccount(client);
    return {
      aws: (onResponse) => ({ ...callers(client, pollUntilNotPending, onResponse), account }),
      close: () => client.close(),
    };
  }
  const sandbox = await startSandbox();
  // Long enough to observe the status PENDING, as in the captures.
  sandbox.faultSettings.replicationDelayMs = 1000;
  const client = connect(sandbox.endpoint);
  return {
    aws: (onResponse) => callers(client, () => sandbox.waitForReplication(), onResponse),
    close: async () => {
      await client.close();
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

/** Returns the account that the endpoint knows, which may have only one. */
async function ownAccount(client: Client): Promise<string> {
  const aws = callers(client, pollUntilNotPending);
  const { Account } = await aws.sts.getCallerIdentity({});
  return Account ?? aws.account;
}
