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

/** Sends a request of the JSON protocol of KMS. */
export async function callKms(
  endpoint: string,
  operation: string,
  input: object,
  account: Account = '111122223333',
): Promise<RawResponse> {
  const response = await fetch(endpoint, {
    method: 'POST',
    headers: {
      ...headersOf('kms', account),
      'content-type': 'application/x-amz-json-1.1',
      'x-amz-target': `TrentService.${operation}`,
    },
    body: JSON.stringify(input),
  });
  return toRawResponse(response);
}

/** Sends a request of the Query protocol of IAM or STS. Nested members are flat: `Tags.member.1.Key`. */
export async function callQuery(
  endpoint: string,
  service: 'iam' | 'sts',
  operation: string,
  input: Record<string, string>,
  account: Account = '111122223333',
): Promise<RawResponse> {
  const response = await fetch(endpoint, {
    method: 'POST',
    headers: { ...headersOf(service, account), 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({
      Action: operation,
      Version: service === 'iam' ? '2010-05-08' : '2011-06-15',
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
    /** `undefined` sends no Authorization header. */
    account?: Account | undefined;
  } = {},
): Promise<RawResponse> {
  const response = await fetch(`${endpoint}${path}`, {
    method,
    headers: { ...headersOf('s3', account), ...headers },
    ...(body === undefined ? {} : { body }),
  });
  return toRawResponse(response);
}
