import { STATUS_CODES } from 'node:http';

/** A client of AWS through which the scenarios are run. */
export interface Client {
  name: ClientName;
  /** Sends one call without retries. Rejects if no response arrives, or if the client cannot read it. */
  send(call: Call): Promise<Response>;
  close(): Promise<void>;
}

export const CLIENTS = ['raw HTTP', 'JavaScript SDK', 'boto3'] as const;
export type ClientName = (typeof CLIENTS)[number];

export type Service = 's3' | 's3control' | 'iam' | 'kms' | 'sts';

/** A call as data. The client decides how it is written to the wire. */
export interface Call {
  service: Service;
  operation: string;
  /** The parameters by the names of the API reference. Binary values are buffers. */
  input: Record<string, unknown>;
  region: string;
  credentials: Credentials;
  changes?: RequestChanges;
}

export interface Credentials {
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken?: string;
}

/** Changes to a request before it is signed, for requests that a client does not send by itself. */
export interface RequestChanges {
  /** Headers to set, or to remove (null). */
  headers?: Record<string, string | null>;
  body?: string;
}

/** A response as one client sees it, in the form of the recordings. */
export interface Response {
  status: number;
  code: string | null;
  message: string | null;
  /** The output of a call; the other fields of an error. Times are dates, and bodies are texts. */
  output: Record<string, unknown>;
  /** Headers by lower-case name. */
  headers: Record<string, string>;
  /** Departures from the protocol that this client detects, such as an unknown element. */
  faults: string[];
}

/** Returns a response without faults. */
export function success(
  status: number,
  headers: Record<string, string>,
  output: Record<string, unknown>,
): Response {
  return { status, code: null, message: null, output, headers, faults: [] };
}

/** Returns the code and message of an error whose response has no body, as to HEAD, in the form of the recordings. */
export function statusLine(status: number): Pick<Response, 'code' | 'message'> {
  return { code: String(status), message: STATUS_CODES[status] ?? '' };
}

/** The failure of a call: the service returned an error. */
export class CallError extends Error {
  readonly response: Response;

  constructor({ operation }: Call, response: Response) {
    super(`${operation}: ${response.status} ${response.code}: ${response.message}`);
    this.name = 'CallError';
    this.response = response;
  }
}
