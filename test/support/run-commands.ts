import * as iam from '@aws-sdk/client-iam';
import * as kms from '@aws-sdk/client-kms';
import * as s3 from '@aws-sdk/client-s3';
import type { Aws, Command, Location } from '../../src/core/resource.ts';
import { type Locations, locationOfArn } from '../../src/facts/locations.ts';

const SDK = { s3api: s3, iam, kms } as unknown as Record<
  string,
  Record<string, new (input: object) => Command<unknown>>
>;

/**
 * Runs commands of the AWS CLI as the doctor prints them, without a shell: words, single quotes and `&&`, but no
 * substitutions. test/cli/printed-commands.test.ts runs them with a shell and the AWS CLI.
 */
export async function runCommands(
  aws: Aws,
  locations: Locations,
  roleLocation: Location,
  commands: readonly string[],
): Promise<void> {
  for (const command of commands.flatMap((text) => text.split(' &&\n'))) {
    const [program, service = '', operation = '', ...options] = wordsOf(command);
    if (program !== 'aws') throw new Error(`not a command of the AWS CLI: ${command}`);
    const { Region: region, ...input } = inputOf(options);
    const CommandClass = SDK[service]?.[`${toPascalCase(operation)}Command`];
    if (!CommandClass) throw new Error(`the SDK has no ${service}:${operation}`);
    const location = locationOf(input, locations) ?? roleLocation;
    await aws.send(
      { ...location, ...(region !== undefined && { region: String(region) }) },
      new CommandClass(input),
    );
  }
}

function locationOf({ Bucket, KeyId }: Record<string, unknown>, locations: Locations): Location | undefined {
  if (typeof Bucket === 'string') return locations.buckets.get(Bucket);
  return typeof KeyId === 'string' ? locationOfArn(KeyId, locations, locations.region) : undefined;
}

/** Splits a command into words as a shell does. Single quotes are the only quotes. */
const wordsOf = (command: string): string[] =>
  [...command.matchAll(/(?:'[^']*'|[^\s'])+/g)].map(([word]) => word.replaceAll("'", ''));

function inputOf(words: readonly string[]): Record<string, unknown> {
  const input: Record<string, unknown> = {};
  for (let index = 0; index < words.length; index++) {
    const name = toPascalCase((words[index] ?? '').replace(/^--/, ''));
    const value = words[index + 1];
    if (value === undefined || value.startsWith('--')) input[name] = true;
    else {
      // A policy is a string in the SDK; a configuration is a structure.
      const isPolicy = /Policy(Document)?$/.test(name);
      input[name] = /^[{[]/.test(value) && !isPolicy ? JSON.parse(value) : value;
      index += 1;
    }
  }
  return input;
}

const toPascalCase = (name: string): string =>
  name.replace(/(^|-)(\w)/g, (_, _dash, letter: string) => letter.toUpperCase());
