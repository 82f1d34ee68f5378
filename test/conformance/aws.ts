import { IAM } from '@aws-sdk/client-iam';
import { KMS } from '@aws-sdk/client-kms';
import { S3 } from '@aws-sdk/client-s3';
import { STS } from '@aws-sdk/client-sts';
import { keepErrorBody, type WireResponse } from './answer.ts';

/** Somebody who calls AWS: an account (or a session) in a Region, with a client for each service. */
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
  /** Wait until what S3 does by itself, replication, has been done for this object. */
  settled(bucket: string, key: string): Promise<void>;
}

export interface Credentials {
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken?: string;
}

/** The account of most recordings, whose access key is its id: so the sandbox tells accounts apart. */
export const ACCOUNT = '111111111111';

/** A request on its way, before it is signed: what `send` lets a scenario change where the SDK would not send it. */
export interface WireRequest {
  method: string;
  path: string;
  query: Record<string, string>;
  headers: Record<string, string>;
  body: unknown;
}

/** The callers of an endpoint. `settle` waits for replication as that endpoint allows it. */
export function connect(endpoint: string, settle: Settle): { aws: Aws; close(): void } {
  const open: { destroy(): void }[] = [];
  const known = new Map<string, Aws>();

  const caller = (credentials: Credentials, account: string, region: string): Aws => {
    const id = `${credentials.accessKeyId} ${region}`;
    const found = known.get(id);
    if (found) return found;
    const config = { endpoint, region, credentials, maxAttempts: 1 };
    const clients = {
      s3: new S3({ ...config, forcePathStyle: true }),
      iam: new IAM(config),
      kms: new KMS(config),
      sts: new STS(config),
    };
    for (const client of Object.values(clients)) {
      readWire(client);
      open.push(client);
    }
    const aws: Aws = {
      ...clients,
      account,
      region,
      in: (other) => caller(credentials, account, other),
      as: (other) => caller(ofAccount(other), other, region),
      with: (session) => caller(session, account, region),
      settled: (bucket, key) => settle(aws, bucket, key),
    };
    known.set(id, aws);
    return aws;
  };

  return {
    aws: caller(ofAccount(ACCOUNT), ACCOUNT, 'us-east-1'),
    close: () => {
      for (const client of open) client.destroy();
    },
  };
}

export type Settle = (aws: Aws, bucket: string, key: string) => Promise<void>;

/** Send one command with its request changed before it is signed. */
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

function ofAccount(account: string): Credentials {
  return { accessKeyId: account, secretAccessKey: 'secret' };
}

function readWire(client: { middlewareStack: unknown }): void {
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
