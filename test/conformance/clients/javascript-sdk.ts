import * as iam from '@aws-sdk/client-iam';
import * as kms from '@aws-sdk/client-kms';
import * as s3 from '@aws-sdk/client-s3';
import * as sts from '@aws-sdk/client-sts';
import { type Call, type Client, type Response, statusLine, success } from '../client.ts';
import { encodeRequest } from './wire-requests.ts';

/** Returns a client that is the AWS SDK for JavaScript. */
export function javascriptClient(endpoint: string): Client {
  const clients = new Map<string, SdkClient>();
  const clientOf = ({ service, region, credentials }: Call): SdkClient => {
    const id = [service, region, credentials.accessKeyId].join(' ');
    const cached = clients.get(id);
    if (cached) return cached;
    // A kept connection could close while a request is sent.
    const requestHandler = { httpAgent: { keepAlive: false, maxSockets: 16 } };
    const config = { endpoint, region, credentials, maxAttempts: 1, requestHandler };
    const client = (
      service === 's3' || service === 's3control'
        ? new s3.S3Client({ ...config, forcePathStyle: true })
        : new { iam: iam.IAMClient, kms: kms.KMSClient, sts: sts.STSClient }[service](config)
    ) as SdkClient;
    clients.set(id, client);
    return client;
  };
  return {
    name: 'JavaScript SDK',
    async send(call) {
      try {
        return await readOutput(call, await clientOf(call).send(commandOf(call)));
      } catch (error) {
        return readError(call, error as SdkError);
      }
    },
    close: async () => {
      for (const client of clients.values()) client.destroy();
    },
  };
}

interface SdkClient {
  send(command: object): Promise<SdkOutput>;
  destroy(): void;
}

interface SdkMetadata {
  httpStatusCode?: number;
  requestId?: string;
  extendedRequestId?: string;
}

interface SdkOutput {
  $metadata: SdkMetadata;
  Body?: unknown;
}

interface SdkRequest {
  method: string;
  path: string;
  query: Record<string, string>;
  headers: Record<string, string>;
  body: unknown;
}

interface SdkError extends Error {
  $metadata?: SdkMetadata;
  $response?: { statusCode: number; headers: Record<string, string> };
}

const SDKS = { s3, iam, kms, sts } as unknown as Record<
  string,
  Record<string, new (input: object) => Command>
>;

interface Command {
  middlewareStack: { add(middleware: Middleware, options: object): void };
}

type Middleware = (next: Next) => Next;
type Next = (args: { request: SdkRequest }) => Promise<unknown>;

/** Returns the command of a call, with the changes to its request before it is signed. */
function commandOf(call: Call): Command {
  const { service, operation, input, changes } = call;
  if (service === 's3control') return controlCommand(call);
  const Constructor = SDKS[service]?.[`${operation}Command`];
  if (Constructor === undefined) throw new Error(`the SDK has no operation ${operation} of ${service}`);
  // The SDK warns about an empty body without a content length.
  const body = typeof input.Body === 'string' ? { ContentLength: Buffer.byteLength(input.Body) } : {};
  const command = new Constructor({ ...body, ...input });
  if (changes !== undefined)
    beforeSigning(command, (request) => {
      for (const [name, value] of Object.entries(changes.headers ?? {})) {
        if (value === null) delete request.headers[name];
        else request.headers[name] = value;
      }
      if (changes.body !== undefined) request.body = changes.body;
    });
  return command;
}

/** Sends an operation of S3 Control through the client of S3: it does not justify a dependency on another SDK client. */
function controlCommand(call: Call): Command {
  const command = new s3.PutPublicAccessBlockCommand({
    Bucket: 'carrier',
    PublicAccessBlockConfiguration: {},
  }) as unknown as Command;
  const { method, path, query, headers, body } = encodeRequest(call);
  beforeSigning(command, (request) => {
    Object.assign(request, { method, path, query, body: body.toString() });
    Object.assign(request.headers, headers);
  });
  return command;
}

function beforeSigning(command: Command, change: (request: SdkRequest) => void): void {
  command.middlewareStack.add(
    (next) => (args) => {
      change(args.request);
      return next(args);
    },
    { step: 'build', priority: 'high', name: 'change' },
  );
}

async function readOutput(call: Call, { $metadata, ...output }: SdkOutput): Promise<Response> {
  const body = output.Body as { transformToString?: () => Promise<string> } | undefined;
  if (body?.transformToString) output.Body = await body.transformToString();
  const response = success($metadata.httpStatusCode ?? 0, {}, output as Record<string, unknown>);
  return { ...response, faults: missingIds(call, $metadata) };
}

/** Returns a fault for each id of the request that is missing. Users quote them to the support of AWS. */
function missingIds({ service }: Call, { requestId, extendedRequestId }: SdkMetadata): string[] {
  return [
    ...(requestId ? [] : ['no $metadata.requestId']),
    ...(extendedRequestId || !service.startsWith('s3') ? [] : ['no $metadata.extendedRequestId']),
  ];
}

/** Fields of an error that repeat its code and message, or that only the SDK has. */
const SDK_FIELDS = [
  '$metadata',
  '$response',
  '$retryable',
  'stack',
  'message',
  'Message',
  '__type',
  'Error',
  'xmlns',
];

/** Returns what the SDK makes of an error. It invents a code and a message for a response without them, as to HEAD. */
function readError(call: Call, error: SdkError): Response {
  const { $response, $metadata } = error;
  if ($response === undefined || $metadata?.httpStatusCode === undefined) throw error;
  const {
    name: _,
    message,
    $fault,
    $service,
    Code,
    ...fields
  } = { ...error, name: error.name } as SdkError & Record<string, unknown>;
  const faults = missingIds(call, $metadata);
  const response = { ...success($response.statusCode, $response.headers, {}), faults };
  if (call.operation.startsWith('Head')) return { ...response, ...statusLine($response.statusCode) };
  for (const field of SDK_FIELDS) delete fields[field];
  // The name of some errors is that of their model. The code is that of the response.
  return {
    ...response,
    code: typeof Code === 'string' ? Code : error.name,
    message: error.message === 'UnknownError' ? '' : error.message,
    output: fields,
  };
}
