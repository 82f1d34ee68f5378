import { Readable } from 'node:stream';
import { crc32 } from 'node:zlib';
import { AwsSdkSigV4Signer } from '@aws-sdk/core/httpAuthSchemes';
import { getEndpointFromInstructions } from '@smithy/core/endpoints';
import type { HttpRequest, HttpResponse } from '@smithy/core/protocols';
import manifest from '../../package.json' with { type: 'json' };
import { schemaOf } from './command.ts';
import { rejectUnknownElements } from './response.ts';

/** How an endpoint wants requests signed. */
interface AuthScheme {
  signingName?: string;
  signingRegion?: string;
}

/** What a client of the SDK is made of, as far as a call needs it. */
export interface SdkConfig {
  serviceId: string;
  defaultSigningName: string;
  region(): Promise<string>;
  credentials(): Promise<object>;
  signer(scheme: AuthScheme | undefined): Promise<object>;
  /** The name that `AWS_SDK_UA_APP_ID` gives. */
  userAgentAppId(): Promise<string | undefined>;
  protocol: {
    serializeRequest(operation: object, input: object, context: object): Promise<HttpRequest>;
    deserializeResponse(operation: object, context: object, response: HttpResponse): Promise<unknown>;
  };
  requestHandler: { handle(request: HttpRequest): Promise<{ response: HttpResponse }> };
  streamCollector(stream: unknown): Promise<Uint8Array>;
}

/** An answer that could not be read: it broke off, or was none of AWS. */
export class UnreadableResponseError extends Error {
  override name = 'UnreadableAnswer';
  $metadata: { httpStatusCode: number };
  constructor(httpStatusCode: number, cause: unknown) {
    super(`the answer cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    this.$metadata = { httpStatusCode };
  }
}

const USER_AGENT = `replikey/${manifest.version} node/${process.versions.node}`;

/**
 * Send commands by the parts of an SDK client: its schemas, endpoint rules, credentials, signer and connections, one after
 * another. `client.send` does the same through twenty layers of middleware that are put together anew for each call, which
 * costs three times as much CPU, and more memory, than the call itself. Answers are read whole; nothing is tried again.
 *
 * @throws the exceptions of the SDK, network errors, UnreadableAnswer and UnknownElements.
 */
export function createTransport(
  client: SdkConfig,
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
    const request = await config.protocol.serializeRequest(operation, input, {
      endpoint: async () => endpoint,
    });
    const [scheme] = (endpoint.properties?.authSchemes ?? []) as AuthScheme[];
    const signingOptions = {
      config,
      context: { endpointV2: endpoint },
      signingName: scheme?.signingName ?? config.defaultSigningName,
      signingRegion: scheme?.signingRegion ?? (await config.region()),
    };
    const credentials = await config.credentials();
    addHeaders(request, config.serviceId, await config.userAgentAppId());
    const signedRequest = await signer.sign(request, credentials as never, signingOptions);
    beforeSend?.();
    const { response } = await config.requestHandler.handle(signedRequest as HttpRequest);
    const body = await config.streamCollector(response.body);
    response.body = name === 'GetObject' ? Readable.from([body]) : body;
    if (response.statusCode === 200) {
      // S3 can fail after it has begun to answer.
      if (endsWithError(body)) response.statusCode = 503;
      else rejectUnknownElements(name, outputSchema, body);
    }
    try {
      const output = await config.protocol.deserializeResponse(operation, config, response);
      signer.successHandler(response, signingOptions);
      return output;
    } catch (error) {
      const awsError = hasMetadata(error) ? error : new UnreadableResponseError(response.statusCode, error);
      // Whose time the signer takes for its own, where a signature came too late.
      Object.defineProperty(awsError, '$response', { value: response });
      return signer.errorHandler(signingOptions)(awsError);
    }
  };
}

/** The SDK makes a signer for each call, out of all that is configured; it differs by the Region that an endpoint names. */
function cacheSigners(config: SdkConfig): SdkConfig {
  const signers = new Map<string | undefined, Promise<object>>();
  const signer: SdkConfig['signer'] = (scheme) => {
    const cached = signers.get(scheme?.signingRegion) ?? config.signer(scheme);
    signers.set(scheme?.signingRegion, cached);
    return cached;
  };
  return Object.create(config, { signer: { value: signer } });
}

function addHeaders(request: HttpRequest, serviceId: string, appId: string | undefined): void {
  const { headers, hostname, port, body } = request;
  headers.host = port === undefined ? hostname : `${hostname}:${port}`;
  headers['user-agent'] = appId === undefined ? USER_AGENT : `${USER_AGENT} app/${appId}`;
  if (body === undefined) return;
  const bytes: Uint8Array = typeof body === 'string' ? Buffer.from(body) : body;
  headers['content-length'] = String(bytes.byteLength);
  if (serviceId !== 'S3') return;
  // S3 takes settings of buckets only with a checksum; the SDK sends the same one.
  const checksum = Buffer.alloc(4);
  checksum.writeUInt32BE(crc32(bytes));
  headers['x-amz-sdk-checksum-algorithm'] = 'CRC32';
  headers['x-amz-checksum-crc32'] = checksum.toString('base64');
}

const endsWithError = (body: Uint8Array): boolean =>
  Buffer.from(body.buffer, body.byteOffset, body.length).subarray(-8).toString() === '</Error>';

const hasMetadata = (error: unknown): error is Error => error instanceof Error && '$metadata' in error;
