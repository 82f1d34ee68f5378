import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Thresholds } from '../core/guard.ts';
import { RISKS } from '../core/risks.ts';
import type { Selection } from '../spec/select.ts';

export interface GlobalOptions {
  /** The folder of its state. */
  sandbox?: string;
  output: 'text' | 'json';
  allow: string[];
  wait: number;
  logLevel: string;
  debug?: true;
}

/** How much of a plan may be applied. */
export interface GuardOptions {
  allowUnproven?: true;
  maxChanges?: NonNullable<Thresholds['maxChanges']>;
  maxRemovals?: number;
}

/** Where specs come from, and which of them. */
export interface SpecOptions extends Selection {
  /** Values of variables: `name=value`. */
  var: string[];
}

export interface ReconcileOptions extends SpecOptions, GuardOptions, Omit<GlobalOptions, 'output'> {
  output: 'text' | 'json' | 'ndjson' | 'markdown';
  once?: true;
  dryRun?: true;
  detailedExitcode?: true;
  prune?: true;
  /** Name the API calls. */
  explain?: true;
  /** Checksum of the one plan that may be applied. */
  plan?: string;
  /** A file that `reconcile observe` wrote, in place of AWS. */
  observed?: string;
  /** Where the plan is saved. */
  out?: string;
  /** Where the findings of the proof are written. */
  sarif?: string;
}

/** Of `reconcile` itself: one pass, or the loop. */
export interface RunOptions extends ReconcileOptions {
  source: 'files' | 'kubernetes';
  /** Seconds. */
  interval: number;
  verifyInterval?: number;
  grace: number;
  workers: number;
  listen?: { host: string; port: number };
  leaderElect: 'auto' | 'lease' | 's3' | 'none';
  lock?: { bucket: string; key: string };
  /** Seconds. */
  leaseDuration: number;
  planOnly?: true;
  shard?: { index: number | 'auto'; of: number };
}

export interface ApplyCommandOptions extends GuardOptions, Omit<GlobalOptions, 'output'> {
  output: 'text' | 'json' | 'ndjson';
}

export interface ObserveOptions extends SpecOptions, Pick<GlobalOptions, 'sandbox' | 'logLevel' | 'debug'> {
  out?: string;
  prune?: true;
}

export interface ValidateOptions extends Pick<SpecOptions, 'var'>, Pick<GlobalOptions, 'output'> {}

export interface PermissionsOptions extends SpecOptions {
  planOnly?: true;
  verify?: true;
  whoChanged?: true;
}

export interface VerifyOptions extends SpecOptions, GlobalOptions {
  timeout: number;
}

export interface ImportOptions extends GlobalOptions {
  bucket: string[];
  all?: true;
  region: string;
}

export interface DoctorOptions extends SpecOptions, Pick<GlobalOptions, 'sandbox' | 'logLevel' | 'debug'> {
  output: 'text' | 'json' | 'sarif';
  bucket: string[];
  object?: string;
  observed?: string;
  sample: number;
  region?: string;
  verbose?: true;
  allowUnproven?: true;
}

export interface InitOptions {
  /** Source, then destination. */
  bucket: string[];
  region: string[];
  key: string[];
  prefix?: string;
  name?: string;
}

export interface SandboxCommandOptions {
  host: string;
  port: number;
  state?: string;
}

const DEFAULT_SANDBOX_DIR = '.replikey/sandbox';

/** A folder is given as --sandbox=DIR alone: `--sandbox specs/` means the sandbox, and then the specs. */
export const withSandboxDir = (argument: string): string =>
  argument === '--sandbox' ? `${argument}=${DEFAULT_SANDBOX_DIR}` : argument;

/** The same the other way round: the option as it is said. */
export const sandboxFlag = (dir: string): string =>
  dir === DEFAULT_SANDBOX_DIR ? '--sandbox' : `--sandbox=${dir}`;

