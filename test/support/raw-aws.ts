import { createHash, createHmac } from 'node:crypto';

/**
 * Requests to the sandbox over plain HTTP. No SDK validates the input, retries or decodes the response, so that a test
 * sees what any client sees.
 */

export interface RawResponse {
  status: number;
  headers: Headers;
  body: string;
  /** Code and message of an error, in the format of the protocol; empty for a success. */
  code: string;
  message: string;
  /** The body of a JSON response; empty for other protocols. */
  json: Record<string, unknown>;
}

export interface RawCredentials {
  /** A 12-digit access key acts as the root user of the account. */
  accessKeyId: string;
  sessionToken?: string;
  region?: string;
}

type Account = string | RawCredentials;

const EMPTY_SIGNATURE = '0'.repeat(64);

function headersOf(service: string, account: Account): Record<string, string> {
  const {
    accessKeyId,
    sessionToken,
    region = 'us-east-1',
  } = typeof account === 'string' ? { accessKeyId: account } : account;
  const timestamp = `${new Date().toISOString().replace(/[-:]|\.\d+/g, '')}`;
  return {
    'x-amz-date': timestamp,
    ...(sessionToken === undefined ? {} : { 'x-amz-security-token': sessionToken }),
    authorization: `AWS4-HMAC-SHA256 Credential=${accessKeyId}/${timestamp.slice(0, 8)}/${region}/${service}/aws4_request, SignedHeaders=host;x-amz-date, Signature=${EMPTY_SIGNATURE}`,
  };
}

async function toRawResponse(response: Response): Promise<RawResponse> {
  const body = await response.text();
  const isJson = (response.headers.get('content-type') ?? '').includes('json');
  const json = isJson ? (JSON.parse(body) as Record<string, unknown>) : {};
  const elementOf = (name: string): string =>
    (new RegExp(`<${name}>([^<]*)</${name}>`).exec(body)?.[1] ?? '')
      .replaceAll('&quot;', '"')
      .replaceAll('&apos;', "'")
      .replaceAll('&lt;', '<')
      .replaceAll('&gt;', '>')
      .replaceAll('&amp;', '&');
  return {
    status: response.status,
    headers: response.headers,
    body,
    code: response.ok ? '' : isJson ? String(json.__type ?? '') : elementOf('Code'),
    message: response.ok ? '' : isJson ? String(json.message ?? '') : elementOf('Message'),
    json,
  };
}

/** Posts a request of a JSON protocol. */
const postJson = (
  endpoint: string,
  { service, version, target }: { service: string; version: string; target: string },
  operation: string,
  input: object,
  account: Account,
): Promise<Response> =>
  fetch(endpoint, {
    method: 'POST',
    headers: {
      ...headersOf(service, account),
      'content-type': `application/x-amz-json-${version}`,
      'x-amz-target': `${target}.${operation}`,
    },
    body: JSON.stringify(input),
  });

/** Sends a request of the JSON protocol of KMS. */
export async function callKms(
  endpoint: string,
  operation: string,
  input: object,
  account: Account = '111122223333',
): Promise<RawResponse> {
  const response = await postJson(
    endpoint,
    { service: 'kms', version: '1.1', target: 'TrentService' },
    operation,
    input,
    account,
  );
  return toRawResponse(response);
}

/** Sends a request of the JSON protocol of Organizations, which has one endpoint for all Regions. */
export async function callOrganizations(
  endpoint: string,
  operation: string,
  input: object,
  account: Account = '111122223333',
): Promise<RawResponse> {
  const response = await postJson(
    endpoint,
    { service: 'organizations', version: '1.1', target: 'AWSOrganizationsV20161128' },
    operation,
    input,
    account,
  );
  return toRawResponse(response);
}

