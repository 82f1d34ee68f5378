import { IAMClient } from '@aws-sdk/client-iam';
import { KMSClient } from '@aws-sdk/client-kms';
import { S3Client } from '@aws-sdk/client-s3';
import { STSClient } from '@aws-sdk/client-sts';
import type { Endpoint, Location } from '../core/resource.ts';
import type { Account } from '../spec/types.ts';
import { dnsSuffixesOf, isListedRegion } from '../util/arn.ts';
import { toSortedSet } from '../util/canonical-json.ts';
import type { Service } from './command.ts';
import { createCredentialProviders } from './credentials.ts';
import { classifyError, isUnanswered } from './errors.ts';
import { requestHandlerFactory } from './request-handler.ts';
import { boundedBody } from './response.ts';
import { createTransport, resolveEndpointUrl, type SdkConfig } from './transport.ts';

// Node 20 works until the SDK's first release of 2027. The warning is for developers of replikey, not for its users.
process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true';

/** Sends commands to one service in one Region, with the credentials of one account. */
export interface Transport {
  /**
   * Calls `beforeSend` when the request is signed, because the credentials may take long to load. `beforeSend` may
   * throw.
   */
  send(command: object, beforeSend?: () => void): Promise<unknown>;
  destroy(): void;
}

/** SDK clients for all services, accounts and Regions. */
export interface SdkClients {
  /** Returns what the clients call, from the settings of the SDK, without a call. */
  endpoint(): Promise<Endpoint>;
  /** Returns the time of AWS, in milliseconds since 1970: that of this machine before the first response. */
  now(): number;
  get(service: Service, location: Location): Transport;
  destroy(): void;
}

export interface Connection {
  /** Overrides the SDK's own endpoint. */
  endpoint?: string;
  /** Whether the endpoint is the embedded sandbox, which gets another port in each run. */
  isSandbox?: true;
  credentials?: { accessKeyId: string; secretAccessKey: string; sessionToken?: string };
  /**
   * Time limit of an attempt in milliseconds: for the response to begin, and then for it to be complete; default:
   * 30,000.
   */
  timeoutMs?: number;
}

/**
 * Creates the SDK clients: one for each service, account and Region, on first use. Credentials, endpoints and Regions
 * follow the SDK's own conventions, unless an Account document or a connection overrides them.
 */
export function createSdkClients(accounts: readonly Account[], connection: Connection = {}): SdkClients {
  const transports = new Map<string, Transport>();
  const accountsByName = new Map(accounts.map((account) => [account.name, account]));
  const { timeoutMs = 30_000 } = connection;
  const streamCollector = boundedBody(timeoutMs);
  const serverClock = createServerClock();
  const reachability = createReachability();
  const createRequestHandler = requestHandlerFactory({ timeoutMs, useEnvironment: !connection.isSandbox });
  const credentialsHandler = createRequestHandler();
  const credentialProvider = createCredentialProviders(credentialsHandler);
  const credentialsFor = (account: Account | undefined) => {
    if (!connection.credentials) return credentialProvider(account);
    // The sandbox takes an account's id as its access key.
    return account ? { ...connection.credentials, accessKeyId: account.id } : connection.credentials;
  };

  return {
    endpoint: () => resolveEndpoint(connection),
    now: serverClock.now,
    get(service: Service, location: Location): Transport {
      // IAM and STS are global, but requests to them are signed for a Region like all others.
      const key = [service, location.account ?? '', location.region].join(' ');
      const cached = transports.get(key);
      if (cached) return cached;
      const openTransport = (ClientClass: ClientClass): Transport => {
        const client = new ClientClass({
          region: location.region,
          requestHandler: createRequestHandler(),
          streamCollector,
          credentials: credentialsFor(
            location.account === undefined ? undefined : accountsByName.get(location.account),
          ),
          ...(connection.endpoint === undefined ? {} : { endpoint: connection.endpoint }),
          ...(service === 's3' && hasCustomEndpoint(connection) ? { forcePathStyle: true } : {}),
        });
        const config = client.config as unknown as SdkConfig;
        return {
          send: createTransport(service === 's3control' ? withoutAccountHosts(config) : config, {
            onResponse({ date }, url) {
              serverClock.set(date);
              reachability.recordResponse(url);
            },
            onFailure: reachability.recordFailure,
          }),
          destroy: () => client.destroy(),
        };
      };
      const transport =
        service in CLIENT_CLASSES
          ? openTransport(CLIENT_CLASSES[service as keyof typeof CLIENT_CLASSES])
          : lazyTransport(async () =>
              openTransport(await LAZY_CLIENT_CLASSES[service as keyof typeof LAZY_CLIENT_CLASSES]()),
            );
      transports.set(key, transport);
      return transport;
    },
    destroy(): void {
      for (const transport of transports.values()) transport.destroy();
      credentialsHandler.destroy();
    },
  };
}

