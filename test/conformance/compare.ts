import type { Answer } from './answer.ts';
import type { Fact } from './facts.ts';

/** How an answer differs from the recorded one; empty when it is met. `account` is who called. */
export function differences(fact: Fact, answer: Answer, account: string): string[] {
  const verbatim = fact.tier === 'A' || fact.tier === 'A-';
  return [
    ...same('status', fact.http_status, answer.status),
    ...(fact.http_status === null ? [] : same('code', fact.error_code ?? '', answer.code ?? '')),
    ...message(fact, answer, verbatim, account),
    ...output({ ...fact.error_fields, ...fact.output }, answer.output, account),
  ];
}

function same(what: string, recorded: unknown, given: unknown): string[] {
  return recorded === null || recorded === given
    ? []
    : [`${what}: AWS ${show(recorded)}, here ${show(given)}`];
}

/** Tiers B and C quote messages at second hand: there only the words count, not case and punctuation. */
function message({ message: recorded }: Fact, answer: Answer, verbatim: boolean, account: string): string[] {
  if (recorded === null) return [];
  const given = answer.message ?? '';
  const met = verbatim ? matcher(recorded, new Map(), account).test(given) : words(recorded) === words(given);
  return met ? [] : [`message: AWS ${show(recorded)}, here ${show(given)}`];
}

function words(text: string): string {
  return text
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, ' ')
    .trim();
}

/**
 * The recorded output must be contained in the given one: lists whole and in order, fields at least those recorded.
 * One placeholder stands for one value throughout: bound first where it stands alone, then within longer texts.
 */
function output(recorded: Record<string, unknown>, given: unknown, account: string): string[] {
  const bound = new Map<string, string>();
  bind(recorded, given, bound);
  return contained(recorded, given, '', { bound, account });
}

interface Context {
  bound: Map<string, string>;
  account: string;
}

const PLACEHOLDER = /<([^<>]+)>/g;
const ALONE = /^<([^<>]+)>$/;

/** What recordings put where a value is left out, without brackets. */
const LEFT_OUT = new Set(['datetime', 'ciphertext-blob', 'plaintext']);

/** Of the transport, not of the answer. */
const IGNORED = new Set(['HostId', 'RequestId', 'Message', 'ResponseMetadata']);

function bind(recorded: unknown, given: unknown, bound: Map<string, string>): void {
  if (typeof recorded === 'string') {
    const name = ALONE.exec(recorded)?.[1];
    if (name !== undefined && typeof given === 'string' && !bound.has(name)) bound.set(name, given);
    return;
  }
  if (!isObject(recorded) || !isObject(given)) return;
  for (const [name, value] of Object.entries(recorded)) bind(value, given[name], bound);
}

function contained(recorded: unknown, given: unknown, at: string, context: Context): string[] {
  if (recorded === null) return empty(given) ? [] : [`${at}: AWS nothing, here ${show(given)}`];
  if (typeof recorded === 'string') return text(recorded, given, at, context);
  if (!isObject(recorded)) return same(at, recorded, given);
  if ('__class__' in recorded) return given instanceof Date ? [] : [`${at}: AWS a time, here ${show(given)}`];
  const document = typeof given === 'string' ? parsed(given) : given;
  if (Array.isArray(recorded)) return list(recorded, document, at, context);
  if (!isObject(document)) return [`${at}: AWS ${show(recorded)}, here ${show(given)}`];
  return Object.entries(recorded)
    .filter(([name]) => !IGNORED.has(name))
    .flatMap(([name, value]) =>
      name === 'ETag' && isKms(recorded) && DIGEST.test(String(value))
        ? etag(document[name], at)
        : contained(value, field(document, name), `${at}.${name}`, context),
    );
}

/** Some recordings name an error's element `Error.Condition`. */
function field(document: Record<string, unknown>, name: string): unknown {
  return document[name] ?? document[name.replace(/^Error\./, '')];
}

function list(recorded: unknown[], given: unknown, at: string, context: Context): string[] {
  const items = Array.isArray(given) ? given : empty(given) ? [] : undefined;
  if (items?.length !== recorded.length) return [`${at}: AWS ${show(recorded)}, here ${show(given)}`];
  return recorded.flatMap((item, index) => contained(item, items[index], `${at}[${index}]`, context));
}

function text(recorded: string, given: unknown, at: string, { bound, account }: Context): string[] {
  const differs = [`${at}: AWS ${show(recorded)}, here ${show(given)}`];
  if (LEFT_OUT.has(recorded)) return given === undefined ? differs : [];
  if (ALONE.test(recorded) && given instanceof Date) return [];
  return typeof given === 'string' && matcher(recorded, bound, account).test(given) ? [] : differs;
}

/** The pattern of a recorded text: placeholders match what they are bound to, or anything that is not empty. */
function matcher(recorded: string, bound: Map<string, string>, account: string): RegExp {
  const pattern = recorded
    .split(PLACEHOLDER)
    .map((part, index) => {
      if (index % 2 === 0) return escaped(part.replaceAll(RECORDED_ACCOUNT, account));
      const value = bound.get(part);
      return value === undefined ? '.+?' : escaped(value);
    })
    .join('');
  return new RegExp(`^${pattern}$`, 's');
}

const RECORDED_ACCOUNT = '111111111111';

const DIGEST = /^"[\da-f]{32}"$/;

/** The ETag of an object under SSE-KMS is no digest of its bytes, so that only its form is compared. */
function etag(given: unknown, at: string): string[] {
  return DIGEST.test(String(given)) ? [] : [`${at}.ETag: AWS 32 hex digits in quotes, here ${show(given)}`];
}

function isKms(recorded: object): boolean {
  return (recorded as { ServerSideEncryption?: string }).ServerSideEncryption === 'aws:kms';
}

/** Policies are JSON in a text, which IAM encodes as in a URL. */
function parsed(given: string): unknown {
  for (const read of [(text: string) => text, decodeURIComponent]) {
    try {
      return JSON.parse(read(given));
    } catch {
      // Not JSON in this writing; what is in none is no document, and differs.
    }
  }
  return given;
}

function empty(value: unknown): boolean {
  return value === undefined || value === null || value === '';
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !(value instanceof Date);
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

function show(value: unknown): string {
  return JSON.stringify(value) ?? 'nothing';
}
