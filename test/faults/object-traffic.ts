import type { RequestEntry } from '../../src/sandbox/admin-api.ts';
import type { Store } from '../../src/sandbox/store.ts';
import type { Specs } from '../../src/spec/types.ts';
import { createWriter, type Writer, type WriterEnv } from '../transitions/writer.ts';

/** Objects that are written to the sources of pairs while runs change their replication. */
export interface ObjectTraffic {
  /**
   * Writes objects before the first call, and one after each call that changes the state. Pass it every call that the
   * sandbox receives.
   */
  onCall(entry: RequestEntry, phase: 'before' | 'after'): Promise<void>;
  /** Writes some objects to each source. */
  write(): Promise<void>;
  /** Marks the end of the last run. */
  endOfChange(): void;
  written(): number;
  /** Returns a message per source with objects that failed, that S3 passed over, or that are still in flight. */
  losses(): string[];
}

export interface TrafficOptions extends WriterEnv {
  /** The specs of the state before the run. */
  before: Specs;
  after: Specs;
  /** Lets the sandbox replicate the objects that are due. */
  replicate(): void | Promise<void>;
  /** Delay of the replication of objects that stay in flight during the whole case; absent: no object stays in flight. */
  inFlightMs?: number;
}

/** Number of objects that `write` writes to each source: one of each kind. */
const BATCH = 4;

/** Whether a call is one of the traffic. A run without canaries makes none of them. */
export const isObjectCall = ({ operation }: RequestEntry): boolean =>
  operation === 'PutObject' || operation === 'DeleteObject';

export function createObjectTraffic(options: TrafficOptions): ObjectTraffic {
  const { sandbox, before, after, inFlightMs, replicate } = options;
  const pairs = [...before.pairs, ...after.pairs];
  const sources = [...new Set(pairs.map(({ source }) => source.bucket))];
  const oldSources = sources.filter((bucket) => sandbox.store.bucket(bucket)?.replication !== undefined);
  const writers = new Map<string, Writer>();
  let hasBegun = false;
  let changes = 0;
  let queue = Promise.resolve();

  /** Returns the writers of the sources that replicate. The rules of a new source count from then on. */
  function activeWriters(): Writer[] {
    for (const bucket of sources) {
      if (writers.has(bucket) || !isReplicating(sandbox.store, bucket)) continue;
      writers.set(bucket, createWriter(options, bucket, oldSources.includes(bucket) ? before : after, after));
    }
    return [...writers.values()];
  }

  /** Writes in sequence, because the delay applies to all writes of the sandbox. */
  function writeWith(delayMs: number, active: readonly Writer[], count: number): Promise<void> {
    const write = () => writeNow(delayMs, active, count);
    queue = queue.then(write, write);
    return queue;
  }

  async function writeNow(delayMs: number, active: readonly Writer[], count: number): Promise<void> {
    sandbox.faultSettings.replicationDelayMs = delayMs;
    for (let n = 0; n < count; n++) for (const writer of active) await writer.writeNext();
    sandbox.faultSettings.replicationDelayMs = 0;
    await replicate();
  }

  return {
    async onCall(entry, phase) {
      // The client of the writers may verify its identity.
      if (isObjectCall(entry) || entry.service === 'sts') return;
      if (!hasBegun) {
        hasBegun = true;
        await writeWith(inFlightMs ?? 0, activeWriters(), BATCH);
      }
      // Without `inFlightMs`, no object is in flight when the call executes.
      if (phase === 'before') return queue;
      if (!entry.write) return;
      const active = activeWriters();
      changes += 1;
      const writer = active[changes % active.length];
      if (writer) await writeWith(0, [writer], 1);
    },
    async write() {
      await writeWith(0, activeWriters(), BATCH);
    },
    endOfChange() {
      for (const writer of writers.values()) writer.endOfChange();
    },
    written: () => [...writers.values()].reduce((total, writer) => total + writer.count().written, 0),
    losses: () =>
      [...writers.values()].flatMap((writer) => {
        const { written, failed, passedOver, pending } = writer.count();
        const details = writer.losses();
        if (failed + passedOver + pending + details.length === 0) return [];
        const counts = `${failed} FAILED, ${passedOver} passed over, ${pending} PENDING`;
        return [`of ${written} objects of ${writer.bucket}: ${[counts, ...details].join('; ')}`];
      }),
  };
}

/** Whether a source has enabled rules, and all their destinations can receive replicas. */
function isReplicating(store: Store, bucket: string): boolean {
  const { Rules = [] } = store.bucket(bucket)?.replication ?? {};
  const enabled = Rules.filter(({ Status }) => Status === 'Enabled');
  const destinationOf = (arn = '') => store.bucket(arn.split(':::')[1] ?? '');
  return (
    enabled.length > 0 &&
    enabled.every(({ Destination }) => destinationOf(Destination?.Bucket)?.versioning?.Status === 'Enabled')
  );
}