const CLIENT_CLASSES = { s3: S3Client, iam: IAMClient, kms: KMSClient, sts: STSClient };

/** Clients that most runs never use. Each is a chunk of the bundle of its own, which the first call loads. */
const LAZY_CLIENT_CLASSES = {
  cloudtrail: async () => (await import('@aws-sdk/client-cloudtrail')).CloudTrailClient,
  s3control: async () => (await import('@aws-sdk/client-s3-control')).S3ControlClient,
  cloudwatch: async () => (await import('@aws-sdk/client-cloudwatch')).CloudWatchClient,
  sqs: async () => (await import('@aws-sdk/client-sqs')).SQSClient,
  sns: async () => (await import('@aws-sdk/client-sns')).SNSClient,
  organizations: async () => (await import('@aws-sdk/client-organizations')).OrganizationsClient,
};

type ClientClass =
  | (typeof CLIENT_CLASSES)[keyof typeof CLIENT_CLASSES]
  | Awaited<ReturnType<(typeof LAZY_CLIENT_CLASSES)[keyof typeof LAZY_CLIENT_CLASSES]>>;

/**
 * A clock that follows the `Date` header of the responses, so that the clock of this machine does not decide when a
 * permission expires. The header has a resolution of one second.
 */
function createServerClock(): { set(date: string | undefined): void; now(): number } {
  let offsetMs: number | undefined;
  return {
    set(date) {
      const time = Date.parse(date ?? '');
      if (!Number.isNaN(time)) offsetMs = time - performance.now();
    },
    now: () => (offsetMs === undefined ? Date.now() : Math.round(offsetMs + performance.now())),
  };
}

/** Returns a transport that opens on its first command. */
function lazyTransport(openTransport: () => Promise<Transport>): Transport {
  let pendingTransport: Promise<Transport> | undefined;
  return {
    async send(command, beforeSend) {
      pendingTransport ??= openTransport();
      return (await pendingTransport).send(command, beforeSend);
    },
    destroy: () => void pendingTransport?.then((transport) => transport.destroy()).catch(() => {}),
  };
}

/** How long calls to an endpoint that has not responded yet are retried, in milliseconds. */
const MAX_SILENCE_MS = 2_000;

/** No request to an endpoint got a response since the clients were created. */
export class UnreachableEndpointError extends Error {
  override name = 'UnreachableEndpoint';
}

/** Returns `aws` for all endpoints of AWS, and otherwise the endpoint without the bucket in its path. */
const serverName = (url: URL): string => (endpointName(url) === 'aws' ? 'aws' : url.origin);

/**
 * Detects an endpoint that never responds, for which retries are useless. All endpoints of AWS count as one, so that a
 * Region with a failure does not stop a pass.
 */
function createReachability() {
  const responsive = new Set<string>();
  const failingSinceMs = new Map<string, number>();
  return {
    recordResponse(url: URL): void {
      responsive.add(serverName(url));
    },
    /**
     * Returns the error to throw for a request, which began at `startedAtMs` of `performance.now()`, without a response.
     */
    recordFailure(error: unknown, url: URL, startedAtMs: number): unknown {
      const endpoint = serverName(url);
      if (!isUnanswered(error) || responsive.has(endpoint)) return error;
      const firstSinceMs = failingSinceMs.get(endpoint);
      const sinceMs = Math.min(firstSinceMs ?? startedAtMs, startedAtMs);
      failingSinceMs.set(endpoint, sinceMs);
      // The first request alone may take longer, until its timeout.
      const isInTime = firstSinceMs === undefined || performance.now() - sinceMs < MAX_SILENCE_MS;
      const mayRecover = classifyError(error) === 'transient' && isInTime;
      return mayRecover ? error : new UnreachableEndpointError(unreachableText(error, url), { cause: error });
    },
  };
}