/** Sends a request of the JSON protocol of CloudWatch. Times are seconds since the epoch. */
export async function callCloudWatch(
  endpoint: string,
  operation: string,
  input: object,
  account: Account = '111122223333',
): Promise<RawResponse> {
  const response = await postJson(
    endpoint,
    { service: 'monitoring', version: '1.0', target: 'GraniteServiceVersion20100801' },
    operation,
    input,
    account,
  );
  const rawResponse = await toRawResponse(response);
  // The code of the Query protocol, which the SDKs report.
  const [code = rawResponse.code] = response.headers.get('x-amzn-query-error')?.split(';') ?? [];
  return { ...rawResponse, code };
}

const QUERY_VERSIONS = { iam: '2010-05-08', sts: '2011-06-15', monitoring: '2010-08-01', sns: '2010-03-31' };

/** Sends a request of the JSON protocol of SQS. The path is that of a queue URL, or `/`. */
export async function callSqs(
  endpoint: string,
  operation: string,
  input: object,
  account: Account = '111122223333',
  { path = '/', signal }: { path?: string; signal?: AbortSignal } = {},
): Promise<RawResponse> {
  const response = await fetch(new URL(path, endpoint), {
    method: 'POST',
    headers: {
      ...headersOf('sqs', account),
      'content-type': 'application/x-amz-json-1.0',
      'x-amz-target': `AmazonSQS.${operation}`,
    },
    body: JSON.stringify(input),
    ...(signal ? { signal } : {}),
  });
  return toRawResponse(response);
}

