import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { AwsError } from './aws-error.ts';
import type { SessionState } from './state.ts';

/**
 * Signatures of requests. The secrets of accounts are made up, so the sandbox checks only what it knows: the form, the
 * time and the service of every signature, and the signature itself for the credentials that AssumeRole returned.
 */

export interface RequestSignature {
  /** Signature Version 4, or Version 2 of S3. */
  version: 2 | 4;
  accessKeyId: string;
  /** Absent in Version 2, whose signatures are valid in any Region. */
  region?: string;
  service: string;
  /** Whether the query carries the signature, as in a presigned URL. */
  isPresigned: boolean;
  token?: string;
  /** Names of the signed headers, in lower case. */
  signedHeaders: string[];
  signature: string;
  /** Time of signing, as in the request: `20261130T174000Z`. */
  timestamp?: string;
}

/** The parts of a request that its signature covers. */
export interface SignedParts {
  method: string;
  /** Path and query, as sent. */
  url: string;
  headers: Record<string, string>;
  body: Buffer;
}

/**
 * Returns the signature of a request; undefined for a request without credentials.
 *
 * @throws AwsError when the parameters of a presigned URL are incomplete.
 */
export function parseSignature(
  headers: Record<string, string>,
  query: URLSearchParams,
): RequestSignature | undefined {
  const { authorization = '' } = headers;
  const credential = /Credential=([^,\s]+)/.exec(authorization)?.[1];
  const tokenFields = (token: string | null | undefined) => (token ? { token } : {});
  if (credential !== undefined) {
    const timestamp = headers['x-amz-date'];
    return {
      version: 4,
      ...parseCredential(credential),
      isPresigned: false,
      ...tokenFields(headers['x-amz-security-token']),
      signedHeaders: /SignedHeaders=([^,\s]+)/.exec(authorization)?.[1]?.split(';') ?? [],
      signature: /Signature=([^,\s]+)/.exec(authorization)?.[1] ?? '',
      ...(timestamp === undefined ? {} : { timestamp }),
    };
  }
  if (query.has('X-Amz-Credential') || query.has('X-Amz-Signature')) {
    checkPresignedParameters(query);
    return {
      version: 4,
      ...parseCredential(query.get('X-Amz-Credential') ?? ''),
      isPresigned: true,
      ...tokenFields(query.get('X-Amz-Security-Token')),
      signedHeaders: (query.get('X-Amz-SignedHeaders') ?? '').split(';'),
      signature: query.get('X-Amz-Signature') ?? '',
      timestamp: query.get('X-Amz-Date') ?? '',
    };
  }
  const [, headerKey, headerSignature] = /^AWS ([^:\s]+):(\S+)$/.exec(authorization) ?? [];
  const accessKeyId = headerKey ?? query.get('AWSAccessKeyId');
  if (!accessKeyId) return undefined;
  return {
    version: 2,
    accessKeyId,
    service: 's3',
    isPresigned: headerKey === undefined,
    ...tokenFields(headers['x-amz-security-token'] ?? query.get('x-amz-security-token')),
    signedHeaders: [],
    signature: headerSignature ?? query.get('Signature') ?? '',
  };
}

function parseCredential(credential: string): { accessKeyId: string; region: string; service: string } {
  const [accessKeyId = '', , region = 'us-east-1', service = 's3'] = credential.split('/');
  return { accessKeyId, region, service };
}

const PRESIGNED_PARAMETERS = [
  'X-Amz-Algorithm',
  'X-Amz-Credential',
  'X-Amz-Signature',
  'X-Amz-Date',
  'X-Amz-SignedHeaders',
  'X-Amz-Expires',
];

const MAX_PRESIGNED_SECONDS = 604_800;

/** @throws AwsError with the messages of S3 for the query of a presigned URL (S3 API Reference, "Error responses"). */
function checkPresignedParameters(query: URLSearchParams): void {
  const parametersError = (message: string) =>
    new AwsError(400, 'AuthorizationQueryParametersError', message);
  if (PRESIGNED_PARAMETERS.some((name) => !query.has(name)))
    throw parametersError(
      'Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.',
    );
  if (query.get('X-Amz-Algorithm') !== 'AWS4-HMAC-SHA256')
    throw parametersError('X-Amz-Algorithm only supports "AWS4-HMAC-SHA256 and AWS4-ECDSA-P256-SHA256"');
  if (!/^[^/]+\/\d{8}\/[^/]+\/[^/]+\/aws4_request$/.test(query.get('X-Amz-Credential') ?? ''))
    throw parametersError(
      'Error parsing the X-Amz-Credential parameter; the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".',
    );
  if (parseTimestamp(query.get('X-Amz-Date') ?? '') === undefined)
    throw parametersError("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"");
  const expires = query.get('X-Amz-Expires') ?? '';
  if (!/^-?\d+$/.test(expires)) throw parametersError('X-Amz-Expires should be a number');
  if (Number(expires) < 0) throw parametersError('X-Amz-Expires must be non-negative');
  if (Number(expires) > MAX_PRESIGNED_SECONDS)
    throw parametersError(
      `X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than ${MAX_PRESIGNED_SECONDS} seconds`,
    );
}

/** Parses `20261130T174000Z` to milliseconds since the epoch; undefined for other text. */
function parseTimestamp(text: string): number | undefined {
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text);
  if (!match) return undefined;
  const [year = 0, month = 1, day, hour, minute, second] = match.slice(1).map(Number);
  return Date.UTC(year, month - 1, day, hour, minute, second);
}

