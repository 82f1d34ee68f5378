import type { IAM } from '@aws-sdk/client-iam';
import type { KMS } from '@aws-sdk/client-kms';
import type { S3 } from '@aws-sdk/client-s3';
import type { STS } from '@aws-sdk/client-sts';
import {
  type Call,
  CallError,
  type Client,
  type Credentials,
  type RequestChanges,
  type Response,
  type Service,
} from './client.ts';

/**
 * A caller of AWS: an account or a session in a Region. `aws.s3.putObject(input)` is the call PutObject as data, which the
 * client under test sends. The types are those of the JavaScript SDK, for every client.
 */
export interface Aws {
  account: string;
  region: string;
  s3: S3;
  iam: IAM;
  kms: KMS;
  sts: STS;
  /** Makes a call with changes to its request, or of a service that has no types here. */
  call<Output extends object>(
    service: Service,
    operation: string,
    input: object,
    changes?: RequestChanges,
  ): Promise<Output>;
  in(region: string): Aws;
  as(account: string): Aws;
  with(credentials: Credentials): Aws;
  /** Waits until S3 has replicated this object. */
  waitForReplication(bucket: string, key: string): Promise<void>;
}

/** Waits for replication in a way that the endpoint supports. */
export type ReplicationWait = (aws: Aws, bucket: string, key: string) => Promise<void>;

/** The account of most recordings. The sandbox takes the access key for the account ID. */
export const ACCOUNT = '111111111111';

const RESPONSE = Symbol('response');

/** Returns the callers of an endpoint for one scenario. `onResponse` receives each response. */
export function callers(
  client: Client,
  wait: ReplicationWait,
  onResponse: (response: Response) => void = () => {},
): Aws {
  const caller = (credentials: Credentials, account: string, region: string): Aws => {
    const call: Aws['call'] = async <Output extends object>(
      service: Service,
      operation: string,
      input: object,
      changes?: RequestChanges,
    ) => {
      const request: Call = {
        service,
        operation,
        input: input as Record<string, unknown>,
        region,
        credentials,
        ...(changes === undefined ? {} : { changes }),
      };
      const response = await client.send(request);
      onResponse(response);
      if (response.code !== null) throw new CallError(request, response);
      return {
        ...response.output,
        $metadata: { httpStatusCode: response.status },
        [RESPONSE]: response,
      } as unknown as Output;
    };
    const aws: Aws = {
      s3: methods<S3>('s3', call),
      iam: methods<IAM>('iam', call),
      kms: methods<KMS>('kms', call),
      sts: methods<STS>('sts', call),
      call,
      account,
      region,
      in: (otherRegion) => caller(credentials, account, otherRegion),
      as: (otherAccount) => caller(credentialsOf(otherAccount), otherAccount, region),
      with: (session) => caller(session, account, region),
      waitForReplication: (bucket, key) => wait(aws, bucket, key),
    };
    return aws;
  };
  return caller(credentialsOf(ACCOUNT), ACCOUNT, 'us-east-1');
}

/**
 * Returns the response to the last call of a scenario, of success or failure. Its output is what the scenario returned. Throws
 * if the call did not reach a server.
 */
export async function responseOf(scenario: Promise<object>): Promise<Response> {
  try {
    const { $metadata, ...output } = (await scenario) as Record<string, unknown> & { $metadata?: object };
    const response = (output as { [RESPONSE]?: Response })[RESPONSE];
    return {
      ...(response ?? { status: 0, headers: {}, faults: [] }),
      code: null,
      message: null,
      output: Object.fromEntries(Object.entries(output)),
    };
  } catch (error) {
    if (!(error instanceof CallError)) throw error;
    const { response } = error;
    return { ...response, output: { ...response.output, headers: response.headers } };
  }
}

/** Returns an object whose methods make the calls of a service: `putObject` makes the call PutObject. */
function methods<Api extends object>(service: Service, call: Aws['call']): Api {
  return new Proxy({} as Api, {
    get: (_, name) => {
      const method = String(name);
      const operation = method.charAt(0).toUpperCase() + method.slice(1);
      return (input: object = {}) => call(service, operation, input);
    },
  });
}

function credentialsOf(account: string): Credentials {
  return { accessKeyId: account, secretAccessKey: 'secret' };
}
