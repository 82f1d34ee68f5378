import { pino } from 'pino';
import { expect, test, vi } from 'vitest';
import type { SpecFiles } from '../../src/controller/spec-watcher.ts';
import { collectionPathOf } from '../../src/kubernetes/resources.ts';
import { watchResources } from '../../src/kubernetes/source.ts';
import { fakeClock } from '../support/fake-clock.ts';
import { NAMESPACE } from './api-server.ts';
import { startStandIn } from './stand-in.ts';

const PAIRS = collectionPathOf('BucketReplication', NAMESPACE);

test('a status that was written is not taken for the one before while the watch has not told of it', async () => {
  await using server = await startStandIn();
  const create = (name: string) =>
    server.admin.request('POST', PAIRS, {
      apiVersion: 'replikey.dev/v1',
      kind: 'BucketReplication',
      metadata: { name },
      spec: { rules: [] },
    });
  await create('tax');
  const clock = fakeClock();
  const stop = new AbortController();
  let last: SpecFiles | undefined;
  const source = await watchResources({
    api: server.admin,
    clock,
    random: () => 0.5,
    log: pino({ level: 'silent' }),
    signal: stop.signal,
    onChange: (written) => {
      last = written;
    },
    onResourcesUpdated: () => {},
  });
  const known = (count: number) =>
    vi.waitFor(async () => {
      await clock.advance(200);
      expect(last?.files).toHaveLength(count);
    });
  const file = `BucketReplication/${NAMESPACE}/tax`;
  const statusOf = () => source.find(file)?.status?.lastSuccess;
  try {
    source.markStatusWritten(file, { lastSuccess: '2026-01-01T00:00:00Z' });
    await create('books');
    await known(2);
    expect(statusOf()).toBe('2026-01-01T00:00:00Z');
    // What it tells of then is believed, whoever wrote it.
    await server.admin.request(
      'PATCH',
      `${PAIRS}/tax/status`,
      { status: { lastSuccess: '2026-01-01T02:00:00Z' } },
      'application/apply-patch+yaml',
    );
    await vi.waitFor(async () => {
      await clock.advance(200);
      expect(statusOf()).toBe('2026-01-01T02:00:00Z');
    });
  } finally {
    stop.abort();
    source.close();
  }
});
