import type { Controller } from '../controller/controller.ts';
import type { SpecWatcher } from '../controller/spec-watcher.ts';
import type { PairStatus } from '../controller/status.ts';
import type { Log } from '../log.ts';
import { valueAtPath } from '../spec/document.ts';
import type { Problem } from '../spec/types.ts';
import type { Clock } from '../util/clock.ts';
import type { KubernetesApi } from './api.ts';
import { createEventRecorder, resourceEventsOf } from './events.ts';
import type { CustomResource } from './resources.ts';
import { type ResourceSource, watchResources } from './source.ts';
import { createStatusWriter } from './status.ts';

/** Source of specs in the cluster, and writer of their status and events. */
export interface Cluster extends SpecWatcher {
  /** Reports the status of a pair after a pass or a change. */
  report(after: PairStatus, before: PairStatus): void;
  /** Queues a status update for all resources. */
  reportAll(): void;
  /** Writes all pending statuses. */
  drain(): Promise<void>;
}

export interface ClusterOptions {
  api: KubernetesApi;
  clock: Clock;
  /** Returns a random number from 0 up to 1. */
  random: () => number;
  log: Log;
  /** Name of the pod. */
  instance: string;
  controller: Pick<Controller, 'update' | 'status'>;
  /** Returns whether this process writes status and events of the pairs of a source bucket. */
  isLeaderForBucket(bucket: string): boolean;
  signal: AbortSignal;
}

/** Watches the specs in the cluster until `close`, and writes their status and events back. */
export async function watchCluster(options: ClusterOptions): Promise<Cluster> {
  const { api, clock, random, log, controller, signal } = options;
  const recorder = createEventRecorder({ api, clock, log, instance: options.instance });
  let source: ResourceSource | undefined;
  let pairsByFile = new Map<string, PairStatus>();
  let problemsByFile = new Map<string, Problem[]>();
  const specFileNames = new Set<string>();
  const isLeaderFor = ({ spec }: CustomResource) =>
    options.isLeaderForBucket(String(valueAtPath(spec, ['source', 'bucket']) ?? ''));
  const writer = createStatusWriter({
    api,
    clock,
    random,
    log,
    recorder,
    find: (file) => source?.find(file),
    onWritten: (file, status) => source?.markStatusWritten(file, status),
    statusInputOf: (file) => {
      const pair = pairsByFile.get(file);
      return { ...(pair && { pair }), problems: problemsByFile.get(file) ?? [] };
    },
    isLeaderFor,
  });

  const reportAll = () => {
    for (const file of specFileNames) writer.enqueue(file);
  };
  source = await watchResources({
    api,
    clock,
    random,
    log,
    signal,
    onChange: async (specFiles) => {
      await controller.update(specFiles);
      const status = controller.status();
      pairsByFile = new Map(status.pairs.flatMap((pair) => (pair.from ? [[pair.from.file, pair]] : [])));
      problemsByFile = groupProblemsByFile(status.problems);
      specFileNames.clear();
      for (const { file } of specFiles.files) specFileNames.add(file);
      reportAll();
    },
    onResourcesUpdated: (files) => files.forEach(writer.enqueue),
  });
  reportAll();

  return {
    report(after, before) {
      const file = after.from?.file;
      if (file === undefined) return;
      pairsByFile.set(file, after);
      writer.enqueue(file);
      const resource = source?.find(file);
      if (!resource || !isLeaderFor(resource)) return;
      for (const event of resourceEventsOf(before, after)) void recorder.record(resource, event);
    },
    reportAll,
    drain: () => writer.drain(),
    reload: async () => source?.reload(),
    close: () => source?.close(),
  };
}

/** Groups problems by file. A problem in Defaults also belongs to the specs that use these Defaults. */
function groupProblemsByFile(problems: readonly Problem[]): Map<string, Problem[]> {
  const problemsByFile = new Map<string, Problem[]>();
  for (const problem of problems)
    for (const file of new Set([
      problem.position.file,
      problem.takenBy?.position.file ?? problem.position.file,
    ]))
      problemsByFile.set(file, [...(problemsByFile.get(file) ?? []), problem]);
  return problemsByFile;
}
