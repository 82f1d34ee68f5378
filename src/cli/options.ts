import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Thresholds } from '../core/guard.ts';
import { type Endpoint, RISKS, RISKS_WITH_SUBJECT } from '../core/resource.ts';
import { EXIT, UserError } from '../errors.ts';
import { DURATION_PATTERN, parseDuration } from '../spec/patterns.ts';
import type { Selection } from '../spec/select.ts';
import type { VariableInput } from '../spec/variables.ts';
import { shellQuote } from '../util/escape.ts';
import { parseQueueName } from '../util/queue-address.ts';
import type { Io } from './command-model.ts';

export interface GlobalOptions {
  /** The folder of the sandbox state. */
  sandbox?: string;
  output: 'text' | 'json';
  allow: string[];
  logLevel: string;
  debug?: true;
}

/** Options of a command that writes. */
export interface WaitOptions {
  /** In seconds. */
  wait: number;
}

/** What the ambient credentials must belong to. */
export interface AccountOptions {
  /** Account id, twelve digits. */
  account?: string;
}

/** The account that reads the organization. */
export interface OrganizationOptions {
  /** Name of an Account document. */
  organizationAccount?: string;
}

/** Limits on the changes that may be applied. */
export interface GuardOptions {
  allowUnproven?: true;
  maxChanges?: NonNullable<Thresholds['maxChanges']>;
  maxRemovals?: number;
  /** In milliseconds. */
  drain?: number;
  /** In seconds. */
  propagationWait?: number;
  canaryFirst?: true;
}

/** The sources and the selection of specs. */
export interface SpecOptions extends Selection {
  /** Values of variables: `name=value`. */
  var: string[];
}

const DEFAULT_SANDBOX_DIR = '.replikey/sandbox';

/**
 * Adds the default folder to `--sandbox`. Only `--sandbox=DIR` sets a folder: in `--sandbox specs/`, the path names
 * the specs.
 */
export const withSandboxDir = (argument: string): string =>
  argument === '--sandbox' ? `${argument}=${DEFAULT_SANDBOX_DIR}` : argument;

/** Returns the option for a folder; the reverse of `withSandboxDir`. */
export const sandboxFlag = (dir: string): string =>
  dir === DEFAULT_SANDBOX_DIR ? '--sandbox' : `--sandbox=${dir}`;

/** Returns the arguments, quoted for a shell, with which another command reads the same specs. */
export const specArgumentsOf = (
  paths: readonly string[],
  { only, selector, var: assignments }: SpecOptions,
): string[] => [
  ...paths.map(shellQuote),
  ...only.map((name) => `--only ${shellQuote(name)}`),
  ...(selector === undefined ? [] : [`--selector ${shellQuote(selector)}`]),
  ...assignments.map((assignment) => `--var ${shellQuote(assignment)}`),
];

/** Returns the option that keeps a command in the same sandbox. */
export const sandboxFlags = ({ sandbox }: Pick<GlobalOptions, 'sandbox'>): string[] =>
  sandbox === undefined ? [] : [shellQuote(sandboxFlag(sandbox))];

/** Adds the options shared by all commands that call AWS. */
export function addCommonOptions(command: Command, ...formats: string[]): Command {
  return addAwsOptions(command)
    .addOption(outputOption(...formats))
    .addOption(
      new Option(
        '--allow <risk>',
        'allow a risk by its id, or for one job, key, rule or spec by the id=subject that the plan prints; may be repeated',
      )
        .choices(Object.keys(RISKS))
        .argParser((id: string, previous: string[]) => [...previous, parseRisk(id)])
        .default([]),
    );
}

/** Adds the option of the commands that write, and read back what they wrote. */
export const addWaitOption = (command: Command): Command =>
  command.option('--wait <duration>', 'time to wait until writes are visible', parseSeconds, 60);

/** Adds the options that select specs from the given paths. */
export const addSelectionOptions = (command: Command): Command =>
  addVariableOption(command)
    .option('--only <spec>', 'use only the spec with this name; may be repeated', collectValues, [])
    .option('-l, --selector <labels>', 'use only specs with these labels: team=tax,env!=dev,tier in (gold)');

/** Adds the option shared by all commands that read specs. */
export const addVariableOption = (command: Command): Command =>
  command.option(
    '--var <name=value>',
    'set a variable that the specs declare; may be repeated',
    collectValues,
    [],
  );

export function addAwsOptions(command: Command): Command {
  return command
    .option(
      '--sandbox [dir]',
      `use an embedded sandbox instead of AWS, with its state in a folder (--sandbox=DIR; default ${DEFAULT_SANDBOX_DIR})`,
    )
    .addOption(
      new Option('--log-level <level>', 'lowest level to log')
        .choices(['debug', 'info', 'warn', 'error', 'silent'])
        .default('info'),
    )
    .addOption(
      new Option('-q, --quiet', 'show only warnings and errors beside the result: no progress')
        .conflicts('logLevel')
        .helpGroup('Output:'),
    )
    .addOption(colorOption())
    .option('--debug', 'show the stack trace of an error');
}

