import manifest from '../../../package.json' with { type: 'json' };
import { EXIT } from '../../errors.ts';
import { safeJson } from '../../util/escape.ts';
import type { CommandDefinition } from '../command-model.ts';
import { outputOption } from '../options.ts';

/** Prints what a bug report needs, without AWS, credentials or network. */
export const versionCommand: CommandDefinition = {
  name: 'version',
  description: 'print the version; with -o json, also those of Node and of the AWS SDK',
  examples: [['reconcile version -o json', 'for a bug report']],
  configure: (command) => command.addOption(outputOption()),
  async run({ io }, options: { output: 'text' | 'json' }) {
    io.stdout.write(
      options.output === 'text' ? `${manifest.version}\n` : `${safeJson(versionDocument(), 2)}\n`,
    );
    return EXIT.ok;
  },
};

const versionDocument = () => ({
  format: 1,
  version: manifest.version,
  node: process.versions.node,
  platform: `${process.platform}-${process.arch}`,
  awsSdk: Object.fromEntries(
    Object.entries(manifest.devDependencies).flatMap(([name, version]) =>
      name.startsWith('@aws-sdk/client-') ? [[name.slice('@aws-sdk/client-'.length), version]] : [],
    ),
  ),
});
