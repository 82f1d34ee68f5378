import { IAM } from '@aws-sdk/client-iam';
import { KMS } from '@aws-sdk/client-kms';
import { S3 } from '@aws-sdk/client-s3';
import { STS } from '@aws-sdk/client-sts';
import { keepErrorBody, type WireResponse } from './raw-response.ts';

/** A caller of AWS: an account or a session in a Region, with a client for each service. */
export interface Aws {
  account: string;
  region: string;
  s3: S3;
  iam: IAM;
  kms: KMS;
  sts: STS;
  in(region: string): Aws;
  as(account: string): Aws;
  with(credentials: Credentials): Aws;
  /** Waits until S3 has replicated this object. */
  waitForReplication(bucket: string, key: string): Promise<void>;
}

export interface Credentials {
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken?: string;
}

/** The account of most recordings. The sandbox takes the access key for the account ID. */
export const ACCOUNT = '111111111111';

/** A request before it is signed. `send` lets a scenario change it to what the SDK would not send. */
export interface WireRequest {
  method: string;
  path: string;
  query: Record<string, string>;
  headers: Record<string, string>;
  body: unknown;
}

/** Returns the callers of an endpoint. `wait` waits for replication in a way that the endpoint supports. */
export function connect(endpoint: string, wait: ReplicationWait): { aws: Aws; close(): void } {
  const open: { destroy(): void }[] = [];
  const callers = new Map<string, Aws>();

  const caller = (credentials: Credentials, account: string, region: string): Aws => {
    const id = `${credentials.accessKeyId} ${region}`;
    const cached = callers.get(id);
    if (cached) return cached;
    const config = { endpoint, region, credentials, maxAttempts: 1 };
    const clients = {
      s3: new S3({ ...config, forcePathStyle: true }),
      iam: new IAM(config),
      kms: new KMS(config),
      sts: new STS(config),
    };
    for (const client of Object.values(clients)) {
      bufferErrorBodies(client);
      open.push(client);
    }
    const aws: Aws = {
      ...clients,
      account,
      region,
      in: (otherRegion) => caller(credentials, account, otherRegion),
      as: (otherAccount) => caller(credentialsOf(otherAccount), otherAccount, region),
      with: (session) => caller(session, account, region),
      waitForReplication: (bucket, key) => wait(aws, bucket, key),
    };
    callers.set(id, aws);
    return aws;
  };

  return {
    aws: caller(credentialsOf(ACCOUNT), ACCOUNT, 'us-east-1'),
    close: () => {
      for (const client of open) client.destroy();
    },
  };
}

export type ReplicationWait = (aws: Aws, bucket: string, key: string) => Promise<void>;

/** Sends one command, and changes its request before it is signed. */
export function send<Output extends object>(
  client: { send(command: never): Promise<object> },
  command: object,
  change: (request: WireRequest) => void,
): Promise<Output> {
  const { middlewareStack } = command as { middlewareStack: Stack };
  middlewareStack.add(
    (next) => (args) => {
      change(args.request as WireRequest);
      return next(args);
    },
    { step: 'build', priority: 'high', name: 'change' },
  );
  return client.send(command as never) as Promise<Output>;
}

interface Stack {
  add(middleware: Middleware, options: object): void;
}

type Middleware = (next: Next) => Next;
type Next = (args: { request: unknown }) => Promise<{ response: unknown }>;

function credentialsOf(account: string): Credentials {
  return { accessKeyId: account, secretAccessKey: 'secret' };
}

function bufferErrorBodies(client: { middlewareStack: unknown }): void {
  const stack = client.middlewareStack as Stack;
  stack.add(
    (next) => async (args) => {
      const result = await next(args);
      await keepErrorBody(result.response as WireResponse);
      return result;
    },
    { step: 'deserialize', priority: 'low', name: 'keepErrorBody' },
  );
}
