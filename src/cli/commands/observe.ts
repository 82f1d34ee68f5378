import { EXIT } from '../../errors.ts';
import type { RecordingClients } from '../../snapshot/record.ts';
import { safeJson } from '../../util/escape.ts';
import { writeFileAtomic } from '../../util/files.ts';
import type { CommandDefinition } from '../command-model.ts';
import {
  addAwsOptions,
  addOrganizationOption,
  addSelectionOptions,
  type GlobalOptions,
  type OrganizationOptions,
  pruneOption,
  type SpecOptions,
} from '../options.ts';

interface ObserveOptions
  extends SpecOptions,
    OrganizationOptions,
    Pick<GlobalOptions, 'sandbox' | 'logLevel' | 'debug'> {
  out?: string;
  prune?: true;
}

/** Records AWS responses, so that a plan can be made from them without credentials. */
export const observeCommand: CommandDefinition = {
  name: 'observe',
  summary: 'save a snapshot of the actual state',
  description: 'save a snapshot of the actual state, for `plan --observed` without credentials',
  examples: [['reconcile observe specs/ --out observed.json', 'run this with credentials']],
  configure: (command) =>
    addOrganizationOption(addAwsOptions(addSelectionOptions(command.argument('<paths...>', 'specs'))))
      .addOption(pruneOption('include the orphans of removed specs, for `plan --prune`'))
      .option('--out <file>', 'file to write (default: standard output)'),
  async run({ io, signal }, paths: string[], options: ObserveOptions) {
    const [
      { kinds },
      { reconcile },
      { organizationReaderOf },
      { collectSnapshot },
      { createRecordingClients },
      { loadSelectedSpecs, openSession },
    ] = await Promise.all([
      import('../../kinds/index.ts'),
      import('../../reconcile/reconcile.ts'),
      import('../../facts/organization.ts'),
      import('../../snapshot/collect.ts'),
      import('../../snapshot/record.ts'),
      import('../session.ts'),
    ]);
    const specs = await loadSelectedSpecs(paths, options, io, signal);
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
        organizationAccount: options.organizationAccount,
      };
      const { plan } = await reconcile(specs, passOptions);
      const organization = organizationReaderOf(aws, specs, options.organizationAccount);
      await collectSnapshot(specs, kinds, aws, organization);
      const text = `${safeJson(clients?.snapshot(new Date()), 1)}\n`;
      if (options.out === undefined) io.stdout.write(text);
      else await writeFileAtomic(options.out, text);
      for (const { id, why } of plan.blocked) session.log.warn({ id }, `${id} ${why}`);
      session.log.info(
        { reads: session.aws.calls.reads },
        `snapshot complete: ${session.aws.calls.reads} reads`,
      );
      return EXIT.ok;
    } finally {
      await session.close();
    }
  },
};
