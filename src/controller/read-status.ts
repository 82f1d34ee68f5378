import pLimit from 'p-limit';
import type { AwsClient } from '../aws/client.ts';
import type { Kind } from '../core/kind.ts';
import { reconcile } from '../reconcile/reconcile.ts';
import type { StatusRow } from '../report/status-text.ts';
import type { Specs } from '../spec/types.ts';
import { omitUndefined } from '../util/canonical-json.ts';
import type { Clock } from '../util/clock.ts';
import { explainPairState, sortBySeverity } from './pair-state.ts';
import { afterReplication } from './replicating.ts';
import { pairRulesOf, readPairMetrics } from './replication-reader.ts';
import { afterPass, declaredFields, initialStatus, type PairStatus } from './status.ts';
import { toWorkItems, type WorkItem } from './work-items.ts';

/** Reads the status of pairs from AWS, without a controller. It never writes. */
export interface StatusReader {
  /** Reads all pairs once. A later read keeps the times of conditions, and reports differences as drift. */
  read(): Promise<PairStatus[]>;
}

/** Passes at a time. Each has about a dozen concurrent calls, and the client limits their rate. */
const MAX_CONCURRENT_PASSES = 20;

/** Age at which metrics are read again, in milliseconds. AWS bills each metric that a read requests. */
const METRICS_AGE_MS = 5 * 60_000;

interface StatusReaderOptions {
  specs: Specs;
  kinds: ReadonlyMap<string, Kind>;
  /** The reader sends only reads. */
  aws: AwsClient;
  clock: Clock;
  signal?: AbortSignal;
}

export function createStatusReader({ specs, kinds, aws, clock, signal }: StatusReaderOptions): StatusReader {
  const items = [...toWorkItems(specs).values()];
  const statuses = new Map<string, PairStatus>();
  let metricsReadAt: number | undefined;

  /** Makes a dry run for one pair, as the controller does. */
  async function readPair(item: WorkItem, client: AwsClient): Promise<PairStatus> {
    const outcome = await reconcile(
      { ...specs, pairs: item.pairs },
      {
        kinds,
        aws: client,
        allowedRisks: [],
        dryRun: true,
        propagationTimeoutMs: 0,
        ...(signal && { signal }),
      },
    );
    const nowIso = new Date(aws.now()).toISOString();
    const before =
      statuses.get(item.key) ??
      initialStatus(item, nowIso, {
        canaries: true,
        metrics: true,
        events: false,
      });
    return afterPass({ ...before, ...declaredFields(item) }, outcome, item, nowIso);
  }

  /** Makes the passes of all pairs. After an error of one, starts no others. */
  async function readPairs(): Promise<PairStatus[]> {
    const limit = pLimit({ concurrency: MAX_CONCURRENT_PASSES, rejectOnClear: true });
    const client = withSharedBatching(aws.readOnly());
    try {
      return await Promise.all(items.map((item) => limit(() => readPair(item, client))));
    } finally {
      limit.clearQueue();
    }
  }

  async function addMetrics(pairs: readonly PairStatus[]): Promise<PairStatus[]> {
    const proofs = new Map(pairs.map(({ name, proof }) => [name, proof]));
    const rules = new Map(items.map(({ key, pairs }) => [key, pairRulesOf(pairs, proofs.get(key) ?? [])]));
    const measured = await readPairMetrics(aws.readOnly(), rules);
    metricsReadAt = clock.monotonicNow();
    return pairs.map((pair) => {
      const { metrics } = measured.get(pair.name) ?? {};
      return metrics ? afterReplication(pair, { replication: metrics }, metrics.at) : pair;
    });
  }

  return {
    async read() {
      const pairs = await readPairs();
      const isMeasured = metricsReadAt !== undefined && clock.monotonicNow() - metricsReadAt < METRICS_AGE_MS;
      const results = isMeasured ? pairs : await addMetrics(pairs);
      for (const status of results) statuses.set(status.name, status);
      return results;
    },
  };
}

/** Returns a client whose passes share the listings of batched reads, as one pass over all pairs does. */
function withSharedBatching(aws: AwsClient): AwsClient {
  const client: AwsClient = {
    ...aws.withBatching(),
    readOnly: () => client,
    withBatching: () => client,
  };
  return client;
}

/** The part of a status that `reconcile status` shows. */
export type ShownStatus = Pick<
  PairStatus,
  'name' | 'labels' | 'sides' | 'conditions' | 'replication' | 'canary' | 'jobs'
>;

/** Returns the rows of the table, in the order of the status page: worst state first. */
export const toStatusRows = (pairs: readonly ShownStatus[]): StatusRow[] =>
  sortBySeverity(pairs).map((pair) => {
    const { name, labels, sides, conditions, replication, canary, jobs } = pair;
    const { state, condition } = explainPairState(pair);
    const { history: _, ...metrics } = replication ?? {};
    return omitUndefined({
      name,
      state,
      message: condition?.message,
      labels,
      sides,
      conditions: Object.entries(conditions).map(([type, { status, reason, message, since }]) => ({
        type,
        status,
        reason,
        message,
        since,
      })),
      replication: replication && metrics,
      canary,
      jobs,
    }) as StatusRow;
  });