const MAX_SKEW_MS = 900_000;

/**
 * Checks the time of a signature, and that a presigned URL has not expired.
 *
 * @throws AwsError of the service.
 */
export function checkSignatureTime(
  { version, service, isPresigned, timestamp }: RequestSignature,
  query: URLSearchParams,
  systemTime: number,
): void {
  const toIso = (time: number) => new Date(time).toISOString().replace('.000Z', 'Z');
  if (version === 2) {
    const expires = Number(query.get('Expires')) * 1000;
    if (isPresigned && !(expires >= systemTime))
      throw new AwsError(403, 'AccessDenied', 'Request has expired', {
        ...(Number.isFinite(expires) ? { Expires: toIso(expires) } : {}),
        ServerTime: toIso(systemTime - (systemTime % 1000)),
      });
    return;
  }
  const signedAt = timestamp === undefined ? undefined : parseTimestamp(timestamp);
  if (signedAt === undefined) return;
  if (!isPresigned) {
    if (Math.abs(systemTime - signedAt) > MAX_SKEW_MS)
      throw skewedError(service, timestamp ?? '', systemTime);
    return;
  }
  const expiresSeconds = Number(query.get('X-Amz-Expires'));
  if (signedAt - systemTime > MAX_SKEW_MS)
    throw new AwsError(403, 'AccessDenied', 'Request is not yet valid');
  const expires = signedAt + expiresSeconds * 1000;
  if (expires < systemTime)
    throw new AwsError(403, 'AccessDenied', 'Request has expired', {
      'X-Amz-Expires': String(expiresSeconds),
      Expires: toIso(expires),
      ServerTime: toIso(systemTime - (systemTime % 1000)),
    });
}

/** @throws AwsError when a request with a presigned URL has headers of AWS that its signature does not cover. */
export function checkSignedHeaders(
  { version, isPresigned, signedHeaders }: RequestSignature,
  headers: Record<string, string>,
): void {
  if (version !== 4 || !isPresigned) return;
  const unsigned = Object.keys(headers).filter(
    (name) => name.startsWith('x-amz-') && !signedHeaders.includes(name),
  );
  if (unsigned.length > 0)
    throw new AwsError(
      403,
      'AccessDenied',
      'There were headers present in the request which were not signed',
      {
        HeadersNotSigned: unsigned.join(', '),
      },
    );
}

function skewedError(service: string, timestamp: string, systemTime: number): AwsError {
  const compact = (time: number) => new Date(time).toISOString().replace(/[-:]|\.\d+/g, '');
  if (service === 's3')
    return new AwsError(
      403,
      'RequestTimeTooSkewed',
      'The difference between the request time and the current time is too large.',
      {
        RequestTime: timestamp,
        ServerTime: new Date(systemTime).toISOString(),
        MaxAllowedSkewMilliseconds: String(MAX_SKEW_MS),
      },
    );
  const isExpired = timestamp < compact(systemTime);
  const limit = systemTime + (isExpired ? -MAX_SKEW_MS : MAX_SKEW_MS);
  const message = isExpired
    ? `Signature expired: ${timestamp} is now earlier than ${compact(limit)} (${compact(systemTime)} - 15 min.)`
    : `Signature not yet current: ${timestamp} is still later than ${compact(limit)} (${compact(systemTime)} + 15 min.)`;
  return isJsonService(service)
    ? new AwsError(400, 'InvalidSignatureException', message)
    : new AwsError(403, 'SignatureDoesNotMatch', message);
}

const isJsonService = (service: string): boolean => JSON_SERVICES.has(service);

/** Services of the JSON protocols, by their signing name. */
const JSON_SERVICES: ReadonlySet<string> = new Set(['kms', 'cloudtrail', 'monitoring', 'sqs']);

/** Returns the error of a service for an access key that does not exist. */
export function unknownAccessKeyError({ service, accessKeyId }: RequestSignature): AwsError {
  if (service === 's3')
    return new AwsError(
      403,
      'InvalidAccessKeyId',
      'The AWS Access Key Id you provided does not exist in our records.',
      { AWSAccessKeyId: accessKeyId },
    );
  return invalidTokenError(service);
}

function invalidTokenError(service: string): AwsError {
  if (service === 's3')
    return new AwsError(400, 'InvalidToken', 'The provided token is malformed or otherwise invalid.');
  const message = 'The security token included in the request is invalid.';
  return isJsonService(service)
    ? new AwsError(400, 'UnrecognizedClientException', message)
    : new AwsError(403, 'InvalidClientTokenId', message);
}