/** Sends a request of the Query protocol of IAM, STS, CloudWatch or SNS. Nested members are flat: `Tags.member.1.Key`. */
export async function callQuery(
  endpoint: string,
  service: keyof typeof QUERY_VERSIONS,
  operation: string,
  input: Record<string, string>,
  account: Account = '111122223333',
): Promise<RawResponse> {
  const response = await fetch(endpoint, {
    method: 'POST',
    headers: { ...headersOf(service, account), 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({
      Action: operation,
      Version: QUERY_VERSIONS[service],
      ...input,
    }).toString(),
  });
  return toRawResponse(response);
}

/** Sends a request to S3: the path contains bucket, key and query. */
export async function callS3(
  endpoint: string,
  method: string,
  path: string,
  {
    body,
    headers = {},
    account = '111122223333',
  }: {
    body?: string;
    headers?: Record<string, string>;
    account?: Account;
  } = {},
): Promise<RawResponse> {
  const response = await fetch(`${endpoint}${path}`, {
    method,
    headers: { ...headersOf('s3', account), ...headers },
    ...(body === undefined ? {} : { body }),
  });
  return toRawResponse(response);
}

export interface SessionCredentials {
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken: string;
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

const encodeUri = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);

interface SigningInput {
  method: string;
  path: string;
  parameters: [string, string][];
  headers: [string, string][];
  payloadHash: string;
  service: string;
  timestamp: string;
  secretAccessKey: string;
}

const toQuery = (parameters: [string, string][]): string =>
  parameters
    .map(([name, value]) => `${encodeUri(name)}=${encodeUri(value)}`)
    .sort()
    .join('&');

/** Signs a request as IAM User Guide, "Create a signed AWS API request", describes. */
function signatureOf(input: SigningInput): string {
  const scope = [input.timestamp.slice(0, 8), 'us-east-1', input.service, 'aws4_request'];
  const canonicalRequest = [
    input.method,
    input.path,
    toQuery(input.parameters),
    ...input.headers.map(([name, value]) => `${name}:${value}`),
    '',
    input.headers.map(([name]) => name).join(';'),
    input.payloadHash,
  ].join('\n');
  const stringToSign = ['AWS4-HMAC-SHA256', input.timestamp, scope.join('/'), sha256(canonicalRequest)].join(
    '\n',
  );
  const key = scope.reduce<Buffer | string>(
    (secret, part) => createHmac('sha256', secret).update(part).digest(),
    `AWS4${input.secretAccessKey}`,
  );
  return createHmac('sha256', key).update(stringToSign).digest('hex');
}

export const toTimestamp = (time: number): string => new Date(time).toISOString().replace(/[-:]|\.\d+/g, '');

/** Sends a signed request of a session: ListBuckets of S3, or an operation without input of another service. */
export async function callAsSession(
  endpoint: string,
  service: 's3' | 'sts' | 'kms',
  { accessKeyId, secretAccessKey, sessionToken }: SessionCredentials,
  operation = '',
): Promise<RawResponse> {
  const body = service === 'sts' ? `Action=${operation}&Version=2011-06-15` : service === 'kms' ? '{}' : '';
  const timestamp = toTimestamp(Date.now());
  const method = service === 's3' ? 'GET' : 'POST';
  const headers: [string, string][] = [
    ['host', new URL(endpoint).host],
    ...(service === 's3' ? [['x-amz-content-sha256', sha256(body)] as [string, string]] : []),
    ['x-amz-date', timestamp],
    ['x-amz-security-token', sessionToken],
    ...(service === 'kms' ? [['x-amz-target', `TrentService.${operation}`] as [string, string]] : []),
  ];
  const signature = signatureOf({
    method,
    path: '/',
    parameters: [],
    headers,
    payloadHash: sha256(body),
    service,
    timestamp,
    secretAccessKey,
  });
  const authorization = `AWS4-HMAC-SHA256 Credential=${accessKeyId}/${timestamp.slice(0, 8)}/us-east-1/${service}/aws4_request, SignedHeaders=${headers.map(([name]) => name).join(';')}, Signature=${signature}`;
  const contentType = service === 'kms' ? 'application/x-amz-json-1.1' : 'application/x-www-form-urlencoded';
  const response = await fetch(endpoint, {
    method,
    headers: { ...Object.fromEntries(headers), authorization, 'content-type': contentType },
    ...(method === 'GET' ? {} : { body }),
  });
  return toRawResponse(response);
}

/** Returns the path and query of a presigned URL of S3. */
export function presign(
  endpoint: string,
  {
    method = 'GET',
    path,
    credentials,
    parameters = {},
    signedAt = Date.now(),
    expires = 900,
    headers = {},
  }: {
    method?: string;
    path: string;
    credentials: { accessKeyId: string; secretAccessKey: string; sessionToken?: string };
    parameters?: Record<string, string>;
    signedAt?: number;
    expires?: number | string;
    headers?: Record<string, string>;
  },
): string {
  const timestamp = toTimestamp(signedAt);
  const signedHeaders: [string, string][] = Object.entries({
    host: new URL(endpoint).host,
    ...headers,
  }).sort();
  const query: [string, string][] = Object.entries({
    ...parameters,
    'X-Amz-Algorithm': 'AWS4-HMAC-SHA256',
    'X-Amz-Credential': `${credentials.accessKeyId}/${timestamp.slice(0, 8)}/us-east-1/s3/aws4_request`,
    'X-Amz-Date': timestamp,
    'X-Amz-Expires': String(expires),
    'X-Amz-SignedHeaders': signedHeaders.map(([name]) => name).join(';'),
    ...(credentials.sessionToken === undefined ? {} : { 'X-Amz-Security-Token': credentials.sessionToken }),
  });
  const signature = signatureOf({
    method,
    path,
    parameters: query,
    headers: signedHeaders,
    payloadHash: 'UNSIGNED-PAYLOAD',
    service: 's3',
    timestamp,
    secretAccessKey: credentials.secretAccessKey,
  });
  return `${path}?${toQuery(query)}&X-Amz-Signature=${signature}`;
}

/** Sends a request without an Authorization header: anonymous, or with the credentials in its query. */
export async function callWithoutHeader(
  endpoint: string,
  method: string,
  path: string,
  { body, headers = {} }: { body?: string; headers?: Record<string, string> } = {},
): Promise<RawResponse> {
  const response = await fetch(`${endpoint}${path}`, {
    method,
    headers,
    ...(body === undefined ? {} : { body }),
  });
  return toRawResponse(response);
}
