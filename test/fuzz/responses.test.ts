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

let recordedResponses: [requestId: string, response: RecordedResponse][];
/** A response that replaces the recorded one. */
let replacement: { requestId: string; response: RecordedResponse } | undefined;
let writes: string[] = [];

const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const { method = '', url, headers } = request;
    const body = Buffer.concat(chunks).toString();
    const requestId = requestKey(method, url, String(headers['x-amz-target'] ?? ''), body);
    if (method === 'PUT' || /^(Put|Create|Update)/.test(/Action=(\w+)/.exec(body)?.[1] ?? ''))
      writes.push(requestId);
    const recorded = recordedResponses.find(([id]) => id === requestId)?.[1];
    const {
      status = 500,
      headers: responseHeaders = {},
      body: responseBody = '',
    } = (replacement?.requestId === requestId ? replacement.response : recorded) ?? {};
    response.writeHead(status, responseHeaders).end(responseBody);
  });
});

beforeAll(async () => {
  recordedResponses = Object.entries((await recordPair('own')).responses).filter(
    ([requestId]) => !requestId.includes('GetAccountAuthorizationDetails'),
  );
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
});
afterAll(() => void server.close());

/** Plans against the endpoint. Returns undefined if the plan fails with a reason. */
async function plan() {
  const specs = await parseSpecs(pairYaml(0));
  const clients = createSdkClients([], {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    credentials: { accessKeyId: ACCOUNT, secretAccessKey: 'test' },
  });
  const client = createAwsClient({ clients, accounts: [], region: 'us-east-1', retryTimeoutMs: 0 });
  try {
    const { plan: result, proof } = await reconcile(specs, {
      kinds,
      aws: client,
      allowedRisks: [],
      dryRun: true,
      propagationTimeoutMs: 0,
    });
    expect(planText(result, specs.pairs, proof)).not.toBe('');
    return result;
  } catch (error) {
    // The response of GetCallerIdentity may be unusable.
    expect(error).toBeInstanceOf(UserError);
    expect((error as Error).message).not.toBe('');
    return undefined;
  } finally {
    clients.destroy();
  }
}

test('plan: is empty with the recorded responses', async () => {
  const recordedPlan = await plan();
  expect({ waves: recordedPlan?.waves, blocked: recordedPlan?.blocked }).toEqual({ waves: [], blocked: [] });
});

const sampled = fuzzRuns(120);

test('plan: succeeds or fails with a reason for any mutated response', sampled.test, async () => {
  const mutated = fc.nat().chain((index) => {
    const [requestId = '', response] = recordedResponses[index % recordedResponses.length] ?? [];
    const body =
      response === undefined || response.body === ''
        ? fc.constant(Buffer.from('<a/>'))
        : mutatedBytes([response.body], WORDS);
    const status = fc.oneof(
      { weight: 4, arbitrary: fc.constant(response?.status ?? 200) },
      fc.constantFrom(200, 204, 404, 400, 403),
    );
    const type = fc.option(fc.constantFrom('text/html', 'application/xml', 'application/json', 'x'), {
      nil: undefined,
    });
    return fc.record({
      requestId: fc.constant(requestId),
      body,
      status,
      type,
      headers: fc.constant(response?.headers ?? {}),
    });
  });
  await fc.assert(
    fc.asyncProperty(mutated, async ({ requestId, body, status, type, headers }) => {
      const text = Buffer.from(body).toString();
      const allHeaders = type === undefined ? headers : { ...headers, 'content-type': type };
      replacement = { requestId, response: { status, headers: allHeaders, body: text } };
      writes = [];
      await plan();
      expect(writes).toEqual([]);
      expect(pollutedProperties()).toEqual([]);
    }),
    sampled.property,
  );
});
