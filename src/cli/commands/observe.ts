import { kinds } from '../../kinds/index.ts';
import { reconcile } from '../../reconcile/reconcile.ts';
import { collectSnapshot } from '../../snapshot/collect.ts';
import { createRecordingClients, type RecordingClients } from '../../snapshot/record.ts';
import { safeJson } from '../../util/escape.ts';
import { writeFileAtomic } from '../../util/files.ts';
import type { Io } from '../io.ts';
import { loadSelectedSpecs } from '../load-specs.ts';
import type { ObserveOptions } from '../options.ts';
import { openSession } from '../session.ts';

/** `reconcile observe`: what exists, written down so that a plan can be made from it without credentials. */
export async function runObserve(
  paths: readonly string[],
  options: ObserveOptions,
  io: Io,
  signal: AbortSignal,
): Promise<number> {
  const specs = await loadSelectedSpecs(paths, options, io);
  let clients: RecordingClients | undefined;
  const session = await openSession(specs, options, io, signal, (sdkClients) => {
    clients = createRecordingClients(sdkClients);
    return clients;
  });
  try {
    const aws = session.aws.readOnly().withCache();
    const passOptions = {
      kinds,
      aws,
      signal,
      dryRun: true,
      prune: options.prune ?? false,
      allowedRisks: [],
      propagationTimeoutMs: 0,
    };
    const { plan } = await reconcile(specs, passOptions);
    await collectSnapshot(specs, kinds, aws);
    const text = `${safeJson(clients?.snapshot(new Date()), 1)}\n`;
    if (options.out === undefined) io.stdout.write(text);
    else await writeFileAtomic(options.out, text);
    for (const { id, why } of plan.blocked) session.log.warn({ id }, `${id} ${why}`);
    session.log.info({ reads: session.aws.calls.reads }, `observed with ${session.aws.calls.reads} reads`);
    return 0;
  } finally {
    await session.close();
  }
}