/** Certificate errors of Node.js. A proxy that decrypts traffic causes them. */
const CERTIFICATE_ERROR = /CERT|UNABLE_TO_VERIFY|SELF_SIGNED/;

function unreachableText(error: Error, url: URL): string {
  const name = serverName(url);
  const target = name === 'aws' ? `AWS (${url.host})` : name;
  const { code = '' } = ((error.cause as Error | undefined) ?? error) as { code?: string };
  const hint = CERTIFICATE_ERROR.test(code)
    ? 'set AWS_CA_BUNDLE to a file with the certificates of the authorities that sign for it'
    : error.name === 'ProxyError'
      ? 'correct the proxy, or list the host in NO_PROXY'
      : name === 'aws'
        ? 'check the network, and HTTPS_PROXY if it requires a proxy'
        : 'start a server there, or correct AWS_ENDPOINT_URL';
  const reason = error.message || code || error.name;
  return `cannot reach ${target}: ${reason}; ${hint}`;
}

/**
 * Returns what the clients of a connection call, from its endpoint and the settings of the SDK: environment and
 * `~/.aws/config`.
 */
export async function resolveEndpoint({ endpoint, isSandbox }: Connection): Promise<Endpoint> {
  if (isSandbox) return 'sandbox';
  const entries = await Promise.all(
    Object.entries(CLIENT_CLASSES).map(async ([service, ClientClass]) => {
      const client = new ClientClass({
        region: 'us-east-1',
        ...(endpoint === undefined ? {} : { endpoint }),
      });
      try {
        const url = await resolveEndpointUrl(client.config as unknown as SdkConfig);
        if (!/^https?:$/.test(url.protocol))
          throw new Error(
            `${url.href} is not a URL with http:// or https://; correct endpoint_url in ~/.aws/config`,
          );
        return [service, endpointName(url)];
      } finally {
        client.destroy();
      }
    }),
  );
  const names = toSortedSet(entries.map(([, name = '']) => name));
  return names.length === 1 ? names.join() : toSortedSet(entries.map((entry) => entry.join('='))).join(', ');
}

/** Returns whether a host is of AWS, in the partition of the Region in its name. VPC, FIPS and dual-stack endpoints are. */
function isAwsHost(hostname: string): boolean {
  const region = hostname.split('.').reverse().find(isListedRegion) ?? 'us-east-1';
  return dnsSuffixesOf(region).some((suffix) => hostname.endsWith(`.${suffix}`));
}

/**
 * Returns the configuration of a client of S3 Control that calls a custom endpoint by its own host. The SDK puts the
 * account before every host, which only AWS resolves: `111122223333.127.0.0.1` is no valid host. The account is also a
 * header of the request.
 */
export function withoutAccountHosts(config: SdkConfig): SdkConfig {
  const endpointProvider: SdkConfig['endpointProvider'] = (parameters, context) => {
    const { Endpoint } = parameters;
    if (Endpoint === undefined || endpointName(new URL(Endpoint)) === 'aws')
      return config.endpointProvider(parameters, context);
    return { url: new URL(Endpoint) };
  };
  return Object.create(config, { endpointProvider: { value: endpointProvider } });
}

/** Returns `aws` for an endpoint of AWS, and otherwise its URL without user name and password. */
const endpointName = ({ protocol, hostname, origin, pathname }: URL): Endpoint =>
  protocol === 'https:' && isAwsHost(hostname) ? 'aws' : `${origin}${pathname.replace(/\/$/, '')}`;

/**
 * Whether an endpoint is configured. A custom endpoint may lack wildcard host names, so its requests use path style. S3
 * itself accepts path style everywhere, too.
 */
export const hasCustomEndpoint = ({ endpoint }: Connection): boolean =>
  (endpoint ?? process.env.AWS_ENDPOINT_URL_S3 ?? process.env.AWS_ENDPOINT_URL) !== undefined;
