import type { Response } from './client.ts';
import type { Fact } from './facts.ts';

/** Returns the differences between a response and the recorded one. `account` is the caller's. */
export function differences(fact: Fact, response: Response, account: string): string[] {
  const verbatim = fact.tier === 'A' || fact.tier === 'A-';
  return [
    ...same('status', fact.http_status, response.status),
    ...(fact.http_status === null ? [] : same('code', fact.error_code ?? '', response.code ?? '')),
    ...message(fact, response, verbatim, account),
    ...output({ ...fact.error_fields, ...fact.output }, response.output, account, isComplete(fact)),
  ];
}

function same(what: string, recorded: unknown, actual: unknown): string[] {
  return recorded === null || recorded === actual
    ? []
    : [`${what}: AWS ${show(recorded)}, actual ${show(actual)}`];
}

/** Compares messages. Tiers B and C quote AWS indirectly, so case and punctuation are ignored. */
function message(
  { message: recorded }: Fact,
  response: Response,
  verbatim: boolean,
  account: string,
): string[] {
  if (recorded === null) return [];
  const actual = response.message ?? '';
  const met = verbatim
    ? matcher(recorded, new Map(), account).test(actual)
    : words(recorded) === words(actual);
  return met ? [] : [`message: AWS ${show(recorded)}, actual ${show(actual)}`];
}

function words(text: string): string {
  return text
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, ' ')
    .trim();
}

/** Returns whether a recording has all fields of the response: LocalStack records whole responses, other projects parts. */
function isComplete({ id }: Fact): boolean {
  return id.startsWith('localstack/');
}

/**
 * Compares outputs. The actual output may have more fields than the recorded one, if the recording is not complete; lists must
 * be equal. A placeholder has one value throughout: it is bound where it is a whole text, and then matched within longer texts.
 */
function output(
  recorded: Record<string, unknown>,
  actual: unknown,
  account: string,
  complete: boolean,
): string[] {
  const bound = new Map<string, string>();
  bind(recorded, actual, bound);
  return compareValues(recorded, actual, '', { bound, account, complete });
}

interface Context {
  bound: Map<string, string>;
  account: string;
  complete: boolean;
}

const PLACEHOLDER = /<([^<>]+)>/g;
const ALONE = /^<([^<>]+)>$/;

/** Placeholders of the recordings that have no brackets. */
const BARE_PLACEHOLDERS = new Set(['datetime', 'ciphertext-blob', 'plaintext']);

/** Fields of the transport. The recordings lack the type of an error in IAM and STS. */
const IGNORED = new Set(['HostId', 'RequestId', 'Message', 'ResponseMetadata', 'Type', 'headers']);

function bind(recorded: unknown, actual: unknown, bound: Map<string, string>): void {
  if (typeof recorded === 'string') {
    const name = ALONE.exec(recorded)?.[1];
    if (name !== undefined && typeof actual === 'string' && !bound.has(name)) bound.set(name, actual);
    return;
  }
  if (!isObject(recorded) || !isObject(actual)) return;
  for (const [name, value] of Object.entries(recorded)) bind(value, actual[name], bound);
}

function compareValues(recorded: unknown, actual: unknown, at: string, context: Context): string[] {
  if (recorded === null) return empty(actual) ? [] : [`${at}: AWS nothing, actual ${show(actual)}`];
  if (typeof recorded === 'string') return text(recorded, actual, at, context);
  if (!isObject(recorded)) return same(at, recorded, actual);
  if ('__class__' in recorded)
    return actual instanceof Date ? [] : [`${at}: AWS a time, actual ${show(actual)}`];
  const document = typeof actual === 'string' ? parseDocument(actual) : actual;
  if (Array.isArray(recorded)) return list(recorded, document, at, context);
  if (!isObject(document)) return [`${at}: AWS ${show(recorded)}, actual ${show(actual)}`];
  const differing = Object.entries(recorded)
    .filter(([name]) => !IGNORED.has(name))
    .flatMap(([name, value]) =>
      name === 'ETag' && isKms(recorded) && DIGEST.test(String(value))
        ? etag(document[name], at)
        : compareValues(value, field(document, name), `${at}.${name}`, context),
    );
  return context.complete ? [...differing, ...additional(recorded, document, at)] : differing;
}

/** Returns a difference for each field that AWS does not return. */
function additional(recorded: object, actual: Record<string, unknown>, at: string): string[] {
  return Object.entries(actual)
    .filter(([name, value]) => !(name in recorded) && !IGNORED.has(name) && !empty(value))
    .map(([name, value]) => `${at}.${name}: AWS nothing, actual ${show(value)}`);
}

/** Returns a field. Some recordings name an error's element `Error.Condition`. */
function field(document: Record<string, unknown>, name: string): unknown {
  return document[name] ?? document[name.replace(/^Error\./, '')];
}

function list(recorded: unknown[], actual: unknown, at: string, context: Context): string[] {
  const items = Array.isArray(actual) ? actual : empty(actual) ? [] : undefined;
  if (items?.length !== recorded.length) return [`${at}: AWS ${show(recorded)}, actual ${show(actual)}`];
  return recorded.flatMap((item, index) => compareValues(item, items[index], `${at}[${index}]`, context));
}

function text(recorded: string, actual: unknown, at: string, { bound, account }: Context): string[] {
  const differs = [`${at}: AWS ${show(recorded)}, actual ${show(actual)}`];
  if (BARE_PLACEHOLDERS.has(recorded)) return actual === undefined ? differs : [];
  if (ALONE.test(recorded) && actual instanceof Date) return [];
  return typeof actual === 'string' && matcher(recorded, bound, account).test(actual) ? [] : differs;
}

/** Returns the pattern of a recorded text. Placeholders match their bound value, or any text. */
function matcher(recorded: string, bound: Map<string, string>, account: string): RegExp {
  const pattern = recorded
    .split(PLACEHOLDER)
    .map((part, index) => {
      if (index % 2 === 0) return escapeRegExp(part.replaceAll(RECORDED_ACCOUNT, account));
      const value = bound.get(part);
      return value === undefined ? '.+?' : escapeRegExp(value);
    })
    .join('');
  return new RegExp(`^${pattern}$`, 's');
}

const RECORDED_ACCOUNT = '111111111111';

const DIGEST = /^"[\da-f]{32}"$/;

/** Compares only the form: the ETag of an object under SSE-KMS is not a digest of its bytes. */
function etag(actual: unknown, at: string): string[] {
  return DIGEST.test(String(actual))
    ? []
    : [`${at}.ETag: AWS 32 hex digits in quotes, actual ${show(actual)}`];
}

function isKms(recorded: object): boolean {
  return (recorded as { ServerSideEncryption?: string }).ServerSideEncryption === 'aws:kms';
}

/** Parses a policy, which IAM returns URL-encoded. */
function parseDocument(actual: string): unknown {
  for (const decode of [(text: string) => text, decodeURIComponent]) {
    try {
      return JSON.parse(decode(actual));
    } catch {
      // Not JSON in this encoding. A text that is JSON in neither encoding differs.
    }
  }
  return actual;
}

function empty(value: unknown): boolean {
  return value === undefined || value === null || value === '';
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !(value instanceof Date);
}

function escapeRegExp(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

function show(value: unknown): string {
  return JSON.stringify(value) ?? 'nothing';
}
