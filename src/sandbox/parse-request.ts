import type { IncomingMessage } from 'node:http';
import { accountRootArn, partitionOfRegion } from '../util/arn.ts';
import { AwsError, toAwsError } from './aws-error.ts';
import { readBody } from './protocol/body.ts';
import { verifyChecksumHeaders } from './protocol/checksums.ts';
import { operations, routeS3, type SdkOperation, type ServiceName } from './protocol/operations.ts';
import { decodeRest } from './protocol/rest-xml.ts';
import { decodeJson, decodeQuery } from './protocol/rpc.ts';
import type { SessionState } from './state.ts';
import type { Store } from './store.ts';

/** Principal that signed a request: an account itself (its root user), or a session of one of its roles. */
export interface Caller {
  account: string;
  /** `arn:aws:iam::ACCOUNT:root` or `arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION`, in the partition of the Region. */
  arn: string;
}

/** Account and ARN of a caller without credentials. */
export const ANONYMOUS = 'anonymous';

/** Signer, service and Region of a request, from the Authorization header or the presigned query. */
interface Signer {
  caller: Caller;
  region: string;
  service: string;
  session?: SessionState;
  /** Error that rejects the request; absent for a valid request. */
  refusal?: AwsError;
}

/** Parsed request: signer, service, operation, and a function that decodes the input. */
export interface ParsedRequest extends Omit<Signer, 'service'> {
  service: ServiceName;
  /** Name of the operation for the log; `operation` is absent if the service has no operation of this name. */
  name: string;
  operation: SdkOperation | undefined;
  account: string;
  headers: Record<string, string>;
  decode: (operation: SdkOperation) => Promise<Record<string, unknown>>;
}

/** Parses a request without handling it. Never throws: `refusal` holds the error of an invalid request. */
export async function parseRequest(
  request: IncomingMessage,
  store: Store,
  now: number,
): Promise<ParsedRequest> {
  const url = new URL(`http://sandbox${request.url ?? '/'}`);
  const requestHeaders = flattenHeaders(request.headers);
  const signer = signerOf(store, requestHeaders, url.searchParams, now);
  const { body, refusal } = await readBody(request, requestHeaders).then(
    (body) => ({ body, refusal: signer.refusal }),
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
    service: Exclude<ServiceName, 's3'>,
    name: string,
    decode: ParsedRequest['decode'],
  ): ParsedRequest => ({
    ...baseFields,
    service,
    name,
    operation: operations[service].get(name),
    decode,
  });
  if (signer.service === 'kms' || signer.service === 'cloudtrail') {
    const name = headers['x-amz-target']?.split('.').at(-1) ?? 'Unknown';
    return toRpcRequest(signer.service, name, (operation) => decodeJson(operation, body.bytes));
  }
  if (signer.service === 'iam' || signer.service === 'sts') {
    const form = new URLSearchParams(body.bytes.toString());
    for (const [name, value] of url.searchParams) if (!form.has(name)) form.set(name, value);
    return toRpcRequest(signer.service, form.get('Action') ?? 'Unknown', async (operation) =>
      decodeQuery(operation, form),
    );
  }
  const { bucket, key } = parseBucketAndKey(headers.host ?? '', request.url ?? '/');
  const isS3Control = url.pathname.startsWith('/v20180820/');
  const operation = isS3Control
    ? undefined
    : routeS3(request.method ?? 'GET', bucket, key, url.searchParams, 'x-amz-copy-source' in headers);
  // HeadBucket returns the Region of a bucket also to callers without credentials.
  if (operation?.name === 'HeadBucket' && signer.caller.account === ANONYMOUS) delete baseFields.refusal;
  return {
    ...baseFields,
    service: 's3',
    name: operation?.name ?? (isS3Control ? 'S3Control' : `${request.method} ${url.pathname}`),
    operation,
    decode: async (s3Operation) => {
      // The checksum in the headers of CompleteMultipartUpload is that of the object, not of the body.
      if (s3Operation.name !== 'CompleteMultipartUpload') verifyChecksumHeaders(body.bytes, headers);
      return decodeRest(s3Operation, { bucket, key, query: url.searchParams, headers, body: body.bytes });
    },
  };
}

const flattenHeaders = (headers: IncomingMessage['headers']): Record<string, string> =>
  Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [
      name,
      Array.isArray(value) ? value.join(',') : (value ?? ''),
    ]),
  );

/**
 * Returns the signer of a request. The sandbox does not check signatures, so any secret is valid. A 12-digit access
 * key id is the id of an account, and acts as its root user.
 */
function signerOf(
  store: Store,
  headers: Record<string, string>,
  query: URLSearchParams,
  now: number,
): Signer {
  const credential =
    /Credential=([^,\s]+)/.exec(headers.authorization ?? '')?.[1] ??
    query.get('X-Amz-Credential') ??
    undefined;
  if (credential === undefined) {
    return {
      caller: { account: ANONYMOUS, arn: ANONYMOUS },
      region: 'us-east-1',
      service: 's3',
      refusal: new AwsError(403, 'AccessDenied', 'Access Denied'),
    };
  }
  const [accessKeyId = '', , region = 'us-east-1', service = 's3'] = credential.split('/');
  for (const account of accessKeyId.startsWith('ASIA') ? store.accounts() : []) {
    const session = account.sessions.get(accessKeyId);
    if (!session) continue;
    const expiredError = new AwsError(400, 'ExpiredToken', 'The provided token has expired.');
    return {
      caller: {
        account: account.id,
        arn: `arn:${partitionOfRegion(region)}:sts::${account.id}:assumed-role/${session.roleName}/${session.sessionName}`,
      },
      region,
      service,
      session,
      ...(session.expires < now ? { refusal: expiredError } : {}),
    };
  }
  const account = /^\d{12}$/.test(accessKeyId) ? accessKeyId : '000000000000';
  return { caller: { account, arn: accountRootArn(account, region) }, region, service };
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

function tryDecodeUri(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
