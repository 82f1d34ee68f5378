import { Readable } from 'node:stream';
import { crc32 } from 'node:zlib';
import { AwsSdkSigV4Signer } from '@aws-sdk/core/httpAuthSchemes';
import { getEndpointFromInstructions } from '@smithy/core/endpoints';
import type { HttpRequest, HttpResponse } from '@smithy/core/protocols';
import manifest from '../../package.json' with { type: 'json' };
import { requestBodyOf, schemaOf } from './command.ts';
import { attachBody } from './response.ts';

/** An authentication scheme of an endpoint: `sigv4`, `sigv4a`, `sigv4-s3express`. */
interface AuthScheme {
  name?: string;
  signingName?: string;
  signingRegion?: string;
}

/** The parts of the configuration of an SDK client that a call needs. */
export interface SdkConfig {
  serviceId: string;
  defaultSigningName: string;
  region(): Promise<string>;
  /** Evaluates the endpoint rules of the service. */
  endpointProvider(parameters: { Endpoint?: string }, context?: object): { url: URL };
  /** The authentication schemes that the client supports. */
  httpAuthSchemes: readonly { schemeId: string }[];
  credentials(): Promise<object>;
  signer(scheme: AuthScheme | undefined): Promise<object>;
  /** The value of `AWS_SDK_UA_APP_ID`. */
  userAgentAppId(): Promise<string | undefined>;
  protocol: {
    serializeRequest(operation: object, input: object, context: object): Promise<HttpRequest>;
    deserializeResponse(operation: object, context: object, response: HttpResponse): Promise<unknown>;
  };
  requestHandler: { handle(request: HttpRequest): Promise<{ response: HttpResponse }> };
  streamCollector(stream: unknown): Promise<Uint8Array>;
}