/** Returns the error of a service for a session that has expired. */
export function expiredTokenError(service: string): AwsError {
  if (service === 's3') return new AwsError(400, 'ExpiredToken', 'The provided token has expired.');
  const message = 'The security token included in the request is expired';
  return isJsonService(service)
    ? new AwsError(400, 'ExpiredTokenException', message)
    : new AwsError(403, 'ExpiredToken', message);
}

/**
 * Checks the token and the signature of a session, whose secret the sandbox issued.
 *
 * @throws AwsError of the service.
 */
export function verifySessionSignature(
  signature: RequestSignature,
  session: SessionState,
  parts: SignedParts,
): void {
  if (session.token !== undefined && signature.token !== session.token)
    throw invalidTokenError(signature.service);
  if (signature.version === 2 || session.secretAccessKey === undefined) return;
  const canonicalRequest = canonicalRequestOf(signature, parts);
  const scope = scopeOf(signature);
  const stringToSign = [
    'AWS4-HMAC-SHA256',
    signature.timestamp ?? '',
    scope,
    createHash('sha256').update(canonicalRequest).digest('hex'),
  ].join('\n');
  const key = [...scope.split('/')].reduce<Buffer | string>(
    (secret, part) => createHmac('sha256', secret).update(part).digest(),
    `AWS4${session.secretAccessKey}`,
  );
  const expected = createHmac('sha256', key).update(stringToSign).digest();
  const actual = Buffer.from(signature.signature, 'hex');
  if (actual.length === expected.length && timingSafeEqual(actual, expected)) return;
  throw signatureMismatchError(signature, stringToSign, canonicalRequest);
}

const scopeOf = ({ timestamp = '', region = '', service }: RequestSignature): string =>
  [timestamp.slice(0, 8), region, service, 'aws4_request'].join('/');

function signatureMismatchError(
  { service, accessKeyId, signature }: RequestSignature,
  stringToSign: string,
  canonicalRequest: string,
): AwsError {
  const message = 'The request signature we calculated does not match the signature you provided.';
  if (service === 's3')
    return new AwsError(403, 'SignatureDoesNotMatch', `${message} Check your key and signing method.`, {
      AWSAccessKeyId: accessKeyId,
      StringToSign: stringToSign,
      SignatureProvided: signature,
      CanonicalRequest: canonicalRequest,
    });
  const longMessage = `${message} Check your AWS Secret Access Key and signing method. Consult the service documentation for details.`;
  return isJsonService(service)
    ? new AwsError(400, 'InvalidSignatureException', longMessage)
    : new AwsError(403, 'SignatureDoesNotMatch', longMessage);
}

/** Returns the canonical request of Signature Version 4 (IAM User Guide, "Create a signed AWS API request"). */
function canonicalRequestOf(
  { service, signedHeaders, isPresigned }: RequestSignature,
  { method, url, headers, body }: SignedParts,
): string {
  const [path = '/', ...queryParts] = url.split('?');
  const parameters = queryParts
    .join('?')
    .split('&')
    .filter((part) => part !== '' && !part.startsWith('X-Amz-Signature='))
    .map((part) => part.split(/=(.*)/s))
    .map(([name = '', value = '']) => `${encodeUri(decodeUri(name))}=${encodeUri(decodeUri(value))}`);
  const payloadHash =
    headers['x-amz-content-sha256'] ??
    (isPresigned && service === 's3' ? 'UNSIGNED-PAYLOAD' : createHash('sha256').update(body).digest('hex'));
  return [
    method,
    path
      .split('/')
      .map((part) => encodeUri(decodeUri(part)))
      .join('/'),
    parameters.sort().join('&'),
    ...signedHeaders.map((name) => `${name}:${(headers[name] ?? '').trim().replace(/\s+/g, ' ')}`),
    '',
    signedHeaders.join(';'),
    payloadHash,
  ].join('\n');
}

function decodeUri(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

const encodeUri = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);

/** Regions in which S3 accepts Signature Version 2: those that AWS launched before 2014. */
const VERSION_2_REGIONS: ReadonlySet<string> = new Set([
  'us-east-1',
  'us-west-1',
  'us-west-2',
  'eu-west-1',
  'ap-southeast-1',
  'ap-southeast-2',
  'ap-northeast-1',
  'sa-east-1',
  'us-gov-west-1',
]);

/** @throws AwsError when S3 does not accept Signature Version 2 in the Region of a bucket. */
export function checkVersion2Region(region: string): void {
  if (VERSION_2_REGIONS.has(region)) return;
  throw new AwsError(
    400,
    'InvalidRequest',
    'The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.',
  );
}

/** Returns the error of S3 for an object under a KMS key in a request of Signature Version 2. */
export const version2KmsError = (authorization: string): AwsError =>
  new AwsError(
    400,
    'InvalidArgument',
    'Requests specifying Server Side Encryption with AWS KMS managed keys require AWS Signature Version 4.',
    { ArgumentName: 'Authorization', ArgumentValue: authorization },
  );
