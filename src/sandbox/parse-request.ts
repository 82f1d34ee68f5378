import type { IncomingMessage } from 'node:http';
import { accountRootArn, partitionOfRegion } from '../util/arn.ts';
import { ADMIN_USER_NAME, adminUserIdOf } from './authorize.ts';
import { AwsError, missingFeatureError, toAwsError } from './aws-error.ts';
import { readBody } from './protocol/body.ts';
import { verifyChecksumHeaders } from './protocol/checksums.ts';
import {
  isS3ControlPath,
  operations,
  type RestService,
  routeS3,
  routeS3Control,
  type SdkOperation,
  type ServiceName,
  tryDecodeUri,
} from './protocol/operations.ts';
import { decodeRest } from './protocol/rest-xml.ts';
import { decodeQuery, decodeRpc, type Protocol, type RpcProtocol } from './protocol/rpc.ts';
import {
  checkSignatureTime,
  checkSignedHeaders,
  checkVersion2Region,
  expiredTokenError,
  parseSignature,
  type RequestSignature,
  unknownAccessKeyError,
  verifySessionSignature,
  version2KmsError,
} from './signature.ts';
import type { SessionState } from './state.ts';
import type { Store } from './store.ts';

/** Principal that signed a request: an account itself (its root user), or a session of one of its roles. */
export interface Caller {
  account: string;
  /** `arn:aws:iam::ACCOUNT:root` or `arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION`, in the partition of the Region. */
  arn: string;
  /** UserId of GetCallerIdentity: the id of the account for its root user. Absent for a caller without credentials. */
  userId?: string;
}

/** Account and ARN of a caller without credentials. */
export const ANONYMOUS = 'anonymous';

/** Signer, service and Region of a request, from the Authorization header or the presigned query. */
interface Signer {
  caller: Caller;
  region: string;
  service: string;
  session?: SessionState;
  signature?: RequestSignature;
  /** Error that rejects the request; absent for a valid request. */
  refusal?: AwsError;
}

/** Parsed request: signer, service, operation, and a function that decodes the input. */
export interface ParsedRequest extends Omit<Signer, 'service'> {
  service: ServiceName;
  protocol: Protocol;
  /** Name of the operation for the log; `operation` is absent if the service has no operation of this name. */
  name: string;
  operation: SdkOperation | undefined;
  account: string;
  headers: Record<string, string>;
  decode: (operation: SdkOperation) => Promise<Record<string, unknown>>;
}

/**
 * Parses a request without handling it. Never throws: `refusal` holds the error of an invalid request. `systemTime` is the
 * time of the clients, in milliseconds; absent if the sandbox has a clock of its own, which no client shares.
 */
