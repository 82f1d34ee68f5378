import type { AwsClient } from '../aws/client.ts';
import type { Datapoint } from '../aws/metric-data.ts';
import { locationOfSide, toRuleId } from '../core/ids.ts';
import {
  combineRuleMetrics,
  DAY_PERIODS,
  lastDay,
  type MeasuredRule,
  type ReplicationMetrics,
  type RuleMetrics,
  type RuleReading,
  readRuleMetrics,
  summarizeRule,
} from '../facts/replication-metrics.ts';
import type { Log } from '../log.ts';
import type { RuleVerdict } from '../proof/types.ts';
import type { BucketReplication } from '../spec/types.ts';
import { omitUndefined } from '../util/canonical-json.ts';
import { type Clock, withJitter } from '../util/clock.ts';
import { createWorkQueue } from './queue.ts';

/** What was measured about one rule since the last read. */
export interface RuleMeasurement
  extends Pick<RuleMetrics, 'latencySeconds' | 'pendingBytes' | 'pendingOperations'> {
  /** ID of the rule in S3. */
  rule: string;
  /** Number of failures that no earlier read of this process counted; absent: CloudWatch has no datapoint. */
  newFailures?: number;
}

/** Reads the metrics of all pairs together, at intervals. No pass waits for a read or depends on it. */
interface ReplicationReader {
  /** Reads now, and then at intervals. Further calls have no effect. */
  start(): void;
  /** Waits for the read in flight, and starts no other. */
  drain(): Promise<void>;
}

interface ReplicationReaderOptions {
  clock: Clock;
  /** Returns a number from 0 up to, but not including, 1. */
  random: () => number;
  log: Log;
  intervalMs: number;
  client(): AwsClient;
  /** Returns the rules of the pairs, by the key of the pair. */
  rulesByPair(): ReadonlyMap<string, PairRules>;
  onRead(key: string, metrics: ReplicationMetrics, rules: RuleMeasurement[]): void;
}

/** The rules of a pair, by what can be read about them. */
export interface PairRules {
  measured: MeasuredRule[];
  /** Number of rules without metrics. */
  unmeasured: number;
  /** Source buckets in accounts without credentials. */
  unmanaged: string[];
}

/**
 * Returns the rules of the pairs of a spec. After a pass, the proof contains their ids in S3, which may differ from the
 * declared ones, and whether they have metrics. Pure.
 */
export function pairRulesOf(pairs: readonly BucketReplication[], proof: readonly RuleVerdict[]): PairRules {
  const rules = pairs
    .filter(({ source }) => source.managed)
    .flatMap((pair) => {
      const verdicts = proof.filter(
        ({ bucket, rule, spec }) => bucket === pair.source.bucket && spec === pair.name && rule !== '',
      );
      const entries =
        verdicts.length > 0
          ? verdicts.map(({ rule, findings }) => ({
              id: rule,
              hasMetrics: !findings.some(({ code }) => code === 'RK1008'),
            }))
          : pair.rules.map(({ id, name, metrics }) => ({
              id: id ?? toRuleId(pair.name, name),
              hasMetrics: metrics,
            }));
      return entries.map((entry) => ({ ...entry, pair }));
    });
  return {
    measured: rules
      .filter(({ hasMetrics }) => hasMetrics)
      .map(({ id, pair: { source, destination } }) => ({
        id,
        source: { bucket: source.bucket, location: locationOfSide(source) },
        destination: { bucket: destination.bucket, region: destination.region },
      })),
    unmeasured: rules.filter(({ hasMetrics }) => !hasMetrics).length,
    unmanaged: pairs.filter(({ source }) => !source.managed).map(({ source }) => source.bucket),
  };
}

/** The metrics of a pair, and the readings of its rules from which they follow. */
interface PairMeasurement {
  metrics: ReplicationMetrics;
  rules: { reading: RuleReading; summary: RuleMetrics }[];
}

/**
 * Reads the metrics of all pairs together: one call for each account, Region and 100 rules. One more call finds the minute
 * in which failures began, unless an earlier read found it.
 */
export async function readPairMetrics(
  aws: AwsClient,
  pairs: ReadonlyMap<string, PairRules>,
  starts = createStartRefiner(),
): Promise<Map<string, PairMeasurement>> {
  const measuredRules = [...pairs.values()].flatMap(({ measured }) => measured);
  const readings = await readRuleMetrics(aws, measuredRules, DAY_PERIODS, lastDay(aws.now()));
  const readingByRule = new Map(readings.map((reading) => [reading.rule, reading]));
  // The responses set the clock.
  const nowMs = aws.now();
  const summaries = await starts.refine(
    aws,
    new Map(readings.map((reading) => [reading.rule, summarizeRule(reading, nowMs)])),
    nowMs,
  );
  return new Map(
    [...pairs].map(([key, { measured, unmeasured, unmanaged }]) => {
      const rules = measured.flatMap((rule) => {
        const [reading, summary] = [readingByRule.get(rule), summaries.get(rule)];
        return reading && summary ? [{ reading, summary }] : [];
      });
      const ruleMetrics = [...rules.map(({ summary }) => summary), ...unmanaged.map(withoutCredentials)];
      return [key, { metrics: combineRuleMetrics(ruleMetrics, unmeasured, nowMs), rules }];
    }),
  );
}

const QUEUE_KEY = 'metrics';