/** The options that all commands share which talk to AWS. */
export function addCommonOptions(command: Command, ...formats: string[]): Command {
  return addAwsOptions(command)
    .addOption(outputOption(...formats))
    .addOption(
      new Option('--allow <risk>', 'allow a risk by its id; may be repeated')
        .choices(Object.keys(RISKS))
        .argParser((id: string, previous: string[]) => [...previous, parseRisk(id)])
        .default([]),
    )
    .option('--wait <seconds>', 'how long to wait for what was written to be seen', parseSeconds, 60);
}

/** The options that choose among the specs that the paths name. */
export const addSelectionOptions = (command: Command): Command =>
  addVariableOption(command)
    .option('--only <spec>', 'only the spec of this name; may be repeated', collectValues, [])
    .option('-l, --selector <labels>', 'only specs with these labels: team=tax,env!=dev,tier in (gold)');

/** The option of all commands that read specs. */
export const addVariableOption = (command: Command): Command =>
  command.option(
    '--var <name=value>',
    'the value of a variable that the specs declare; may be repeated',
    collectValues,
    [],
  );

export function addAwsOptions(command: Command): Command {
  return command
    .option(
      '--sandbox [dir]',
      `use an embedded sandbox instead of AWS, its state kept in a folder (--sandbox=DIR; default ${DEFAULT_SANDBOX_DIR})`,
    )
    .addOption(
      new Option('--log-level <level>', 'what to log')
        .choices(['debug', 'info', 'warn', 'error', 'silent'])
        .default('info'),
    )
    .option('--debug', 'show where in the program an error arose');
}

export const addDoctorOptions = (command: Command): Command =>
  addAwsOptions(command)
    .summary('say whether each rule replicates, and if not why')
    .description(
      'say of every rule that exists whether it will replicate, and if not why; nothing is changed',
    )
    .addOption(outputOption('sarif'))
    .option('--bucket <name>', 'a source bucket, whoever set it up; may be repeated', collectValues, [])
    .option('--object <key>', 'explain one object of the bucket')
    .option(
      '--observed <file>',
      'look at exported policies and configurations instead of AWS: a file, or a folder',
    )
    .option('--sample <n>', 'how many recent objects of each bucket to look at', parseInteger, 20)
    .option('--region <region>', 'where to ask first for a bucket')
    .option('--allow-unproven', 'let what cannot be read pass')
    .option('-v, --verbose', 'show every finding and every request');

/** The options of a plan that is looked at. */
export const addPlanOptions = (command: Command): Command =>
  command
    .addOption(pruneOption())
    .addOption(new Option('--detailed-exitcode', 'exit with 2 when the plan holds changes'))
    .option('--explain', 'name the API calls that make each change')
    .option('--observed <file>', 'plan from what `reconcile observe` wrote, without asking AWS')
    .option('--out <file>', 'save the plan, for `reconcile apply`')
    .option('--sarif <file>', 'save what the proof finds, as SARIF, on the lines of the specs');

/** The options of a plan that is applied. */
export const addGuardOptions = (command: Command): Command =>
  command
    .option('--allow-unproven', 'apply also what would not replicate')
    .option(
      '--max-changes <n>',
      'refuse a plan that changes more resources: a number, or 20%',
      parseMaxChanges,
    )
    .option(
      '--max-removals <n>',
      'refuse a plan that takes more rules, statements and roles away (default: 10)',
      parseInteger,
    );