export async function parseRequest(
  request: IncomingMessage,
  store: Store,
  now: number,
  systemTime?: number,
): Promise<ParsedRequest> {
  const url = new URL(`http://sandbox${request.url ?? '/'}`);
  const requestHeaders = flattenHeaders(request.headers);
  const signer = signerOf(store, requestHeaders, url.searchParams, now, systemTime);
  const { body, refusal } = await readBody(request, requestHeaders).then(
    (body) => ({
      body,
      refusal: signer.refusal ?? signatureRefusal(request, requestHeaders, body.bytes, signer),
    }),
    (error: unknown) => ({
      body: { bytes: Buffer.alloc(0), trailers: {} },
      refusal: signer.refusal ?? toAwsError(error),
    }),
  );
  const headers = { ...requestHeaders, ...body.trailers };
  const baseFields: Signer & Pick<ParsedRequest, 'headers' | 'account'> = {
    ...signer,
    ...(refusal === undefined ? {} : { refusal }),
    headers,
    account: signer.caller.account,
  };

  const toRpcRequest = (
    service: RpcService,
    protocol: Protocol,
    name: string,
    decode: ParsedRequest['decode'],
  ): ParsedRequest => ({
    ...baseFields,
    service,
    protocol,
    name,
    operation: operations[service].get(name),
    decode,
  });
  const rpcService = RPC_SERVICES[signer.service];
  const protocol =
    rpcService?.protocols.find((name) => isOfProtocol(name, headers)) ?? rpcService?.protocols[0];
  if (rpcService && protocol !== 'query' && protocol !== undefined) {
    // Smithy RPC v2: `/service/SERVICE/operation/OPERATION`.
    const target = protocol === 'cbor' ? url.pathname.split('/') : headers['x-amz-target']?.split('.');
    return toRpcRequest(rpcService.name, protocol, target?.at(-1) || 'Unknown', (operation) =>
      decodeRpc(protocol, operation, body.bytes),
    );
  }
  if (rpcService) {
    const form = new URLSearchParams(body.bytes.toString());
    for (const [name, value] of url.searchParams) if (!form.has(name)) form.set(name, value);
    return toRpcRequest(rpcService.name, 'query', form.get('Action') ?? 'Unknown', async (operation) =>
      decodeQuery(operation, form),
    );
  }
  if (signer.service !== 's3') {
    const format = 'x-amz-target' in headers ? 'json1.1' : url.searchParams.has('Action') ? 'query' : 'rest';
    const refusal = missingFeatureError(`the service ${signer.service}`);
    return {
      ...baseFields,
      service: 's3',
      protocol: format,
      name: signer.service,
      operation: undefined,
      refusal,
      decode: async () => ({}),
    };
  }
  if (isS3ControlPath(url.pathname)) {
    const route = routeS3Control(request.method ?? 'GET', url.pathname);
    return {
      ...baseFields,
      service: 's3control',
      protocol: 'rest',
      name: route?.operation.name ?? `${request.method} ${url.pathname}`,
      operation: route?.operation,
      decode: (operation) =>
        decodeRest(operation, {
          bucket: '',
          key: '',
          query: url.searchParams,
          headers,
          body: body.bytes,
          ...(route && { labels: route.labels }),
        }),
    };
  }
  const { bucket, key } = parseBucketAndKey(headers.host ?? '', request.url ?? '/');
  if (signer.signature?.version === 2) {
    const region = store.bucket(bucket)?.region ?? signer.region;
    baseFields.region = region;
    const refusal =
      baseFields.refusal ?? version2Refusal(store, { bucket, key, method: request.method, headers });
    if (refusal) baseFields.refusal = refusal;
  }
  const operation = routeS3(
    request.method ?? 'GET',
    bucket,
    key,
    url.searchParams,
    'x-amz-copy-source' in headers,
  );
  // HeadBucket returns the Region of a bucket also to callers without credentials.
  if (operation?.name === 'HeadBucket' && signer.caller.account === ANONYMOUS) delete baseFields.refusal;
  return {
    ...baseFields,
    service: 's3',
    protocol: 'rest',
    name: operation?.name ?? `${request.method} ${url.pathname}`,
    operation,
    decode: async (s3Operation) => {
      // The checksum in the headers of CompleteMultipartUpload is that of the object, not of the body.
      if (s3Operation.name !== 'CompleteMultipartUpload') verifyChecksumHeaders(body.bytes, headers);
      return decodeRest(s3Operation, { bucket, key, query: url.searchParams, headers, body: body.bytes });
    },
  };
}

type RpcService = Exclude<ServiceName, RestService>;

/** Services of the RPC protocols, by their signing name. The first protocol is that of the current SDKs. */
const RPC_SERVICES: Record<string, { name: RpcService; protocols: ('query' | RpcProtocol)[] } | undefined> = {
  iam: { name: 'iam', protocols: ['query'] },
  sts: { name: 'sts', protocols: ['query'] },
  sns: { name: 'sns', protocols: ['query'] },
  kms: { name: 'kms', protocols: ['json1.1'] },
  cloudtrail: { name: 'cloudtrail', protocols: ['json1.1'] },
  organizations: { name: 'organizations', protocols: ['json1.1'] },
  sqs: { name: 'sqs', protocols: ['json1.0'] },
  monitoring: { name: 'cloudwatch', protocols: ['json1.0', 'cbor', 'query'] },
};

const isOfProtocol = (protocol: Protocol, headers: Record<string, string>): boolean => {
  if (headers['smithy-protocol'] === 'rpc-v2-cbor') return protocol === 'cbor';
  return 'x-amz-target' in headers ? protocol.startsWith('json') : protocol === 'query';
};

const flattenHeaders = (headers: IncomingMessage['headers']): Record<string, string> =>
  Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [
      name,
      Array.isArray(value) ? value.join(',') : (value ?? ''),
    ]),
  );

/**
 * Returns the signer of a request. A 12-digit access key id is the id of an account, and acts as its root user. `AKIA`
 * and the id of an account acts as its user `admin`. The secrets of both are made up, so any secret is valid. `ASIA…` is
 * a session, which AssumeRole returned.
 */
