import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type AwsClient, createAwsClient } from '../../src/aws/client.ts';
import { splitRoot } from '../../src/aws/response.ts';
import { createSdkClients } from '../../src/aws/sdk-clients.ts';
import { desiredResources } from '../../src/core/desired.ts';
import { joinDrafts, planChanges } from '../../src/core/plan.ts';
import type { PlanContent, Resource } from '../../src/core/resource.ts';
import { kinds } from '../../src/kinds/index.ts';
import { s3Notification } from '../../src/kinds/s3-notification.ts';
import { apply } from '../../src/reconcile/apply.ts';
import { observe } from '../../src/reconcile/observe.ts';
import type { StepResult } from '../../src/reconcile/step-result.ts';
import type { BucketReplication, FailureEventName } from '../../src/spec/types.ts';
import { testPair } from '../support/pair.ts';
import { TEST_SECRET } from '../support/secrets.ts';

const ACCOUNT = '111122223333';
const QUEUE = `arn:aws:sqs:us-east-1:${ACCOUNT}:failures`;
const TOPIC = `arn:aws:sns:us-east-1:${ACCOUNT}:failures`;
const FAILED = 's3:Replication:OperationFailedReplication';
const EMPTY = '<NotificationConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"/>';
const documentOf = (...elements: string[]) =>
  `<NotificationConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${elements.join('')}</NotificationConfiguration>`;
const queueElement = (id: string, queue: string, event: string, rest = '') =>
  `<QueueConfiguration><Id>${id}</Id><Queue>${queue}</Queue><Event>${event}</Event>${rest}</QueueConfiguration>`;

/** An S3 that stores the text of one notification configuration, and never interprets it. */
interface RawS3 extends AsyncDisposable {
  aws: AwsClient;
  xml: string;
  /** `GET` and `PUT`, in order. */
  calls: string[];
  /** Runs after the response to a call is decided, with the number of calls so far. */
  afterCall?: ((count: number) => void) | undefined;
  /** Error codes and messages of the next writes. */
  refusals: [code: string, message: string][];
}