/** A response that cannot be parsed: it is truncated, or does not come from AWS. */
export class UnreadableResponseError extends Error {
  override name = 'UnreadableResponse';
  $metadata: { httpStatusCode: number };
  constructor(httpStatusCode: number, cause: unknown) {
    super(`cannot parse the response: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    this.$metadata = { httpStatusCode };
  }
}

const USER_AGENT = `replikey/${manifest.version} node/${process.versions.node}`;

/** An operation or an endpoint requires an authentication scheme that the transport does not implement. */
export class UnsupportedAuthSchemeError extends Error {
  override name = 'UnsupportedAuthScheme';
  constructor(target: string, schemes: readonly string[]) {
    super(
      `${target} requires the authentication scheme ${schemes.join(' or ') || '(none)'}, but replikey signs requests with SigV4 only; use a general purpose bucket by its name, and an endpoint that accepts SigV4`,
    );
  }
}

/** Reports on the requests of a transport. */
export interface TransportEvents {
  onResponse?(headers: Record<string, string>, endpoint: URL): void;
  /**
   * Called when a request gets no response, or when the credentials cannot be loaded, with the start of the attempt in
   * milliseconds of `performance.now()`. Returns the error to throw.
   */
  onFailure?(error: unknown, endpoint: URL, startedAtMs: number): unknown;
}

/**
 * Returns a function that sends commands through the parts of an SDK client: schemas, endpoint rules, credentials,
 * signer and HTTP handler. `client.send` builds twenty layers of middleware for each call, which costs three times as
 * much CPU as the call itself, and more memory. The transport reads whole responses and does not retry.
 *
 * It depends on internals of the SDK. test/aws/transport-requests.test.ts compares its requests with those of
 * `client.send`.
 *
 * @throws the exceptions of the SDK, network errors, UnreadableResponseError, UnsupportedAuthSchemeError and
 * UnknownElementsError.
 */
export function createTransport(
  client: SdkConfig,
  { onResponse, onFailure }: TransportEvents = {},
): (command: object, beforeSend?: () => void) => Promise<unknown> {
  const config = cacheSigners(client);
  const signer = new AwsSdkSigV4Signer();
  return async (command, beforeSend) => {
    const { input } = command as { input: object };
    const [, namespace, name, traits, inputSchema, outputSchema] = schemaOf(command);
    const operation = { namespace, name, traits, input: inputSchema, output: outputSchema };
    const endpoint = await getEndpointFromInstructions(
      input as Record<string, unknown>,
      command.constructor as never,
      config as never,
    );
    const scheme = sigV4SchemeOf(endpoint.properties?.authSchemes as AuthScheme[] | undefined, config, name);
    const request = await config.protocol.serializeRequest(operation, input, {
      endpoint: async () => endpoint,
    });
    const body = requestBodyOf(command);
    if (body !== undefined) request.body = body;
    const signingOptions = {
      config,
      context: { endpointV2: endpoint },
      signingName: scheme?.signingName ?? config.defaultSigningName,
      signingRegion: scheme?.signingRegion ?? (await config.region()),
    };
    const startedAtMs = performance.now();
    const fail = (error: unknown): never => {
      throw onFailure ? onFailure(error, endpoint.url, startedAtMs) : error;
    };
    const credentials = await config.credentials().catch(fail);
    addHeaders(request, await config.userAgentAppId());
    if (config.serviceId === 'S3') addChecksumHeaders(request, name);
    const signedRequest = await signer.sign(request, credentials as never, signingOptions);
    beforeSend?.();
    const { response } = await config.requestHandler.handle(signedRequest as HttpRequest).catch(fail);
    onResponse?.(response.headers, endpoint.url);
    const responseBody = await config.streamCollector(response.body);
    response.body = name === 'GetObject' ? Readable.from([responseBody]) : responseBody;
    if (response.statusCode === 200) {
      // S3 can fail after it has sent the status code.
      if (endsWithError(responseBody)) response.statusCode = 503;
    }
    try {
      const output = await config.protocol.deserializeResponse(operation, config, response);
      signer.successHandler(response, signingOptions);
      if (config.serviceId === 'S3' && /^Get(Bucket|ObjectLockConfiguration$)/.test(name))
        attachBody(output as object, responseBody);
      return output;
    } catch (error) {
      const awsError = hasMetadata(error) ? error : new UnreadableResponseError(response.statusCode, error);
      // The signer corrects its clock from the date of this response if the signature had expired.
      Object.defineProperty(awsError, '$response', { value: response });
      return signer.errorHandler(signingOptions)(awsError);
    }
  };
}

/** Instructions for the part of an endpoint that all operations share. */
const SHARED_ENDPOINT = {
  getEndpointParameterInstructions: () => ({
    Endpoint: { type: 'builtInParams' as const, name: 'endpoint' },
    Region: { type: 'builtInParams' as const, name: 'region' },
    UseDualStack: { type: 'builtInParams' as const, name: 'useDualstackEndpoint' },
    UseFIPS: { type: 'builtInParams' as const, name: 'useFipsEndpoint' },
  }),
};

/** Returns the URL that a client calls, without a bucket. It follows the environment and the config files of the SDK. */
export const resolveEndpointUrl = async (client: SdkConfig): Promise<URL> =>
  (await getEndpointFromInstructions({}, SHARED_ENDPOINT, client as never)).url;

/** Caches the signers of a client by signing Region. The SDK builds one for each call. */
function cacheSigners(config: SdkConfig): SdkConfig {
  const signers = new Map<string | undefined, Promise<object>>();
  const signer: SdkConfig['signer'] = (scheme) => {
    const cached = signers.get(scheme?.signingRegion) ?? config.signer(scheme);
    signers.set(scheme?.signingRegion, cached);
    return cached;
  };
  return Object.create(config, { signer: { value: signer } });
}

/**
 * Returns the SigV4 scheme of an endpoint, or undefined if the endpoint names no scheme. The SDK uses SigV4 by default
 * then.
 *
 * @throws UnsupportedAuthSchemeError
 */
function sigV4SchemeOf(
  endpointSchemes: readonly AuthScheme[] | undefined,
  { serviceId, httpAuthSchemes }: SdkConfig,
  operation: string,
): AuthScheme | undefined {
  const target = `${serviceId} ${operation}`;
  const clientSchemes = httpAuthSchemes.map(({ schemeId }) => schemeId);
  if (!clientSchemes.includes('aws.auth#sigv4')) throw new UnsupportedAuthSchemeError(target, clientSchemes);
  if (endpointSchemes === undefined) return undefined;
  const sigV4Scheme = endpointSchemes.find(({ name }) => name === 'sigv4');
  if (sigV4Scheme) return sigV4Scheme;
  const endpointSchemeNames = endpointSchemes.map(({ name = 'unnamed' }) => name);
  throw new UnsupportedAuthSchemeError(target, endpointSchemeNames);
}

function addHeaders({ headers, hostname, port, body }: HttpRequest, appId: string | undefined): void {
  headers.host = port === undefined ? hostname : `${hostname}:${port}`;
  headers['user-agent'] = appId === undefined ? USER_AGENT : `${USER_AGENT} app/${appId}`;
  if (body !== undefined) headers['content-length'] = String(bytesOf(body).byteLength);
}

/** The operations of S3 with a body for which the SDK sends no checksum. */
const WITHOUT_CHECKSUM = ['CreateBucket', 'CompleteMultipartUpload', 'PutBucketNotificationConfiguration'];

/** Adds the checksum headers of the SDK. S3 requires a checksum for most bucket settings. */
function addChecksumHeaders({ headers, body }: HttpRequest, operation: string): void {
  if (operation === 'GetObject') headers['x-amz-checksum-mode'] = 'ENABLED';
  if (body === undefined || WITHOUT_CHECKSUM.includes(operation)) return;
  const checksum = Buffer.alloc(4);
  checksum.writeUInt32BE(crc32(bytesOf(body)));
  headers['x-amz-sdk-checksum-algorithm'] = 'CRC32';
  headers['x-amz-checksum-crc32'] = checksum.toString('base64');
}

const bytesOf = (body: string | Uint8Array): Uint8Array =>
  typeof body === 'string' ? Buffer.from(body) : body;

const endsWithError = (body: Uint8Array): boolean =>
  Buffer.from(body.buffer, body.byteOffset, body.length).subarray(-8).toString() === '</Error>';

const hasMetadata = (error: unknown): error is Error => error instanceof Error && '$metadata' in error;
