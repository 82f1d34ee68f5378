import { pino } from 'pino';
import { expect, test, vi } from 'vitest';
import type { SpecFiles } from '../../src/controller/spec-watcher.ts';
import { collectionPathOf } from '../../src/kubernetes/resources.ts';
import { watchResources } from '../../src/kubernetes/source.ts';
import { fakeClock } from '../support/fake-clock.ts';
import { NAMESPACE } from './api-server.ts';
import { startFakeApiServer } from './fake-api-server.ts';

const PAIRS = collectionPathOf('BucketReplication', NAMESPACE);

test('watchResources: keeps a written status until the watch reports a later version', async () => {
  await using server = await startFakeApiServer();
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
  let latest: SpecFiles | undefined;
  const source = await watchResources({
    api: server.admin,
    clock,
    random: () => 0.5,
    log: pino({ level: 'silent' }),
    signal: stop.signal,
    onChange: async (specFiles) => {
      latest = specFiles;
    },
    onResourcesUpdated: () => {},
  });
  const untilFileCount = (count: number) =>
    vi.waitFor(async () => {
      await clock.advance(200);
      expect(latest?.files).toHaveLength(count);
    });
  const file = `BucketReplication/${NAMESPACE}/tax`;
  const statusOf = () => source.find(file)?.status?.lastSuccess;
  try {
    source.markStatusWritten(file, { lastSuccess: '2026-01-01T00:00:00Z' });
    await create('books');
    await untilFileCount(2);
    expect(statusOf()).toBe('2026-01-01T00:00:00Z');
    // A status of a later version replaces the written status.
    await server.admin.request(
      'PATCH',
      `${PAIRS}/tax/status`,
      { status: { lastSuccess: '2026-01-01T02:00:00Z' } },
      { contentType: 'application/apply-patch+yaml' },
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
