import type { Clock } from '../controller/clock.ts';
import type { Controller } from '../controller/controller.ts';
import type { PairStatus } from '../controller/status.ts';
import type { Watching } from '../controller/watch.ts';
import type { Log } from '../log.ts';
import { valueAt } from '../spec/path.ts';
import type { Problem } from '../spec/types.ts';
import type { KubernetesApi } from './api.ts';
import { noticesOf } from './notices.ts';
import { createRecorder } from './recorder.ts';
import type { Resource } from './resources.ts';
import { type ResourceSource, watchResources } from './source.ts';
import { createStatusWriter } from './status-writer.ts';

/** The cluster, as where specs are declared and where it is told how they fare. */
export interface Cluster extends Watching {
  /** A pair fares otherwise, or was looked at again. */
  tell(after: PairStatus, before: PairStatus): void;
  /** Look at the status of all resources. */
  tellAll(): void;
  /** Write what is known and not written yet. */
  drain(): Promise<void>;
}

export interface ClusterOptions {
  api: KubernetesApi;
  clock: Clock;
  /** From 0 up to 1. */
  chance: () => number;
  log: Log;
  /** The pod. */
  instance: string;
  controller: Pick<Controller, 'update' | 'status'>;
  /** Whether this process is the one that tells of the pairs of a source bucket. */
  leads(bucket: string): boolean;
  signal: AbortSignal;
}

/** Follow what is declared in the cluster, until closed; and write back what becomes of it. */
export async function followCluster(options: ClusterOptions): Promise<Cluster> {
  const { api, clock, chance, log, controller, signal } = options;
  const recorder = createRecorder({ api, clock, log, instance: options.instance });
  let source: ResourceSource | undefined;
  let pairs = new Map<string, PairStatus>();
  let problems = new Map<string, Problem[]>();
  const all = new Set<string>();
  const mayWrite = ({ spec }: Resource) => options.leads(String(valueAt(spec, ['source', 'bucket']) ?? ''));
  const writer = createStatusWriter({
    api,
    clock,
    chance,
    log,
    recorder,
    find: (file) => source?.find(file),
    written: (file, status) => source?.written(file, status),
    known: (file) => {
      const pair = pairs.get(file);
      return { ...(pair && { pair }), problems: problems.get(file) ?? [] };
    },
    mayWrite,
  });

  const tellAll = () => {
    for (const file of all) writer.look(file);
  };
  source = await watchResources({
    api,
    clock,
    chance,
    log,
    signal,
    onChange: (written) => {
      controller.update(written);
      const status = controller.status();
      pairs = new Map(status.pairs.flatMap((pair) => (pair.from ? [[pair.from.file, pair]] : [])));
      problems = byFile(status.problems);
      all.clear();
      for (const { file } of written.files) all.add(file);
      tellAll();
    },
    onTouch: (files) => files.forEach(writer.look),
  });
  tellAll();

  return {
    tell(after, before) {
      const file = after.from?.file;
      if (file === undefined) return;
      pairs.set(file, after);
      writer.look(file);
      const resource = source?.find(file);
      if (!resource || !mayWrite(resource)) return;
      for (const notice of noticesOf(before, after)) void recorder.record(resource, notice);
    },
    tellAll,
    drain: () => writer.drain(),
    reload: async () => source?.reload(),
    close: () => source?.close(),
  };
}

/** What is wrong with Defaults is wrong with those that take them, too. */
function byFile(problems: readonly Problem[]): Map<string, Problem[]> {
  const found = new Map<string, Problem[]>();
  for (const problem of problems)
    for (const file of new Set([
      problem.position.file,
      problem.takenBy?.position.file ?? problem.position.file,
    ]))
      found.set(file, [...(found.get(file) ?? []), problem]);
  return found;
}