function signerOf(
  store: Store,
  headers: Record<string, string>,
  query: URLSearchParams,
  now: number,
  systemTime?: number,
): Signer {
  // The caller of a request that is refused before the caller is known.
  const caller = { account: 'unknown', arn: 'unknown' };
  let signature: RequestSignature | undefined;
  try {
    signature = parseSignature(headers, query);
    if (signature && systemTime !== undefined) checkSignatureTime(signature, query, systemTime);
    if (signature) checkSignedHeaders(signature, headers);
  } catch (error) {
    const { service = 's3', region = 'us-east-1' } = signature ?? {};
    return { caller, service, region, refusal: toAwsError(error) };
  }
  if (!signature) {
    return {
      caller: { account: ANONYMOUS, arn: ANONYMOUS },
      region: 'us-east-1',
      service: 's3',
      refusal: new AwsError(403, 'AccessDenied', 'Access Denied'),
    };
  }
  const { accessKeyId, region = 'us-east-1', service } = signature;
  if (accessKeyId.startsWith('ASIA')) {
    return {
      ...(sessionSignerOf(store, signature, now) ?? {
        caller,
        refusal: unknownAccessKeyError(signature),
      }),
      signature,
      region,
      service,
    };
  }
  const [, user, account = DEFAULT_ACCOUNT] = /^(AKIA)?(\d{12})$/.exec(accessKeyId) ?? [];
  return {
    caller:
      user === undefined
        ? { account, arn: accountRootArn(account, region), userId: account }
        : {
            account,
            arn: `arn:${partitionOfRegion(region)}:iam::${account}:user/${ADMIN_USER_NAME}`,
            userId: adminUserIdOf(account),
          },
    signature,
    region,
    service,
  };
}

/** Account of the access keys that name no account. */
const DEFAULT_ACCOUNT = '000000000000';

/** Returns the caller of a session; undefined if no session has this access key, or its role is deleted. */
function sessionSignerOf(
  store: Store,
  { accessKeyId, service, region = 'us-east-1' }: RequestSignature,
  now: number,
): Pick<Signer, 'caller' | 'session' | 'refusal'> | undefined {
  for (const account of store.accounts()) {
    const session = account.sessions.get(accessKeyId);
    if (!session) continue;
    const role = account.roles.get(session.roleName.toLowerCase());
    if (!role || role.id !== (session.roleId ?? role.id)) return undefined;
    const { roleName, sessionName, expires } = session;
    const arn = `arn:${partitionOfRegion(region)}:sts::${account.id}:assumed-role/${roleName}/${sessionName}`;
    return {
      caller: { account: account.id, arn, userId: `${role.id}:${sessionName}` },
      session,
      ...(expires < now ? { refusal: expiredTokenError(service) } : {}),
    };
  }
  return undefined;
}

/** Returns the error of a session's request with a wrong token or signature. */
function signatureRefusal(
  { method = 'GET', url = '/' }: IncomingMessage,
  headers: Record<string, string>,
  body: Buffer,
  { signature, session }: Signer,
): AwsError | undefined {
  if (!signature || !session) return undefined;
  try {
    verifySessionSignature(signature, session, { method, url, headers, body });
    return undefined;
  } catch (error) {
    return toAwsError(error);
  }
}

/** Returns the error of S3 for a request of Signature Version 2 that needs Version 4. */
function version2Refusal(
  store: Store,
  {
    bucket,
    key,
    method,
    headers,
  }: { bucket: string; key: string; method: string | undefined; headers: Record<string, string> },
): AwsError | undefined {
  const state = store.bucket(bucket);
  if (!state) return undefined;
  const defaultAlgorithm =
    state.encryption?.Rules?.[0]?.ApplyServerSideEncryptionByDefault?.SSEAlgorithm ?? 'AES256';
  const algorithm =
    method === 'PUT'
      ? (headers['x-amz-server-side-encryption'] ?? defaultAlgorithm)
      : state.objects.get(key)?.[0]?.encryption.algorithm;
  if (key !== '' && algorithm?.startsWith('aws:kms'))
    return version2KmsError(headers.authorization ?? 'null');
  try {
    checkVersion2Region(state.region);
    return undefined;
  } catch (error) {
    return toAwsError(error);
  }
}

/** Returns bucket and key of an S3 request. The bucket is in the path or in the host name. */
function parseBucketAndKey(host: string, url: string): { bucket: string; key: string } {
  const path = url.split('?')[0] ?? '/';
  const hostBucket = bucketOfHost(host);
  const relativePath = path.slice(1);
  if (hostBucket !== undefined) return { bucket: hostBucket, key: tryDecodeUri(relativePath) };
  const slash = relativePath.indexOf('/');
  if (slash < 0) return { bucket: tryDecodeUri(relativePath), key: '' };
  return {
    bucket: tryDecodeUri(relativePath.slice(0, slash)),
    key: tryDecodeUri(relativePath.slice(slash + 1)),
  };
}

/**
 * Returns the bucket in a host name: `acme` for `acme.s3.us-east-1.amazonaws.com` and `acme.localhost:4566`. IP
 * addresses and plain names are the endpoint itself and contain no bucket.
 */
function bucketOfHost(host: string): string | undefined {
  const name = host.replace(/:\d+$/, '');
  // DNS names have at most 253 characters. The pattern below is slow for longer texts.
  if (name.length > 253) return undefined;
  return (
    /^(.+)\.s3[.-](?:[a-z0-9-]+\.)*amazonaws\.com(?:\.cn)?$/.exec(name)?.[1] ??
    /^(.+?)(?:\.s3)?\.localhost$/.exec(name)?.[1]
  );
}
