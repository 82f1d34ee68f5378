import { IAMClient } from '@aws-sdk/client-iam';
import { KMSClient } from '@aws-sdk/client-kms';
import { S3Client } from '@aws-sdk/client-s3';
import { STSClient } from '@aws-sdk/client-sts';
import { fromIni, fromTemporaryCredentials } from '@aws-sdk/credential-providers';
import type { Place } from '../core/resource.ts';
import type { Account } from '../spec/types.ts';
import { refuseUnknownElements } from './unknown-elements.ts';

// Node 20 works until the SDK's first release of 2027; the warning is for us, not for who runs the tool.
process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true';

export type Service = 's3' | 'iam' | 'kms' | 'sts';

/** What all SDK clients have in common, as far as the door needs it. */
export interface SdkClient {
  send(command: object, options?: { abortSignal?: AbortSignal }): Promise<unknown>;
  destroy(): void;
}

export interface Connection {
  /** Overrides the SDK's own endpoint: the embedded sandbox. */
  endpoint?: string;
  credentials?: { accessKeyId: string; secretAccessKey: string; sessionToken?: string };
  /** Milliseconds after which an attempt without an answer is given up; default 30,000. */
  timeoutMs?: number;
}

/**
 * One client a service, account and Region, made when it is first needed. Credentials, endpoints and Regions follow
 * the SDK's own conventions, unless an Account document or a connection says otherwise.
 */
export function createClients(accounts: readonly Account[], connection: Connection = {}) {
  const made = new Map<string, SdkClient>();
  const byName = new Map(accounts.map((account) => [account.name, account]));

  return {
    get(service: Service, at: Place): SdkClient {
      // IAM and STS are told apart by account alone, but are signed for a Region like the others.
      const key = [service, at.account ?? '', at.region].join(' ');
      const known = made.get(key);
      if (known) return known;
      const client = new CLIENTS[service]({
        region: at.region,
        maxAttempts: 1,
        customUserAgent: 'replikey',
        // Otherwise the SDK puts its chain of middleware together anew for each call, a quarter of what one costs. Calls
        // that are under way together then share its context, which holds the endpoint: for S3 that has the bucket in
        // it, so that one call would be answered with another's bucket.
        cacheMiddleware: service !== 's3',
        // The SDK's own default is to wait for ever.
        requestHandler: {
          connectionTimeout: 5_000,
          requestTimeout: connection.timeoutMs ?? 30_000,
          throwOnRequestTimeout: true,
        },
        ...(connection.endpoint === undefined ? {} : { endpoint: connection.endpoint }),
        ...credentials(at.account === undefined ? undefined : byName.get(at.account), connection),
        ...(service === 's3' && hasOwnEndpoint(connection) ? { forcePathStyle: true } : {}),
      });
      for (const name of UNUSED) client.middlewareStack.remove(name);
      if (client instanceof S3Client) refuseUnknownElements(client);
      made.set(key, client as unknown as SdkClient);
      return client as unknown as SdkClient;
    },
    destroy(): void {
      for (const client of made.values()) client.destroy();
    },
  };
}

export type Clients = ReturnType<typeof createClients>;

/**
 * What the SDK does for each call and nobody here needs: to log to a logger that is none, to tell Lambda of calls in a
 * circle, to follow a bucket to another Region (which is an error of a spec, and told as one), to serve directory buckets,
 * which do not replicate, and to ask before a large body is sent. Together a tenth of what a call costs.
 */
const UNUSED = [
  'loggerMiddleware',
  'recursionDetectionMiddleware',
  'regionRedirectMiddleware',
  's3ExpressMiddleware',
  'addExpectContinueMiddleware',
];

const CLIENTS = { s3: S3Client, iam: IAMClient, kms: KMSClient, sts: STSClient };

function credentials(account: Account | undefined, connection: Connection) {
  if (connection.credentials) {
    // The sandbox takes an account's id as its access key.
    return {
      credentials: account ? { ...connection.credentials, accessKeyId: account.id } : connection.credentials,
    };
  }
  if (account?.assumeRole) {
    const { arn, externalId, sessionName } = account.assumeRole;
    return {
      credentials: fromTemporaryCredentials({
        ...(account.profile === undefined
          ? {}
          : { masterCredentials: fromIni({ profile: account.profile }) }),
        params: {
          RoleArn: arn,
          RoleSessionName: sessionName ?? 'replikey',
          ...(externalId === undefined ? {} : { ExternalId: externalId }),
        },
      }),
    };
  }
  return account?.profile === undefined ? {} : { credentials: fromIni({ profile: account.profile }) };
}

/** Who names an endpoint may have no wildcard host names under it; S3 itself takes path style everywhere, too. */
const hasOwnEndpoint = ({ endpoint }: Connection): boolean =>
  (endpoint ?? process.env.AWS_ENDPOINT_URL_S3 ?? process.env.AWS_ENDPOINT_URL) !== undefined;
