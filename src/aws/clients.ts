import { IAMClient } from '@aws-sdk/client-iam';
import { KMSClient } from '@aws-sdk/client-kms';
import { S3Client } from '@aws-sdk/client-s3';
import { STSClient } from '@aws-sdk/client-sts';
import { fromIni, fromTemporaryCredentials } from '@aws-sdk/credential-providers';
import type { Place } from '../core/resource.ts';
import type { Account } from '../spec/types.ts';
import type { CloudTrail } from './cloudtrail.ts';
import { collectBody } from './collect-body.ts';
import { AT_ONCE } from './pace.ts';
import { createTransport, type SdkConfig } from './transport.ts';

// Node 20 works until the SDK's first release of 2027; the warning is for us, not for who runs the tool.
process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true';

export type Service = 's3' | 'iam' | 'kms' | 'sts' | 'cloudtrail';

/** What sends commands to one service in one Region, with the credentials of one account. */
export interface Transport {
  /** `beforeSending`: asked when all is ready to be sent, since credentials may take long to come; it may throw. */
  send(command: object, beforeSending?: () => void): Promise<unknown>;
  destroy(): void;
}

export interface Connection {
  /** Overrides the SDK's own endpoint: the embedded sandbox. */
  endpoint?: string;
  credentials?: { accessKeyId: string; secretAccessKey: string; sessionToken?: string };
  /** Milliseconds in which an answer must begin, and then be complete, or the attempt is given up; default 30,000. */
  timeoutMs?: number;
  /** Loads what asks CloudTrail, once it is asked; absent: it is not. */
  cloudTrail?: () => Promise<CloudTrail>;
}

/**
 * One client a service, account and Region, made when it is first needed. Credentials, endpoints and Regions follow
 * the SDK's own conventions, unless an Account document or a connection says otherwise.
 */
export function createClients(accounts: readonly Account[], connection: Connection = {}) {
  const made = new Map<string, Transport>();
  const byName = new Map(accounts.map((account) => [account.name, account]));
  const { timeoutMs = 30_000 } = connection;
  const streamCollector = collectBody(timeoutMs);

  return {
    get(service: Service, at: Place): Transport {
      // IAM and STS are told apart by account alone, but are signed for a Region like the others.
      const key = [service, at.account ?? '', at.region].join(' ');
      const known = made.get(key);
      if (known) return known;
      const open = (Client: Client): Transport => {
        const client = new Client({
          region: at.region,
          requestHandler: {
            httpAgent: { maxSockets: AT_ONCE.most },
            httpsAgent: { maxSockets: AT_ONCE.most },
            connectionTimeout: 5_000,
            // The SDK's own default is to wait for ever.
            requestTimeout: timeoutMs,
            throwOnRequestTimeout: true,
            // Clients that the SDK makes for credentials share this handler, and what collects for ours they do not.
            socketTimeout: timeoutMs,
          },
          streamCollector,
          ...(connection.endpoint === undefined ? {} : { endpoint: connection.endpoint }),
          ...credentials(at.account === undefined ? undefined : byName.get(at.account), connection),
          ...(service === 's3' && hasOwnEndpoint(connection) ? { forcePathStyle: true } : {}),
        });
        return {
          send: createTransport(client.config as unknown as SdkConfig),
          destroy: () => client.destroy(),
        };
      };
      const transport =
        service === 'cloudtrail'
          ? opening(async () => {
              if (!connection.cloudTrail) throw new Error('CloudTrail is not asked here');
              return open((await connection.cloudTrail()).CloudTrailClient);
            })
          : open(CLIENTS[service]);
      made.set(key, transport);
      return transport;
    },
    destroy(): void {
      for (const client of made.values()) client.destroy();
    },
  };
}

export type Clients = ReturnType<typeof createClients>;

const CLIENTS = { s3: S3Client, iam: IAMClient, kms: KMSClient, sts: STSClient };

type Client = (typeof CLIENTS)[keyof typeof CLIENTS] | CloudTrail['CloudTrailClient'];

/** A transport that is opened with the first command. */
function opening(open: () => Promise<Transport>): Transport {
  let opened: Promise<Transport> | undefined;
  return {
    async send(command, beforeSending) {
      opened ??= open();
      return (await opened).send(command, beforeSending);
    },
    destroy: () => void opened?.then((transport) => transport.destroy()).catch(() => {}),
  };
}

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
