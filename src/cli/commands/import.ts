import type { AwsClient } from '../../aws/client.ts';
import { EXIT, UserError } from '../../errors.ts';
import type { DiscoveredReplication } from '../../import/discover.ts';
import { safeJson } from '../../util/escape.ts';
import type { CommandDefinition } from '../command-model.ts';
import { addAwsOptions, collectValues, type GlobalOptions, outputOption } from '../options.ts';

interface ImportOptions extends Omit<GlobalOptions, 'allow'> {
  bucket: string[];
  all?: true;
  byArn?: true;
  region: string;
}

/** Prints specs for existing replication configurations. */
export const importCommand: CommandDefinition = {
  name: 'import',
  description: 'print specs for existing replication',
  examples: [
    ['reconcile import --bucket acme-tax > specs/tax.yaml', 'import one bucket'],
    ['reconcile import --all', 'import all buckets'],
    ['reconcile import --all -o json', 'print specs as JSON'],
  ],
  configure: (command) =>
    addAwsOptions(command)
      .addOption(outputOption())
      .option('--bucket <name>', 'import this source bucket; may be repeated', collectValues, [])
      .option('--all', 'import every bucket of the account that has a replication configuration')
      .option('--by-arn', 'name keys and roles by ARN, so that replikey never changes them')
      .option('--region <region>', 'look up buckets in this Region first', 'us-east-1'),
  async run({ io, signal }, options: ImportOptions) {
    if (!options.all && options.bucket.length === 0)
      throw new UserError(
        EXIT.usage,
        'no bucket given: use reconcile import --bucket acme-tax, or --all for all buckets',
      );
    const [
      { discoverReplication, listBucketNames },
      { importSpecs, toJsonResult, toYaml },
      { openSession },
      { verifyImport },
    ] = await Promise.all([
      import('../../import/discover.ts'),
      import('../../import/render-yaml.ts'),
      import('../session.ts'),
      import('../verify-import.ts'),
    ]);
    const noSpecs = { pairs: [], accounts: [], limits: {}, variables: [] };
    const session = await openSession(noSpecs, options, io, signal);
    try {
      const aws = withOneCache(session.aws.readOnly());
      const bucketNames = options.all
        ? await listBucketNames(aws, { region: options.region })
        : options.bucket;
      const replications: DiscoveredReplication[] = [];
      for (const bucketName of bucketNames) {
        const replication = await discoverReplication(aws, bucketName, options.region);
        if (replication) replications.push(replication);
        else if (!options.all)
          throw new UserError(EXIT.failed, `bucket ${bucketName} has no replication configuration`);
      }
      if (replications.length === 0)
        throw new UserError(
          EXIT.failed,
          `none of ${bucketNames.length} buckets has a replication configuration`,
        );
      const specs = await verifyImport(importSpecs(replications, options), aws);
      io.stdout.write(options.output === 'json' ? `${safeJson(toJsonResult(specs), 2)}\n` : toYaml(specs));
      return EXIT.ok;
    } finally {
      await session.close();
    }
  },
};

/** Returns a client that reads everything at most once, so that the plan is made from what the specs are made from. */
function withOneCache(aws: AwsClient): AwsClient {
  const client: AwsClient = {
    ...aws.withCache(),
    withCache: () => client,
    withBatching: () => client,
    readOnly: () => client,
  };
  return client;
}
