import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ACCOUNT, pairYaml } from '../../bench/support/pairs.ts';
import { type RecordedResponse, recordPair, requestKey } from '../../bench/support/recorded-responses.ts';
import { createAwsClient } from '../../src/aws/client.ts';
import { createSdkClients } from '../../src/aws/sdk-clients.ts';
import { UserError } from '../../src/errors.ts';
import { kinds } from '../../src/kinds/index.ts';
import { reconcile } from '../../src/reconcile/reconcile.ts';
import { planText } from '../../src/report/plan-text.ts';
import { parseSpecs } from '../support/env.ts';
import { fuzzRuns, mutatedBytes, nestedText, pollutedProperties } from '../support/mutations.ts';

const WORDS = [
  ...['<', '>', '</', '/>', '&', '&amp;', '&#0;', '&#x110000;', '&lol;', '<![CDATA[', ']]>', '<!--', '-->'],
  ...[
    '<?xml version="1.0"?>',
    '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>',
    '<__proto__>',
    '<a b="c">',
  ],
  ...['<Rule>', '</Rule>', '<Status>Suspended</Status>', '<IsTruncated>true</IsTruncated>', '<html><body>'],
  ...['{', '}', '[', ']', '"', 'null', '1e999', '"__proto__":{"polluted":1},', '\\ud800', '\u0000', '\ufeff'],
  ...[nestedText(3_000), '<a>'.repeat(3_000)],
  [0xff, 0xfe],
  [0xc0, 0x80],
];

let answers: [asked: string, answer: RecordedResponse][];
/** What is answered otherwise. */
let instead: { asked: string; answer: RecordedResponse } | undefined;
let written: string[] = [];

const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const { method = '', url, headers } = request;
    const body = Buffer.concat(chunks).toString();
    const asked = requestKey(method, url, String(headers['x-amz-target'] ?? ''), body);
    if (method === 'PUT' || /^(Put|Create|Update)/.test(/Action=(\w+)/.exec(body)?.[1] ?? ''))
      written.push(asked);
    const found = answers.find(([known]) => known === asked)?.[1];
    const answer = instead?.asked === asked ? instead.answer : found;
    response.writeHead(answer?.status ?? 500, answer?.headers ?? {}).end(answer?.body ?? '');
  });
});

beforeAll(async () => {
  answers = Object.entries((await recordPair('own')).responses).filter(
    ([asked]) => !asked.includes('GetAccountAuthorizationDetails'),
  );
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
});
afterAll(() => void server.close());

/** Plan against the endpoint: what it lacks, or why nobody can tell. */
async function planned() {
  const specs = await parseSpecs(pairYaml(0));
  const clients = createSdkClients([], {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    credentials: { accessKeyId: ACCOUNT, secretAccessKey: 'test' },
  });
  const door = createAwsClient({ clients, accounts: [], region: 'us-east-1', retryTimeoutMs: 0 });
  try {
    const { plan, proof } = await reconcile(specs, {
      kinds,
      aws: door,
      allowedRisks: [],
      dryRun: true,
      propagationTimeoutMs: 0,
    });
    expect(planText(plan, specs.pairs, proof)).not.toBe('');
    return plan;
  } catch (error) {
    // An answer to the question who we are may be worth nothing at all.
    expect(error).toBeInstanceOf(UserError);
    expect((error as Error).message).not.toBe('');
    return undefined;
  } finally {
    clients.destroy();
  }
}

test('as it was recorded, the endpoint answers what is declared', async () => {
  const plan = await planned();
  expect({ waves: plan?.waves, blocked: plan?.blocked }).toEqual({ waves: [], blocked: [] });
});

const sampled = fuzzRuns(120);

test('whatever one answer says, a plan comes of it, or a reason why none does', sampled.test, async () => {
  const mutated = fc.nat().chain((index) => {
    const [asked = '', answer] = answers[index % answers.length] ?? [];
    const body =
      answer === undefined || answer.body === ''
        ? fc.constant(Buffer.from('<a/>'))
        : mutatedBytes([answer.body], WORDS);
    const status = fc.oneof(
      { weight: 4, arbitrary: fc.constant(answer?.status ?? 200) },
      fc.constantFrom(200, 204, 404, 400, 403),
    );
    const type = fc.option(fc.constantFrom('text/html', 'application/xml', 'application/json', 'x'), {
      nil: undefined,
    });
    return fc.record({
      asked: fc.constant(asked),
      body,
      status,
      type,
      headers: fc.constant(answer?.headers ?? {}),
    });
  });
  await fc.assert(
    fc.asyncProperty(mutated, async ({ asked, body, status, type, headers }) => {
      const text = Buffer.from(body).toString();
      const told = type === undefined ? headers : { ...headers, 'content-type': type };
      instead = { asked, answer: { status, headers: told, body: text } };
      written = [];
      await planned();
      expect(written).toEqual([]);
      expect(pollutedProperties()).toEqual([]);
    }),
    sampled.property,
  );
});
