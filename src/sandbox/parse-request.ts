import type { IncomingMessage } from 'node:http';
import { toAwsError } from './aws-error.ts';
import { type Signer, signerOf } from './credentials.ts';
import { readBody } from './protocol/body.ts';
import { decodeJson } from './protocol/json.ts';
import { operations, routeS3, type SdkOperation, type ServiceName } from './protocol/operations.ts';
import { decodeQuery } from './protocol/query.ts';
import { decodeRest } from './protocol/rest-xml.ts';
import { parseBucketAndKey } from './s3/addressing.ts';
import type { Store } from './store.ts';

/** A request, understood: who asks what of which service, and how its input is decoded. */
export interface ParsedRequest extends Omit<Signer, 'service'> {
  service: ServiceName;
  /** The operation as it is logged; `operation` is absent where the service has none of that name. */
  name: string;
  operation: SdkOperation | undefined;
  account: string;
  headers: Record<string, string>;
  /** The path, as S3 tells it in errors. */
  resource: string;
  decode: (operation: SdkOperation) => Promise<Record<string, unknown>>;
}

/** What is asked, by whom and where, before anything is done about it. Never throws: what is wrong is its `refusal`. */
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
  const baseFields = {
    ...signer,
    ...(refusal === undefined ? {} : { refusal }),
    headers,
    account: signer.caller.account,
  };

  if (signer.service === 'kms' || signer.service === 'cloudtrail') {
    const name = headers['x-amz-target']?.split('.').at(-1) ?? 'Unknown';
    return {
      ...baseFields,
      service: signer.service,
      name,
      operation: operations[signer.service].get(name),
      resource: '/',
      decode: (operation) => decodeJson(operation, body.bytes),
    };
  }
  if (signer.service === 'iam' || signer.service === 'sts') {
    const form = new URLSearchParams(body.bytes.toString());
    for (const [name, value] of url.searchParams) if (!form.has(name)) form.set(name, value);
    const name = form.get('Action') ?? 'Unknown';
    return {
      ...baseFields,
      service: signer.service,
      name,
      operation: operations[signer.service].get(name),
      resource: '/',
      decode: async (operation) => decodeQuery(operation, form),
    };
  }
  const { bucket, key } = parseBucketAndKey(headers.host ?? '', request.url ?? '/');
  const isS3Control = url.pathname.startsWith('/v20180820/');
  const operation = isS3Control
    ? undefined
    : routeS3(request.method ?? 'GET', bucket, key, url.searchParams, 'x-amz-copy-source' in headers);
  return {
    ...baseFields,
    service: 's3',
    name: operation?.name ?? (isS3Control ? 'S3Control' : `${request.method} ${url.pathname}`),
    operation,
    resource: url.pathname,
    decode: (s3Operation) =>
      decodeRest(s3Operation, { bucket, key, query: url.searchParams, headers, body: body.bytes }),
  };
}

const flattenHeaders = (headers: IncomingMessage['headers']): Record<string, string> =>
  Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [
      name,
      Array.isArray(value) ? value.join(',') : (value ?? ''),
    ]),
  );