export function createReplicationReader(options: ReplicationReaderOptions): ReplicationReader {
  const { clock, random, log, intervalMs, client, rulesByPair, onRead } = options;
  const counter = createFailureCounter();
  const starts = createStartRefiner();
  const queue = createWorkQueue({ clock, workers: 1, work: readAndSchedule });
  let isStarted = false;
  let isDraining = false;

  async function readAndSchedule(): Promise<void> {
    await read().catch((error: Error) => log.warn(`cannot read the metrics: ${error.message}`));
    if (!isDraining) queue.addAfter(QUEUE_KEY, withJitter(intervalMs, random()));
  }

  async function read(): Promise<void> {
    const measured = await readPairMetrics(client(), rulesByPair(), starts);
    if (isDraining) return;
    for (const [key, { metrics, rules }] of measured) {
      const measurements = rules.map(({ reading: { rule, series }, summary }) =>
        toMeasurement(rule, summary, series.failed && counter.count(ruleKeyOf(rule), series.failed)),
      );
      onRead(key, metrics, measurements);
    }
    const readRules = [...measured.values()].flatMap(({ rules }) => rules.map(({ reading }) => reading.rule));
    counter.finishRead(readRules.map(ruleKeyOf), client().now());
  }

  return {
    start() {
      if (!isStarted) queue.add(QUEUE_KEY);
      isStarted = true;
    },
    drain() {
      isDraining = true;
      return queue.drain();
    },
  };
}

const ruleKeyOf = ({ id, source, destination }: MeasuredRule): string =>
  JSON.stringify([source.bucket, destination.bucket, id]);

const toMeasurement = (
  { id }: MeasuredRule,
  { operations, latencySeconds, pendingBytes, pendingOperations }: RuleMetrics,
  newFailures: number | undefined,
): RuleMeasurement =>
  omitUndefined({
    rule: id,
    newFailures: operations === undefined ? undefined : newFailures,
    latencySeconds,
    pendingBytes,
    pendingOperations,
  });

const withoutCredentials = (bucket: string): RuleMetrics => ({
  state: 'unreadable',
  reason: `no credentials for the account of ${bucket}`,
  history: { failed: [], latencySeconds: [] },
});

/**
 * Failures that began in the first two of the 24 hours, in milliseconds: they may have begun earlier, and the first of them
 * changes with each read.
 */
const UNREFINED_MS = 2 * 3_600_000;

/** Finds the minute in which failures began. */
function createStartRefiner() {
  /** By rule: the start of the metric period, and that of the minute, in milliseconds since 1970. */
  const startByRule = new Map<string, { periodMs: number; minuteMs: number }>();
  const periodOf = ({ failedSince }: RuleMetrics): number => Date.parse(failedSince ?? '');

  async function readMinutes(
    aws: AwsClient,
    rules: readonly MeasuredRule[],
    periodMs: number,
  ): Promise<void> {
    const range = { startMs: periodMs, endMs: periodMs + DAY_PERIODS.failed * 1000 };
    for (const { rule, series } of await readRuleMetrics(aws, rules, { failed: 60 }, range)) {
      const first = series.failed?.find(({ value }) => value > 0);
      if (first) startByRule.set(ruleKeyOf(rule), { periodMs, minuteMs: first.atMs });
    }
  }

  return {
    /** Returns the metrics with the minute in which failures began, where it could be read. Forgets other rules. */
    async refine(
      aws: AwsClient,
      summaries: ReadonlyMap<MeasuredRule, RuleMetrics>,
      nowMs: number,
    ): Promise<Map<MeasuredRule, RuleMetrics>> {
      const rulesByPeriod = new Map<number, MeasuredRule[]>();
      for (const [rule, summary] of summaries) {
        const periodMs = periodOf(summary);
        const isKnown = startByRule.get(ruleKeyOf(rule))?.periodMs === periodMs;
        if (!isKnown && periodMs - lastDay(nowMs).startMs >= UNREFINED_MS)
          rulesByPeriod.set(periodMs, [...(rulesByPeriod.get(periodMs) ?? []), rule]);
      }
      await Promise.all([...rulesByPeriod].map(([periodMs, rules]) => readMinutes(aws, rules, periodMs)));
      const readRules = new Set([...summaries.keys()].map(ruleKeyOf));
      for (const rule of startByRule.keys()) if (!readRules.has(rule)) startByRule.delete(rule);
      return new Map(
        [...summaries].map(([rule, summary]) => {
          const start = startByRule.get(ruleKeyOf(rule));
          const isRefined = start?.periodMs === periodOf(summary);
          return [
            rule,
            start && isRefined
              ? { ...summary, failedSince: new Date(start.minuteMs).toISOString() }
              : summary,
          ];
        }),
      );
    },
  };
}

/** Counts each failure once, although the reads overlap and the value of a period grows. */
function createFailureCounter() {
  /** By rule: the counted failures of each period. */
  const countedByRule = new Map<string, Map<number, number>>();
  let lastReadMs = Number.POSITIVE_INFINITY;
  return {
    /**
     * Returns the number of failures that no earlier read counted. The first read of a process counts none: they may be
     * of a time before it. Neither does the first read of a new rule, except those since the previous read.
     */
    count(rule: string, failed: readonly Datapoint[]): number {
      const earlier = failed.filter(({ atMs }) => atMs < lastReadMs);
      const counted = countedByRule.get(rule) ?? new Map(earlier.map(({ atMs, value }) => [atMs, value]));
      countedByRule.set(rule, counted);
      let increase = 0;
      for (const { atMs, value } of failed) {
        const before = counted.get(atMs) ?? 0;
        increase += Math.max(0, value - before);
        counted.set(atMs, Math.max(value, before));
      }
      return increase;
    },
    /** Forgets other rules, and periods that no later read returns. */
    finishRead(rules: readonly string[], nowMs: number): void {
      lastReadMs = nowMs;
      const readRules = new Set(rules);
      const { startMs } = lastDay(nowMs);
      for (const [rule, counted] of countedByRule) {
        if (!readRules.has(rule)) countedByRule.delete(rule);
        for (const atMs of counted.keys()) if (atMs < startMs) counted.delete(atMs);
      }
    },
  };
}
