import type { CloudTrail } from '../aws/cloudtrail.ts';
import type { Door } from '../aws/door.ts';
import type { Thresholds } from '../core/guard.ts';
import type { Id, Kind } from '../core/resource.ts';
import type { Log } from '../log.ts';
import { type Outcome, reconcile } from '../reconcile.ts';
import type { Given } from '../spec/given.ts';
import { formatProblems, problemLine } from '../spec/report.ts';
import type { Limits, Problem, Specs } from '../spec/types.ts';
import { canaries } from '../steps/canary.ts';
import { backoff, jittered } from './backoff.ts';
import type { Clock } from './clock.ts';
import { grouped } from './grouped.ts';
import { createInquiry } from './inquiry.ts';
import { contested, type Keyed, keysOf } from './keys.ts';
import { type Current, lastGood } from './last-good.ts';
import { createLocks } from './locks.ts';
import { seeObjects } from './objects.ts';
import { createQueue } from './queue.ts';
import {
  afterCanaries,
  afterError,
  afterInquiry,
  afterPass,
  declared,
  firstStatus,
  isDrift,
  lastChangeText,
  type PairStatus,
} from './status.ts';
import type { Written } from './watch.ts';

export interface ControllerOptions {
  kinds: ReadonlyMap<string, Kind>;
  /** A door for some accounts; kept until the accounts are others. */
  open(specs: Specs): { door: Door; close(): void };
  /** What variables of the specs take their values from. */
  given?: Given;
  clock: Clock;
  /** From 0 up to 1. */
  chance: () => number;
  log: Log;
  /** Milliseconds between two passes over a pair that is well. */
  intervalMs: number;
  /** Milliseconds between canaries; absent: none. */
  verifyIntervalMs?: number;
  /** How many pairs are worked on at a time. */
  workers: number;
  /** How long to wait for what was written to be seen, in milliseconds. */
  waitMs: number;
  allow: readonly string[];
  allowUnproven: boolean;
  thresholds(limits: Limits): Thresholds;
  /** Whether this process may write to this pair now: whether it leads. Asked before every attempt of every call. */
  mayWrite(keyed: Keyed): boolean;
  /** What asks CloudTrail who changed what drifted, loaded when there is something to ask; absent: nobody is asked. */
  cloudTrail?(): Promise<Pick<CloudTrail, 'lookUp'>>;
  /** Whether this process looks after this pair at all. */
  mine?(keyed: Keyed): boolean;
  observer?: Observer;
  /** Told how a pair fares, each time that it was looked at. */
  onStatus?: (after: PairStatus, before: PairStatus) => void;
  /** Set when it is told to stop: then nothing new is changed. */
  signal?: AbortSignal;
}

/** Told of what happens, for metrics. */
export interface Observer {
  reconciled?(what: {
    key: string;
    result: 'success' | 'error' | 'requeue';
    ms: number;
    waitedMs: number;
  }): void;
  verified?(what: { key: string; latencyMs: number[]; failed: number }): void;
  /** Somebody else changed what a pair is about. */
  drifted?(key: string): void;
  reloaded?(ok: boolean): void;
}

export interface Controller {
  /** What is written now; what is wrong with it is reported, and its last good state kept. */
  update(written: Written): void;
  /** Look at every pair now; and see anew which are for this process. */
  resync(): void;
  /** Start nothing more, and wait for what is in flight. */
  drain(): Promise<void>;
  status(): ControllerStatus;
}

export interface QueueStatus {
  /** Pairs that wait for a worker, and pairs that are worked on. */
  depth: number;
  active: number;
  /** How often one was added. */
  adds: number;
  /** For how long those that are worked on have been, together and the longest, in milliseconds. */
  unfinishedMs: number;
  longestMs: number;
}

export interface ControllerStatus {
  pairs: PairStatus[];
  /** Of what is written and does not count. */
  problems: Problem[];
  queue: QueueStatus;
  /** Whether there was a moment at which every pair had been looked at: another that comes later changes nothing of it. */
  isSynced: boolean;
  /** Milliseconds since 1970 when the loop last moved. */
  lastMove: number;
  calls: { reads: number; writes: number; byOperation: Record<string, number> };
}