/** Adds the option of the commands that prove rules. */
export const addOrganizationOption = (command: Command): Command =>
  command.option(
    '--organization-account <name>',
    'read service and resource control policies with the credentials of this Account document: the management account, or a delegated administrator',
  );

/** Adds the options of a pass over specs, whether it plans or applies. */
export const addPassOptions = (command: Command, ...formats: string[]): Command =>
  addGuardOptions(
    addAccountOption(
      addOrganizationOption(addSelectionOptions(addCommonOptions(command, ...formats))).addOption(
        pruneOption(),
      ),
    ),
  ).option('--explain', 'list the API calls of each change');

/** Adds the options of a command that shows a plan. */
export const addPlanOptions = (command: Command): Command =>
  command
    .addOption(new Option('--detailed-exitcode', 'exit with 2 if the plan contains changes'))
    .option('--observed <file>', 'plan from a snapshot of `reconcile observe`, without calling AWS')
    .option('--out <file>', 'save the plan for `reconcile apply`')
    .option('--sarif <file>', 'save the findings of the proof as SARIF, with positions in the specs');

/** Adds the option that binds a run to an account. */
export const addAccountOption = (command: Command): Command =>
  command.option(
    '--account <id>',
    'account to which the ambient credentials must belong, for specs without an Account document',
    parseAccountId,
  );

/** Adds the options that change or limit what a plan applies. A dry run shows their effect. */
export const addGuardOptions = (command: Command): Command =>
  command
    .option('--allow-unproven', 'apply even if rules are not proven to replicate')
    .option(
      '--max-changes <n>',
      'refuse a plan that changes more resources than this: a number, or 20%',
      parseMaxChanges,
    )
    .option(
      '--max-removals <n>',
      'refuse a plan that removes more rules, statements and roles (default: 10)',
      parseInteger,
    )
    .option(
      '--drain <duration>',
      'keep replaced permissions this long for objects in flight, in place of policy.drain of the specs: 15m, 2h',
      parseDurationMs,
    )
    .option(
      '--propagation-wait <duration>',
      `time between a change of permissions and the rules or jobs of an existing bucket that need it (default: ${PROPAGATION_WAIT_SECONDS}; sandbox and other endpoints: 0)`,
      parseSeconds,
    )
    .option(
      '--canary-first',
      'test changed rules of existing buckets with canary objects first, for all specs (spec.rollout: canary)',
    );

/** Adds the options that approve a plan before it is applied. */
export const addApprovalOptions = (command: Command): Command =>
  addConfirmOption(command).option(
    '--plan <checksum>',
    'apply only the plan with this checksum, as printed by a dry run',
    parseChecksum,
  );

/** Adds the option that skips the question before a plan is applied. */
export const addConfirmOption = (command: Command): Command =>
  command.option('--yes', 'apply without a question on the terminal');

/** Adds the options for several processes of which one at a time writes. */
export const addLockOptions = (command: Command): Command =>
  command
    .addOption(
      new Option(
        '--leader-elect <method>',
        'allow one writer at a time, by a Lease in the cluster or a lock object in S3',
      )
        .choices(['auto', 'lease', 's3', 'none'])
        .default('auto'),
    )
    .option(
      '--lock <url>',
      'lock object outside Kubernetes: s3://bucket/key; a single pass exits with 3 if another process holds it',
      parseLockUrl,
    )
    .option(
      '--lease-duration <duration>',
      'lease duration; another process takes over after this time without a renewal',
      parseLeaseDuration,
      30,
    );

function parseLockUrl(text: string): { bucket: string; key: string } {
  const [, bucket, key] = /^s3:\/\/([^/]+)\/(.+)$/.exec(text) ?? [];
  if (bucket === undefined || key === undefined) throw new InvalidArgumentError('Expected s3://bucket/key.');
  return { bucket, key };
}

function parseLeaseDuration(text: string): number {
  const seconds = parseSeconds(text);
  if (seconds < 1) throw new InvalidArgumentError('Expected a duration, 1s to 24h.');
  return seconds;
}

/** Time until S3 uses changed permissions, in seconds. AWS documents no limit. */
const PROPAGATION_WAIT_SECONDS = 45;

/** Returns the time before rules depend on changed permissions, in milliseconds. Only S3 of AWS needs it. */
export function propagationWaitMs(
  { propagationWait }: Pick<GuardOptions, 'propagationWait'>,
  endpoint: Endpoint,
): number {
  const isAws = endpoint === 'aws' || endpoint.split(', ').includes('s3=aws');
  return (propagationWait ?? (isAws ? PROPAGATION_WAIT_SECONDS : 0)) * 1000;
}

export const collectValues = (value: string, previous: string[]): string[] => [...previous, value];