async function rawS3(xml = EMPTY): Promise<RawS3> {
  const server = createServer(async (request, response) => {
    const body = await textOf(request);
    response.setHeader('content-type', 'text/xml');
    if (!request.url?.includes('notification')) {
      response.end(
        `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult><Account>${ACCOUNT}</Account><Arn>arn:aws:iam::${ACCOUNT}:root</Arn><UserId>${ACCOUNT}</UserId></GetCallerIdentityResult></GetCallerIdentityResponse>`,
      );
      return;
    }
    s3.calls.push(request.method ?? '');
    const refusal = request.method === 'PUT' ? s3.refusals.shift() : undefined;
    if (request.method === 'PUT' && !refusal) s3.xml = body;
    const text = request.method === 'GET' ? s3.xml : '';
    s3.afterCall?.(s3.calls.length);
    response.statusCode = refusal ? 400 : 200;
    response.end(
      refusal ? `<Error><Code>${refusal[0]}</Code><Message>${refusal[1]}</Message></Error>` : text,
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const clients = createSdkClients([], {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    credentials: { accessKeyId: ACCOUNT, secretAccessKey: TEST_SECRET },
  });
  const s3: RawS3 = {
    aws: createAwsClient({ clients, accounts: [], region: 'us-east-1', retryTimeoutMs: 0 }),
    xml,
    calls: [],
    refusals: [],
    async [Symbol.asyncDispose]() {
      clients.destroy();
      server.closeAllConnections();
      server.close();
    },
  };
  return s3;
}

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

const pairWith = (name: string, events: FailureEventName[], to = QUEUE): BucketReplication =>
  testPair({ name, failures: { to, path: 'spec.failures.to', accountId: ACCOUNT, managed: true, events } });

/** Returns the notification configuration that pairs declare, without the resources that it needs. */
const resourceOf = (...pairs: BucketReplication[]): Resource =>
  desiredResources(pairs, [s3Notification as never]).map((resource) => ({ ...resource, after: [] }))[0] ??
  expect.fail('no resource');

/** The same resource after its spec was removed, as prune finds it. */
const orphanOf = (name: string): Resource => ({
  ...resourceOf(pairWith(name, ['failed'])),
  spec: { bucket: 'acme-tax', entries: {} },
  orphaned: true,
  pruneOwners: [name.charAt(0).toUpperCase() + name.slice(1)],
});

async function planOf(s3: RawS3, resource: Resource) {
  const actual = await observe([resource], kinds, s3.aws);
  return { plan: joinDrafts([planChanges([resource], actual, kinds)]), actual };
}

async function write(s3: RawS3, resource: Resource): Promise<{ plan: PlanContent; results: StepResult[] }> {
  const { plan, actual } = await planOf(s3, resource);
  const options = { resources: [resource], actual, kinds, aws: s3.aws, propagationTimeoutMs: 200 };
  return { plan, results: await apply(plan, options) };
}

const elementsOf = (xml: string) => splitRoot(xml).children.map((child) => child.xml);
const foreignIn = (xml: string) => elementsOf(xml).filter((element) => !element.includes('replikey/'));

describe('s3.notification', () => {
  test('no configuration: creates one with the event names of S3', async () => {
    await using s3 = await rawS3();
    const { plan, results } = await write(s3, resourceOf(pairWith('tax', ['failed', 'notTracked'])));
    expect(plan.waves.flat()).toMatchObject([
      { action: 'create', calls: ['s3:PutBucketNotificationConfiguration'] },
    ]);
    expect(results).toMatchObject([{ result: 'applied' }]);
    expect(s3.xml).toBe(
      documentOf(
        `<QueueConfiguration><Id>replikey/tax</Id><Queue>${QUEUE}</Queue><Event>${FAILED}</Event><Event>s3:Replication:OperationNotTracked</Event></QueueConfiguration>`,
      ),
    );
    expect((await planOf(s3, resourceOf(pairWith('tax', ['notTracked', 'failed'])))).plan.waves).toEqual([]);
  });

  // The order of the elements in the schema of PutBucketNotificationConfiguration, and elements that the SDK drops.
  test('foreign configurations: keeps each byte, and the order of the elements', async () => {
    const foreign = [
      `<TopicConfiguration><Id>a &amp; b</Id><Topic>${TOPIC}</Topic><Event>s3:ObjectCreated:*</Event><Filter><S3Key><FilterRule><Name>prefix</Name><Value> ü&#x2F;&lt;x&gt;\u{1F600}</Value></FilterRule></S3Key></Filter></TopicConfiguration>`,
      queueElement('old', QUEUE, 's3:ObjectRemoved:*', '<Throttle unit="s">9</Throttle>'),
      '<CloudFunctionConfiguration>\n  <Id>fn</Id><CloudFunction>arn:aws:lambda:us-east-1:111122223333:function:f</CloudFunction><Event>s3:ObjectTagging:*</Event></CloudFunctionConfiguration>',
      '<EventBridgeConfiguration></EventBridgeConfiguration>',
      '<KinesisConfiguration><Stream>new &amp; unknown</Stream></KinesisConfiguration>',
    ];
    await using s3 = await rawS3(`<?xml version="1.0" encoding="UTF-8"?>\n${documentOf(...foreign)}`);
    await write(s3, resourceOf(pairWith('tax', ['failed'])));
    const [topic, queue, ...rest] = foreign;
    expect(elementsOf(s3.xml)).toEqual([topic, queue, queueElement('replikey/tax', QUEUE, FAILED), ...rest]);

    const { plan } = await write(s3, orphanOf('tax'));
    expect(plan.waves.flat()).toMatchObject([{ action: 'update' }]);
    expect(elementsOf(s3.xml)).toEqual(foreign);
  });

  test('its only entry is pruned: writes an empty configuration', async () => {
    await using s3 = await rawS3();
    await write(s3, resourceOf(pairWith('tax', ['failed'])));
    const { plan, results } = await write(s3, orphanOf('tax'));
    expect(plan.waves.flat()).toMatchObject([{ action: 'delete' }]);
    expect(results).toMatchObject([{ result: 'applied' }]);
    expect(elementsOf(s3.xml)).toEqual([]);
  });

  test('specs that share a bucket: have one entry for each event', () => {
    const tax = pairWith('tax', ['failed']);
    const other = pairWith('archive', ['failed', 'notTracked']);
    const topic = pairWith('sla', ['missedThreshold'], TOPIC);
    const { spec, declaredBy } = resourceOf(tax, other, topic);
    expect(declaredBy).toEqual(['tax', 'archive', 'sla']);
    expect(spec).toEqual({
      bucket: 'acme-tax',
      entries: {
        'replikey/archive': { to: QUEUE, events: [FAILED, 's3:Replication:OperationNotTracked'] },
        'replikey/sla': { to: TOPIC, events: ['s3:Replication:OperationMissedThreshold'] },
      },
    });
  });

  test('a run without the spec of an entry: relies on the entry, and leaves it', async () => {
    await using s3 = await rawS3();
    await write(s3, resourceOf(pairWith('archive', ['failed']), pairWith('tax', ['failed'])));
    const before = s3.xml;
    expect(before).toContain('replikey/archive');
    expect((await planOf(s3, resourceOf(pairWith('tax', ['failed'])))).plan).toMatchObject({
      waves: [],
      blocked: [],
      notes: [],
    });
    // Prune of the other spec hands the event over in one write.
    const resource = { ...resourceOf(pairWith('tax', ['failed'])), pruneOwners: ['Archive'] };
    expect((await write(s3, resource)).results).toMatchObject([{ result: 'applied' }]);
    expect(elementsOf(s3.xml)).toEqual([queueElement('replikey/tax', QUEUE, FAILED)]);
  });

  test.each([
    ['the same event', queueElement('theirs', TOPIC, FAILED), `sends ${FAILED} to ${TOPIC}, and`],
    ['all events of replication', queueElement('theirs', TOPIC, 's3:Replication:*'), `to ${TOPIC}, and`],
    [
      'the same event for some keys',
      queueElement(
        'theirs',
        QUEUE,
        FAILED,
        '<Filter><S3Key><FilterRule><Name>prefix</Name><Value>Tax/</Value></FilterRule></S3Key></Filter>',
      ),
      'for some keys, and S3 refuses a second one for the same event; remove its filter',
    ],
  ])('a foreign configuration for %s: blocks the step, and names it', async (_, element, reason) => {
    await using s3 = await rawS3(documentOf(element));
    const { plan } = await write(s3, resourceOf(pairWith('tax', ['failed'])));
    expect(plan.waves).toEqual([]);
    expect(plan.blocked).toMatchObject([{ why: expect.stringContaining(reason) }]);
    expect(plan.blocked[0]?.why).toContain('the notification configuration "theirs" of acme-tax');
    expect(s3.xml).toBe(documentOf(element));
  });

  test('a foreign configuration sends the event to the same queue: adds no entry, with a note', async () => {
    await using s3 = await rawS3(documentOf(queueElement('by-hand', QUEUE, 's3:Replication:*')));
    const { plan } = await planOf(s3, resourceOf(pairWith('tax', ['failed'])));
    expect(plan).toMatchObject({
      waves: [],
      blocked: [],
      notes: [{ message: expect.stringContaining('"by-hand" of acme-tax already sends') }],
    });
  });

  test('another caller adds a filter to the entry: removes the filter', async () => {
    await using s3 = await rawS3(
      documentOf(
        queueElement(
          'replikey/tax',
          QUEUE,
          FAILED,
          '<Filter><S3Key><FilterRule><Name>suffix</Name><Value>.pdf</Value></FilterRule></S3Key></Filter>',
        ),
      ),
    );
    const { plan } = await write(s3, resourceOf(pairWith('tax', ['failed'])));
    expect(plan.waves.flat()[0]?.patch).toEqual([{ op: 'remove', path: '/entries/replikey~1tax/filtered' }]);
    expect(elementsOf(s3.xml)).toEqual([queueElement('replikey/tax', QUEUE, FAILED)]);
  });

  test('an entry with an unknown element that stays as it is: keeps the element', async () => {
    const entry = queueElement('replikey/tax', QUEUE, FAILED, '<Batch>5</Batch>');
    await using s3 = await rawS3(documentOf(entry));
    await write(s3, resourceOf(pairWith('tax', ['failed']), pairWith('sla', ['missedThreshold'], TOPIC)));
    expect(elementsOf(s3.xml)).toContain(entry);
    expect(elementsOf(s3.xml)).toHaveLength(2);
  });

  // The message is of S3: aws-facts-operations 2.3, and docs.aws.amazon.com how-to-enable-disable-notification-intro.
  test('S3 does not see the policy of the queue yet: writes again', async () => {
    await using s3 = await rawS3();
    s3.refusals = [
      ['InvalidArgument', 'Unable to validate the following destination configurations'],
      ['InvalidArgument', 'Unable to validate the following destination configurations'],
    ];
    const resource = resourceOf(pairWith('tax', ['failed']));
    const { plan, actual } = await planOf(s3, resource);
    const options = { resources: [resource], actual, kinds, aws: s3.aws, propagationTimeoutMs: 30_000 };
    expect(await apply(plan, options)).toMatchObject([{ result: 'applied' }]);
    expect(s3.xml).toContain('replikey/tax');
  });

  test('a response that is not one element: is unreadable, and nothing is written', async () => {
    await using s3 = await rawS3(`${documentOf()}<NotificationConfiguration/>`);
    const { plan } = await write(s3, resourceOf(pairWith('tax', ['failed'])));
    expect(plan.blocked).toMatchObject([{ why: expect.stringMatching(/cannot be read/) }]);
    expect(s3.calls).not.toContain('PUT');
  });
});

describe('s3.notification: another caller writes', () => {
  const theirs = queueElement('theirs', QUEUE, 's3:ObjectCreated:*');

  test('between the plan and the write: writes nothing, and reports it', async () => {
    await using s3 = await rawS3();
    const resource = resourceOf(pairWith('tax', ['failed']));
    const { plan, actual } = await planOf(s3, resource);
    s3.xml = documentOf(theirs);
    const options = { resources: [resource], actual, kinds, aws: s3.aws, propagationTimeoutMs: 200 };
    expect(await apply(plan, options)).toMatchObject([
      { result: 'failed', why: expect.stringContaining('another caller changed it since it was read') },
    ]);
    expect(s3.xml).toBe(documentOf(theirs));
  });

  test('from an older read after the write: the lost entry is detected and reported', async () => {
    await using s3 = await rawS3();
    s3.afterCall = () => {
      if (s3.calls.at(-1) === 'PUT') s3.xml = documentOf(theirs);
    };
    const { results } = await write(s3, resourceOf(pairWith('tax', ['failed'])));
    expect(results).toMatchObject([
      {
        result: 'failed',
        why: expect.stringMatching(/another caller replaced it after the write.*replikey\/tax/),
      },
    ]);
    // The same for a change of an existing entry, which a stale read would look like.
    s3.xml = documentOf(theirs, queueElement('replikey/tax', QUEUE, 's3:Replication:OperationNotTracked'));
    s3.afterCall = () => {
      if (s3.calls.at(-1) === 'PUT')
        s3.xml = documentOf(queueElement('replikey/tax', QUEUE, 's3:Replication:OperationNotTracked'));
    };
    expect((await write(s3, resourceOf(pairWith('tax', ['failed'])))).results).toMatchObject([
      { result: 'failed', why: expect.stringContaining('another caller replaced it after the write') },
    ]);
    s3.xml = documentOf(theirs);
    // The next pass adds the entry to what the other caller wrote.
    s3.afterCall = undefined;
    await write(s3, resourceOf(pairWith('tax', ['failed'])));
    expect(elementsOf(s3.xml)).toEqual([theirs, queueElement('replikey/tax', QUEUE, FAILED)]);
  });
});

const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 }).map((value) =>
  value
    // XML allows no control characters.
    .replace(/[\p{Cc}\p{Cn}]/gu, ' ')
    .replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`),
);
const foreignElement = fc
  .record({
    element: fc.constantFrom(
      ['TopicConfiguration', 'Topic'] as const,
      ['QueueConfiguration', 'Queue'] as const,
      ['CloudFunctionConfiguration', 'CloudFunction'] as const,
    ),
    target: text,
    event: fc.constantFrom('s3:ObjectCreated:*', 's3:ObjectRemoved:Delete', 's3:LifecycleTransition'),
    filter: fc.option(fc.record({ prefix: text, suffix: text })),
    unknown: fc.option(text),
  })
  .map(({ element: [name, field], target, event, filter, unknown }) => (id: number): string => {
    const rule = (kind: string, value: string) =>
      `<FilterRule><Name>${kind}</Name><Value>${value}</Value></FilterRule>`;
    const filterXml = filter
      ? `<Filter><S3Key>${rule('prefix', filter.prefix)}${rule('suffix', filter.suffix)}</S3Key></Filter>`
      : '';
    const unknownXml = unknown === null ? '' : `<Later a="1">${unknown}<Deep/></Later>`;
    return `<${name}><Id>f${id}-ü</Id><${field}>${target}</${field}><Event>${event}</Event>${filterXml}${unknownXml}</${name}>`;
  });

test('s3.notification: 200 random merges keep every byte of foreign configurations', async () => {
  await using s3 = await rawS3();
  const steps = fc.sample(
    fc.record({
      add: fc.array(foreignElement, { maxLength: 3 }),
      remove: fc.nat(5),
      eventBridge: fc.boolean(),
      position: fc.nat(20),
      change: fc.oneof(
        fc.subarray(['failed', 'missedThreshold', 'replicatedLate', 'notTracked'] as FailureEventName[], {
          minLength: 1,
        }),
        fc.constant('prune' as const),
      ),
      target: fc.constantFrom(QUEUE, TOPIC),
    }),
    { numRuns: 200, seed: 20 },
  );
  let id = 0;
  let writes = 0;
  for (const { add, remove, eventBridge, position, change, target } of steps) {
    // The other callers change their own entries only.
    const elements = elementsOf(s3.xml).filter((element) => !element.startsWith('<EventBridge'));
    const foreign = elements.filter((element) => !element.includes('replikey/'));
    const removed = foreign.slice(0, remove);
    const kept = elements.filter((element) => !removed.includes(element));
    for (const element of add) kept.splice(position % (kept.length + 1), 0, element(id++));
    s3.xml = documentOf(...kept, ...(eventBridge ? ['<EventBridgeConfiguration/>'] : []));

    const before = foreignIn(s3.xml);
    const resource = change === 'prune' ? orphanOf('tax') : resourceOf(pairWith('tax', change, target));
    const { plan, results } = await write(s3, resource);
    expect([plan.blocked, results.filter(({ result }) => result !== 'applied')]).toEqual([[], []]);
    writes += results.length;
    expect(foreignIn(s3.xml)).toEqual(before);
    const own = elementsOf(s3.xml).filter((element) => element.includes('replikey/tax'));
    expect(own).toHaveLength(change === 'prune' ? 0 : 1);
    if (change !== 'prune') expect(own[0]?.match(/<Event>/g)).toHaveLength(change.length);
  }
  expect(writes).toBeGreaterThan(120);
});