/** The options of the loop. */
export const addControllerOptions = (command: Command): Command =>
  command
    .addOption(
      new Option('--source <where>', 'read the specs from files, or from custom resources of the cluster')
        .choices(['files', 'kubernetes'])
        .default('files'),
    )
    .option('--interval <seconds>', 'look at each pair this often', parseSeconds, 300)
    .option('--verify-interval <seconds>', 'write canaries this often; absent: none', parseSeconds)
    .option('--workers <n>', 'how many pairs to work on at a time', parseInteger, 10)
    .option(
      '--listen <address>',
      'serve health, metrics and a status page: 8080, or 0.0.0.0:8080',
      parseListenAddress,
    )
    .option('--grace <seconds>', 'how long to finish what is in flight when told to stop', parseSeconds, 25)
    .addOption(
      new Option(
        '--leader-elect <how>',
        'let one of several write: by a Lease in a cluster, or an object in S3',
      )
        .choices(['auto', 'lease', 's3', 'none'])
        .default('auto'),
    )
    .option('--lock <url>', 'the object that is the lock outside Kubernetes: s3://bucket/key', parseLockUrl)
    .option('--lease-duration <seconds>', 'after this long without a sign another may lead', parseSeconds, 30)
    .option(
      '--shard <i/n>',
      'look after the pairs of one part of n: 1/3, or auto/3 in a StatefulSet',
      parseShard,
    )
    .option('--plan-only', 'never change anything, and say what waits');

export const collectValues = (value: string, previous: string[]): string[] => [...previous, value];

export const outputOption = (...formats: string[]) =>
  new Option('-o, --output <form>', 'form of the result')
    .choices(['text', 'json', ...formats])
    .default('text');

export const pruneOption = () =>
  new Option('--prune', 'take away what is left of specs that are not given any more (deletion: Remove)');

function parseRisk(id: string): string {
  if (Object.hasOwn(RISKS, id)) return id;
  throw new InvalidArgumentError(`Allowed choices are ${Object.keys(RISKS).join(', ')}.`);
}

export function parseChecksum(text: string): string {
  if (/^[0-9a-f]{16,64}$/i.test(text)) return text;
  throw new InvalidArgumentError('The checksum of a plan has at least 16 digits, as a dry run prints it.');
}

function parseInteger(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('Expected a whole number.');
  return Number(text);
}

function parseMaxChanges(text: string): NonNullable<Thresholds['maxChanges']> {
  const [, percent] = /^(\d{1,3})%$/.exec(text) ?? [];
  return percent === undefined ? { count: parseInteger(text) } : { percent: Number(percent) };
}

export function parseSeconds(text: string): number {
  const value = Number(text);
  if (!(value >= 0 && value <= 86_400))
    throw new InvalidArgumentError('Expected a number of seconds, 0 to 86400.');
  return value;
}

function parseListenAddress(text: string): { host: string; port: number } {
  const [, host = '127.0.0.1', portText = ''] = /^(?:\[?([^\]]+)\]?:)?(\d+)$/.exec(text) ?? [];
  if (portText === '')
    throw new InvalidArgumentError('Expected a port, or an address and a port, such as 0.0.0.0:8080.');
  return { host, port: parsePort(portText) };
}

function parseShard(text: string): { index: number | 'auto'; of: number } {
  const [, index = '', of = ''] = /^(\d{1,3}|auto)\/(\d{1,3})$/.exec(text) ?? [];
  const shardCount = Number(of);
  const isWithin = index === 'auto' || (Number(index) >= 1 && Number(index) <= shardCount);
  if (!(shardCount >= 1) || !isWithin)
    throw new InvalidArgumentError('Expected a part, from 1, and of how many, such as 1/3.');
  return { index: index === 'auto' ? index : Number(index), of: shardCount };
}

function parseLockUrl(text: string): { bucket: string; key: string } {
  const [, bucket, key] = /^s3:\/\/([^/]+)\/(.+)$/.exec(text) ?? [];
  if (bucket === undefined || key === undefined) throw new InvalidArgumentError('Expected s3://bucket/key.');
  return { bucket, key };
}

export function parsePort(text: string): number {
  const value = Number(text);
  if (!(Number.isInteger(value) && value >= 0 && value <= 65_535))
    throw new InvalidArgumentError('Expected a port, 0 to 65535.');
  return value;
}