/** Collects the URLs and ARNs of queues. */
export function collectQueues(value: string, previous: string[]): string[] {
  try {
    parseQueueName(value);
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
  return [...previous, value];
}

/**
 * Rejects options of the command line.
 *
 * @throws UserError that names the first of them, and the reason
 */
export function rejectOptions(command: Command, names: readonly string[], reason: string): void {
  const option = command.options.find(
    (candidate) =>
      names.includes(candidate.long ?? '') &&
      command.getOptionValueSource(candidate.attributeName()) === 'cli',
  );
  if (option) throw new UserError(EXIT.usage, `${option.long} ${reason}`);
}

/** Gives `--quiet` its effect. An implied option would conflict with itself. */
export function applyQuiet(command: Command): void {
  if (command.opts<{ quiet?: true }>().quiet) command.setOptionValueWithSource('logLevel', 'warn', 'implied');
}

/** The option wins over NO_COLOR and FORCE_COLOR. */
export const colorOption = () =>
  new Option('--color <when>', 'use colours; auto: on a terminal')
    .choices(['auto', 'always', 'never'])
    .default('auto')
    .helpGroup('Output:');

export type ColorChoice = 'auto' | 'always' | 'never';

const COLOR_ENVIRONMENTS: Record<ColorChoice, Io['env']> = {
  auto: {},
  always: { NO_COLOR: undefined, FORCE_COLOR: '1' },
  never: { NO_COLOR: '1' },
};

/** Returns the process as a command sees it whose option `--color` has this value. */
export function withColor(io: Io, choice: ColorChoice = 'auto'): Io {
  if (choice === 'auto') return io;
  return {
    stdin: io.stdin,
    stdout: io.stdout,
    stderr: io.stderr,
    env: { ...io.env, ...COLOR_ENVIRONMENTS[choice] },
    on: (event, listener) => io.on(event, listener),
    off: (event, listener) => io.off(event, listener),
    exit: (code) => io.exit(code),
  };
}

export const outputOption = (...formats: string[]) =>
  new Option('-o, --output <format>', 'output format').choices(['text', 'json', ...formats]).default('text');

export const pruneOption = (
  description = 'delete orphaned rules, statements, policies and roles of removed specs that set deletion: Remove',
) => new Option('--prune', description);

function parseRisk(id: string): string {
  const [risk = '', subject] = id.split(/=(.*)/s);
  const isAllowable =
    Object.hasOwn(RISKS, risk) &&
    (subject === undefined || (RISKS_WITH_SUBJECT as readonly string[]).includes(risk));
  if (isAllowable) return id;
  throw new InvalidArgumentError(`Allowed choices are ${Object.keys(RISKS).join(', ')}.`);
}

function parseChecksum(text: string): string {
  if (/^[0-9a-f]{16,64}$/i.test(text)) return text;
  throw new InvalidArgumentError(
    'Expected the checksum that a dry run prints, at least 16 hexadecimal digits.',
  );
}

function parseAccountId(text: string): string {
  if (/^\d{12}$/.test(text)) return text;
  throw new InvalidArgumentError('Expected an account id: 12 digits.');
}

export function parseInteger(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('Expected a whole number, 0 or more.');
  return Number(text);
}

/** Ten million versions under each prefix. S3 lists them one page after the other, so more would take hours. */
const MAX_SAMPLE_PAGES = 10_000;

export function parsePages(text: string): number {
  const pages = parseInteger(text);
  if (pages < 1 || pages > MAX_SAMPLE_PAGES)
    throw new InvalidArgumentError(`Expected a whole number, 1 to ${MAX_SAMPLE_PAGES}.`);
  return pages;
}

function parseMaxChanges(text: string): NonNullable<Thresholds['maxChanges']> {
  const [, percent] = /^(\d{1,3})%$/.exec(text) ?? [];
  return percent === undefined ? { count: parseInteger(text) } : { percent: Number(percent) };
}

/**
 * Parses a duration: seconds without a unit (`30`, `0.5`), or a whole number with a unit (`30s`, `5m`, `1h`).
 *
 * @returns milliseconds
 */
function parseDurationUpTo(maxHours: number, text: string): number {
  const isBare = /^\d{1,6}(\.\d{1,3})?$/.test(text);
  if (!isBare && !DURATION_PATTERN.test(text))
    throw new InvalidArgumentError(
      'Expected a duration, for example 30s, 5m or 1h; without a unit, seconds.',
    );
  const durationMs = isBare ? Math.round(Number(text) * 1000) : parseDuration(text);
  if (durationMs > maxHours * 3_600_000)
    throw new InvalidArgumentError(`Expected a duration of at most ${maxHours}h.`);
  return durationMs;
}

/** Parses a duration of at most a week, as in specs. Returns milliseconds. */
export const parseDurationMs = (text: string): number => parseDurationUpTo(168, text);

/** Parses a duration of at most a day. Returns seconds. */
export const parseSeconds = (text: string): number => parseDurationUpTo(24, text) / 1000;

export function parsePort(text: string): number {
  const value = Number(text);
  if (!(Number.isInteger(value) && value >= 0 && value <= 65_535))
    throw new InvalidArgumentError('Expected a port, 0 to 65535.');
  return value;
}

/** Returns the sources of values for variables. */
export const variableInputOf = (
  options: Pick<SpecOptions, 'var'>,
  { env }: Pick<Io, 'env'>,
): VariableInput => ({
  assignments: options.var,
  environment: env,
});
