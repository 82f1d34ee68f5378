import { kinds } from '../kinds/index.ts';
import { reconcile } from '../reconcile.ts';
import { type RecordingClients, recordingClients } from '../recording/record.ts';
import { survey } from '../recording/survey.ts';
import { jsonText } from '../report/json-text.ts';
import type { Io } from './io.ts';
import type { ObserveOptions } from './options.ts';
import { openSession } from './session.ts';
import { specsFrom } from './specs.ts';
import { writeWhole } from './write-whole.ts';

/** `reconcile observe`: what exists, written down so that a plan can be made from it without credentials. */
export async function observeSpecs(
  paths: readonly string[],
  options: ObserveOptions,
  io: Io,
  signal: AbortSignal,
): Promise<number> {
  const specs = await specsFrom(paths, options, io);
  let clients: RecordingClients | undefined;
  const session = await openSession(specs, options, io, signal, (real) => {
    clients = recordingClients(real);
    return clients;
  });
  try {
    const door = session.door.readOnly().sharing();
    const reading = {
      kinds,
      door,
      signal,
      dryRun: true,
      prune: options.prune ?? false,
      allow: [],
      waitMs: 0,
    };
    const { plan } = await reconcile(specs, reading);
    await survey(specs, kinds, door);
    const text = `${jsonText(clients?.recording(new Date()), 1)}\n`;
    if (options.out === undefined) io.stdout.write(text);
    else await writeWhole(options.out, text);
    for (const { id, why } of plan.blocked) session.log.warn({ id }, `${id} ${why}`);
    session.log.info({ reads: session.door.calls.reads }, `observed with ${session.door.calls.reads} reads`);
    return 0;
  } finally {
    await session.close();
  }
}