/**
 * Keep AWS as declared, for as long as it runs: each pair is looked at as a whole, again and again and whenever its spec
 * changes; a pair that fails or is slow delays no other.
 */
export function createController(options: ControllerOptions): Controller {
  const { kinds, clock, chance, log } = options;
  const states = new Map<string, PairStatus>();
  const locks = createLocks();
  const iso = () => new Date(clock.now()).toISOString();
  /** When the last pass began that found a pair as declared. */
  const foundGood = new Map<string, number>();
  let current: Current | undefined;
  let problems: Problem[] = [];
  let keyed = new Map<string, Keyed>();
  let shared = new Map<string, Id[]>();
  let connection: { door: Door; close(): void; accounts: string } | undefined;
  let lastMove = clock.now();
  let isSynced = false;

  const complaints = grouped({
    clock,
    forMs: 60_000,
    say: (cause, about, count) =>
      log.warn(
        { pairs: about.length > 20 ? [...about.slice(0, 20), '…'] : about },
        count > 1 ? `${cause} (${count} times)` : cause,
      ),
  });
  const queue = createQueue({ clock, workers: options.workers, work });
  const verifying = createQueue({ clock, workers: 4, work: verify });
  const { cloudTrail } = options;
  const inquiry =
    cloudTrail &&
    createInquiry({
      kinds,
      clock,
      log,
      cloudTrail,
      door: () => doorFor(specsNow()),
      found(key, id, change) {
        const before = states.get(key);
        if (!before) return;
        log.info({ pair: key, id }, `${id}: ${lastChangeText(change)}`);
        keep(key, afterInquiry(before, id, change));
      },
    });

  async function work(key: string, { waitedMs }: { waitedMs: number }): Promise<void> {
    lastMove = clock.now();
    const one = keyed.get(key);
    const before = states.get(key);
    if (!one || !before) return;
    const began = clock.elapsed();
    const beganAt = clock.now();
    const after = await pass(one, before);
    lastMove = clock.now();
    // It may have gone, or become another, meanwhile; then it is looked at again anyway.
    if (!keyed.has(key)) return;
    if (after.retry === 'none') foundGood.set(key, beganAt);
    const wait =
      after.retry === 'recoverable'
        ? Math.min(backoff(after.failures, chance()), jittered(options.intervalMs, chance()))
        : jittered(options.intervalMs, chance());
    keep(key, { ...after, nextRun: new Date(clock.now() + wait).toISOString() });
    const result = after.retry === 'none' ? 'success' : after.retry === 'terminal' ? 'requeue' : 'error';
    options.observer?.reconciled?.({ key, result, ms: clock.elapsed() - began, waitedMs });
    queue.addAfter(key, wait);
  }

  function keep(key: string, after: PairStatus): void {
    const before = states.get(key) ?? after;
    states.set(key, after);
    sync();
    options.onStatus?.(after, before);
  }

  function sync(): void {
    isSynced ||= [...states.values()].every(({ lastRun }) => lastRun !== undefined);
  }

  /** What it writes for a pair goes through here. */
  const writing = (door: Door, one: Keyed, onLost = () => {}): Door =>
    door.guarded(() => {
      if (options.mayWrite(one)) return;
      onLost();
      throw new LostLease(one.key);
    });

  /** Read first; only where something differs, take what others also write, read again, and apply. */
  async function pass(one: Keyed, before: PairStatus): Promise<PairStatus> {
    /** What became known while the pass went on: of canaries, or of another spec. */
    const now = () => states.get(one.key) ?? before;
    try {
      const looked = await once(one, true);
      const differs = looked.plan.waves.length > 0;
      const outcome = differs && options.mayWrite(one) ? await alone(one) : looked;
      const after = afterPass(now(), outcome, one.generation, iso());
      tell(before, after, outcome);
      inquire(after, outcome);
      return after;
    } catch (error) {
      // What fails because it was told to stop is no failure.
      if (options.signal?.aborted) return now();
      const message = error instanceof Error ? error.message : String(error);
      complaints.say(causeOf(message), one.key);
      return afterError(now(), message, one.generation, iso());
    }
  }

  /** Only of drift, and of what is not known yet. */
  function inquire({ name, changes: [change] }: PairStatus, { plan }: Outcome): void {
    const since = foundGood.get(name);
    if (change?.cause !== 'drift' || since === undefined) return;
    const known = new Set(change.steps.flatMap(({ id, lastChange }) => (lastChange ? id : [])));
    const steps = plan.waves.flat().filter(({ id }) => !known.has(id));
    inquiry?.ask(name, steps, { since, until: Date.parse(change.at) });
  }

  async function alone(one: Keyed): Promise<Outcome> {
    const release = await locks.acquire(shared.get(one.key) ?? []);
    try {
      return await once(one, false);
    } finally {
      release();
    }
  }

  function once(one: Keyed, dryRun: boolean): Promise<Outcome> {
    const specs = specsNow();
    return reconcile(
      { ...specs, pairs: one.pairs },
      {
        kinds,
        door: writing(doorFor(specs), one),
        allow: options.allow,
        allowUnproven: options.allowUnproven,
        thresholds: options.thresholds(specs.limits),
        waitMs: options.waitMs,
        dryRun,
        ...(options.signal && { signal: options.signal }),
      },
    );
  }

  async function verify(key: string): Promise<void> {
    const one = keyed.get(key);
    const before = states.get(key);
    if (!one || !before || options.verifyIntervalMs === undefined) return;
    verifying.addAfter(key, jittered(options.verifyIntervalMs, chance()));
    // A canary is an object: only who leads writes any, and only where replication is thought to work.
    if (!options.mayWrite(one) || before.conditions.Ready.status !== 'True') return;
    const specs = specsNow();
    let isLost = false;
    const door = writing(doorFor(specs), one, () => {
      isLost = true;
    });
    try {
      const each = one.pairs.map((pair) =>
        canaries(pair, {
          door,
          pairs: specs.pairs,
          timeoutMs: 15 * 60_000,
          ...(options.signal && { signal: options.signal }),
        }),
      );
      const results = (await Promise.all(each)).flat();
      const objects = await seeObjects(door, one.pairs).catch((error: Error) => {
        complaints.say(`newest objects: ${causeOf(error.message)}`, key);
        return undefined;
      });
      const now = states.get(key);
      // What was cut short says nothing of replication; the lease may be here again by now.
      if (!now || options.signal?.aborted || !options.mayWrite(one) || isLost) return;
      keep(key, { ...afterCanaries(now, results, iso()), ...(objects && { objects }) });
      options.observer?.verified?.({
        key,
        latencyMs: results.flatMap(({ latencyMs }) => latencyMs ?? []),
        failed: results.filter(({ result }) => result === 'failed' || result === 'timeout').length,
      });
      for (const { result, why } of results)
        if (result === 'failed' || result === 'timeout')
          complaints.say(`canary: ${causeOf(why ?? result)}`, key);
    } catch (error) {
      if (options.signal?.aborted) return;
      complaints.say(`canary: ${causeOf(error instanceof Error ? error.message : String(error))}`, key);
    }
  }

  /** One line a change of state, and one a change that was made; nothing where nothing happens. */
  function tell(before: PairStatus, after: PairStatus, outcome: Outcome): void {
    const [was, is] = [before.conditions.Ready, after.conditions.Ready];
    for (const { id, action, result, why } of outcome.results) {
      if (result === 'applied') log.info({ pair: after.name, id }, `${action}d ${id}`);
      else if (result === 'failed') complaints.say(causeOf(why ?? ''), after.name);
    }
    if (is.status === 'False' && (was.status !== 'False' || was.reason !== is.reason))
      complaints.say(causeOf(`${is.reason}: ${is.message}`), after.name);
    if (is.status === 'True' && was.status !== 'True') log.info({ pair: after.name }, `ready: ${is.message}`);
    const drifted = after.conditions.Drifted;
    if (drifted.message !== before.conditions.Drifted.message && isDrift(drifted)) {
      log.warn({ pair: after.name }, `drift: ${drifted.message}`);
      options.observer?.drifted?.(after.name);
    }
    if (after.conditions.Proven.status === 'False' && before.conditions.Proven.status !== 'False')
      complaints.say(`not proven: ${after.conditions.Proven.reason}`, after.name);
  }

  /** Look after what is declared now, as far as it is for this process. */
  function adopt(specs: Specs): void {
    const all = keysOf(specs);
    const wanted = new Map([...all].filter(([, one]) => options.mine?.(one) ?? true));
    shared = contested(specs, kinds);
    for (const key of keyed.keys()) {
      if (wanted.has(key)) continue;
      queue.forget(key);
      verifying.forget(key);
      states.delete(key);
      foundGood.delete(key);
      inquiry?.forget(key);
      if (!all.has(key)) log.info({ pair: key }, 'is not declared any more: it is left as it is');
    }
    const before = keyed;
    keyed = wanted;
    for (const [key, one] of wanted) {
      const known = before.get(key);
      const state = states.get(key);
      states.set(key, state ? { ...state, ...declared(one) } : firstStatus(one, iso()));
      if (known?.generation === one.generation) continue;
      queue.add(key);
      if (options.verifyIntervalMs !== undefined && !known)
        verifying.addAfter(key, Math.round(options.verifyIntervalMs * chance()));
    }
    sync();
  }

  function specsNow(): Specs {
    if (!current) throw new Error('no specs were ever right');
    return current.specs;
  }

  /** One set of clients for the same accounts, so that connections and credentials are kept. */
  function doorFor(specs: Specs): Door {
    const accounts = JSON.stringify(specs.accounts.map(({ positions: _, ...rest }) => rest));
    if (connection?.accounts === accounts) return connection.door;
    // What is in flight through the old one finishes there.
    connection = { ...options.open(specs), accounts };
    return connection.door;
  }

  function tellProblems(all: readonly Problem[], areSomeGood: boolean): void {
    if (all.length === 0) log.info('all specs are right again');
    else if (areSomeGood)
      log.error({ problems: all.length }, 'specs that are not right do not count; the last good ones do');
    for (const one of all) log.error({ ...one.position }, problemLine(one));
  }

  return {
    update(written) {
      const next = lastGood(written.files, written.problems, current, options.given, written.mayMiss);
      const said = formatProblems(problems);
      problems = next.problems;
      if (formatProblems(problems) !== said) tellProblems(problems, 'specs' in next || current !== undefined);
      options.observer?.reloaded?.(problems.length === 0);
      if (!('specs' in next)) return;
      current = next;
      adopt(next.specs);
    },
    resync() {
      if (current) adopt(current.specs);
      for (const key of keyed.keys()) queue.add(key);
    },
    async drain() {
      await Promise.all([queue.drain(), verifying.drain(), inquiry?.drain()]);
      complaints.close();
      connection?.close();
    },
    status() {
      const { reads = 0, writes = 0, byOperation = new Map<string, number>() } = connection?.door.calls ?? {};
      return {
        pairs: [...states.values()],
        problems,
        queue: {
          depth: queue.depth,
          active: queue.active,
          adds: queue.adds,
          unfinishedMs: queue.running.reduce((sum, ms) => sum + ms, 0),
          longestMs: Math.max(0, ...queue.running),
        },
        isSynced,
        lastMove,
        calls: { reads, writes, byOperation: Object.fromEntries(byOperation) },
      };
    },
  };
}

/** Somebody else may write now. */
class LostLease extends Error {
  constructor(key: string) {
    super(`this process does not lead any more: nothing else of ${key} was changed`);
    this.name = 'LostLease';
  }
}

/** What several pairs can have in common: an error without what is only of this pair, and of this time. */
const causeOf = (message: string): string =>
  message.replace(/, request [\w/+=-]+/g, '').replace(/\b(?:s3|kms|iam)\.[a-z-]+\/\S+: /g, '');
