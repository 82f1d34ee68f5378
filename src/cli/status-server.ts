import * as z from 'zod';
import type { ShownStatus } from '../controller/read-status.ts';
import { EXIT, UserError } from '../errors.ts';
import { jobSchema } from '../report/plan-schema.ts';
import {
  canaryStatusSchema,
  conditionSchema,
  labelsSchema,
  replicationSchema,
  sidesSchema,
} from '../report/status-schema.ts';
import { escapeUnprintable } from '../util/escape.ts';

/** Time limit for one page, in milliseconds. */
const PAGE_TIMEOUT_MS = 30_000;

/** Maximum size of a page, in bytes. The controller ends a page after 128 KB, unless a single pair is larger. */
const MAX_PAGE_BYTES = 16 * 1024 * 1024;

/** The largest page that the controller accepts. */
const PAGE_LIMIT = 500;

/** The part of the response of `/status` that the command shows. Ignores all other fields. */
const pageSchema = z.object({
  format: z.literal(3),
  pairs: z.array(
    z.object({
      name: z.string(),
      labels: labelsSchema,
      sides: sidesSchema,
      conditions: z.record(z.string(), conditionSchema),
      replication: replicationSchema.optional(),
      canary: canaryStatusSchema.optional(),
      jobs: z.array(jobSchema).optional(),
    }),
  ),
  continue: z.string().optional(),
  problems: z.array(z.unknown()),
  remainingProblems: z.int().min(0).optional(),
});

/** The status of all pairs of a controller. */
export interface ServerStatus {
  pairs: ShownStatus[];
  /** Number of problems of its current specs. */
  problems: number;
}

/**
 * Reads the status of all pairs from a running controller, page by page.
 *
 * @param server base URL of the controller: `http://127.0.0.1:8080`
 * @throws UserError that names the cause, if the controller cannot be read
 */
export async function readServerStatus(server: URL, signal: AbortSignal): Promise<ServerStatus> {
  const pairs: ShownStatus[] = [];
  for (let after = ''; ; ) {
    const page = await readPage(server, after, signal);
    pairs.push(...(page.pairs as ShownStatus[]));
    if (page.continue === undefined)
      return { pairs, problems: page.problems.length + (page.remainingProblems ?? 0) };
    // Names increase from page to page.
    if (page.continue <= after) throw unreadable(server, 'it returned the same page again');
    after = page.continue;
  }
}

async function readPage(
  server: URL,
  after: string,
  signal: AbortSignal,
): Promise<z.infer<typeof pageSchema>> {
  const url = new URL(`${server.pathname.replace(/\/+$/, '')}/status`, server);
  url.searchParams.set('limit', String(PAGE_LIMIT));
  if (after !== '') url.searchParams.set('continue', after);
  const text = await fetchText(server, url, signal);
  const body = parseBody(text);
  const { format, version } = z
    .object({ format: z.unknown(), version: z.unknown() })
    .partial()
    .safeParse(body).data ?? { format: undefined, version: undefined };
  if (format === undefined)
    throw unreadable(server, 'its /status is not that of a replikey controller', PORT_ADVICE);
  const page = pageSchema.safeParse(body);
  if (page.success) return page.data;
  throw unreadable(
    server,
    `this version cannot read the /status of replikey ${escapeUnprintable(String(version))} (${z.prettifyError(page.error).split('\n')[0]})`,
    'use the same version of replikey',
  );
}

const PORT_ADVICE = 'use the address of --listen';

async function fetchText(server: URL, url: URL, signal: AbortSignal): Promise<string> {
  const timeout = AbortSignal.timeout(PAGE_TIMEOUT_MS);
  try {
    const response = await fetch(url, { redirect: 'manual', signal: AbortSignal.any([signal, timeout]) });
    const text = await boundedText(response);
    if (response.status === 200) return text;
    if (response.status >= 300 && response.status < 400)
      throw unreadable(
        server,
        `it redirects to ${escapeUnprintable(response.headers.get('location') ?? 'another URL')}`,
        'use that URL',
      );
    throw unreadable(
      server,
      `HTTP ${response.status} ${escapeUnprintable(text.trim().slice(0, 300))}`,
      ...(response.status === 404 ? [PORT_ADVICE] : []),
    );
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof UserError) throw error;
    if (timeout.aborted) throw unreadable(server, `no response within ${PAGE_TIMEOUT_MS / 1000} s`);
    const { message, cause } = error as Error;
    throw unreadable(
      server,
      escapeUnprintable(
        cause instanceof Error ? cause.message || ((cause as { code?: string }).code ?? message) : message,
      ),
      'start the controller with --listen, and check the URL',
    );
  }
}

async function boundedText(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of response.body ?? []) {
    length += chunk.length;
    if (length > MAX_PAGE_BYTES) throw new Error(`the response exceeds ${MAX_PAGE_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function parseBody(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const unreadable = (server: URL, reason: string, advice?: string): UserError =>
  new UserError(
    EXIT.failed,
    `cannot read the status of ${server.href}: ${reason}${advice === undefined ? '' : `; ${advice}`}`,
  );
