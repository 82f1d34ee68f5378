import type { Account } from '../spec/types.ts';
import { isoSeconds } from '../util/clock.ts';
import { escapeUnprintable, shellQuote } from '../util/escape.ts';
import { GUARDED_OPERATIONS, type GuardedOperation } from './operations.ts';
import type { NewKey, RecordedCall, RecordedStep, Recording } from './record.ts';
import { SHELL_FUNCTIONS } from './shell-functions.ts';

export interface ScriptHeader {
  /** Checksum of the plan. */
  digest: string;
  /** Account ids, twelve digits, by the names of their Account documents; `''` for the ambient credentials. */
  accountIds: Readonly<Record<string, string>>;
  accounts: readonly Account[];
  /** Describes what the plan is for: `AWS, account 111122223333`. */
  target: string;
  /** URL of the only endpoint that the script calls; absent: AWS. */
  endpoint?: string;
  madeAt: Date;
  /** The script refuses to start after it: until then, permissions that it replaces stay for objects in flight. */
  validUntil: Date;
  /** Lines about the proof of the rules, and the notes of the plan. */
  remarks: readonly string[];
  /** Seconds between changed permissions and the rules that depend on them. */
  propagationWaitSeconds: number;
}

/** Renders the calls of a plan as a POSIX shell script. Pure. */
export function renderScript(recording: Recording, header: ScriptHeader): string {
  const { steps, narrowing } = recording;
  return [
    headerText(recording, header),
    SHELL_FUNCTIONS,
    phaseChoice(recording, header),
    operationFunctions([...steps, ...narrowing]),
    accountsText(recording, header),
    phaseText('apply_changes', steps, recording.newKeys, header),
    narrowing.length === 0 ? '' : narrowText(recording, header),
    endText(recording),
  ]
    .filter(Boolean)
    .join('\n');
}

function headerText({ steps, narrowing, omitted }: Recording, header: ScriptHeader): string {
  const { digest, target, madeAt, validUntil, remarks } = header;
  const calls = steps.flatMap((step) => step.calls).length;
  return [
    '#!/bin/sh',
    comment(
      `Applies plan ${digest.slice(0, 16)} of replikey to ${target}: ${steps.length} steps, ${calls} calls that write.`,
      `Made at ${isoSeconds(madeAt)}, and valid until ${isoSeconds(validUntil)}.`,
      ...remarks,
      '',
      'It needs a POSIX shell, the AWS CLI and jq. A second run changes nothing. It stops at a setting that has',
      'changed since the plan was made, and changes nothing there.',
      '',
      'Usage:',
      '  sh SCRIPT            apply the changes',
      ...(narrowing.length === 0
        ? []
        : [
            `  sh SCRIPT narrow     remove replaced permissions, after ${isoSeconds(lastExpiryOf(narrowing))}; a later run of replikey`,
            '                       does the same',
          ]),
      ...(omitted.length === 0 ? [] : ['', 'Not in this script:']),
      ...omitted.map(({ id, reason }) => `  ${id}: ${reason}`),
    ),
    'set -eu',
    'export AWS_PAGER=',
    '# The script calls the endpoint that the plan was made for, and no other.',
    'export AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true',
    'unset $(env | sed -n "s/^\\(AWS_ENDPOINT_URL[A-Z0-9_]*\\)=.*/\\1/p") AWS_ENDPOINT_URL',
    'umask 077',
    'dir=$(mktemp -d)',
    `trap 'rm -rf "$dir"' EXIT`,
    "trap 'exit 130' INT TERM",
    'id=start changed=0 unchanged=0',
    '',
  ].join('\n');
}

/** Returns a function for each operation that the script uses, with the read that guards it. */
function operationFunctions(steps: readonly RecordedStep[]): string {
  const names = new Set(steps.flatMap(({ calls }) => calls.map(({ operation }) => operation)));
  return [...names]
    .sort()
    .flatMap((name) => {
      const operation = GUARDED_OPERATIONS.get(name);
      return operation ? [operationFunction(operation)] : [];
    })
    .join('');
}

function operationFunction(operation: GuardedOperation): string {
  const { write, read, key, desired, actual, comparison, absentErrors = '', addition = '' } = operation;
  const words = [read, key, desired, actual || '.', comparison, absentErrors, addition].map(quote);
  return `${functionName(write)}() {\n  change ${write} ${words.join(' ')}\n}\n`;
}

const functionName = (write: string): string => (write.split(' ')[1] ?? '').replaceAll('-', '_');

/** Returns the function that calls the AWS CLI for an account, and the check of each account before the first write. */
function accountsText(
  { steps, narrowing }: Recording,
  { accountIds, accounts, endpoint }: ScriptHeader,
): string {
  const used = new Set([...steps, ...narrowing].map(({ account }) => account));
  const cli = endpoint === undefined ? 'aws' : `aws --endpoint-url ${shellQuote(endpoint)}`;
  // STS answers in each Region.
  const region = `--region ${steps[0]?.region ?? 'us-east-1'}`;
  const owners = Object.entries(accountIds).filter(([, id]) => used.has(id));
  const cases = owners.map(([name, id]) => {
    const account = accounts.find((declared) => declared.name === name);
    return `    ${id}) ${accountCommand(cli, id, account)} ;;`;
  });
  const logins = owners.flatMap(([name, id]) => {
    const { assumeRole, profile } = accounts.find((declared) => declared.name === name) ?? {};
    if (!assumeRole) return [];
    const { arn, externalId, sessionName = 'replikey' } = assumeRole;
    const options = [
      ...(profile === undefined ? [] : ['--profile', shellQuote(profile)]),
      `sts assume-role ${region}`,
      `--role-arn ${shellQuote(arn)}`,
      `--role-session-name ${shellQuote(sessionName)}`,
      ...(externalId === undefined ? [] : [`--external-id ${shellQuote(externalId)}`]),
      "--query 'Credentials.[AccessKeyId, SecretAccessKey, SessionToken]' --output text",
    ];
    return [`session_${id}=$(${cli} ${options.join(' ')})`];
  });
  return [
    '',
    '# aws_in ACCOUNT WORD...: calls the AWS CLI with the credentials of an account.',
    'aws_in() {',
    '  target=$1',
    '  shift',
    '  case $target in',
    ...cases,
    '  esac',
    '}',
    ...(logins.length === 0 ? [] : [SESSION_FUNCTION, ...logins]),
    `for account in ${owners.map(([, id]) => id).join(' ')}; do`,
    `  actual=$(aws_in "$account" sts get-caller-identity ${region} --query Account --output text)`,
    '  [ "$actual" = "$account" ] || fail "the credentials belong to account $actual, not to $account"',
    'done',
    '',
  ].join('\n');
}

function accountCommand(cli: string, id: string, account: Account | undefined): string {
  if (account?.assumeRole) return `in_session "$session_${id}" ${cli} "$@"`;
  return account?.profile === undefined
    ? `${cli} "$@"`
    : `${cli} --profile ${shellQuote(account.profile)} "$@"`;
}

const SESSION_FUNCTION = `
# in_session SESSION COMMAND...: runs a command in the session of a role.
in_session() {
  (
    read -r AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN <<END
$1
END
    shift
    export AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN
    unset AWS_PROFILE
    "$@"
  )
}`;

function phaseChoice({ narrowing }: Recording, { validUntil }: ScriptHeader): string {
  const phases = ['apply', ...(narrowing.length === 0 ? [] : ['narrow'])];
  return [
    'phase=apply',
    '[ $# -eq 0 ] || phase=$1',
    'case $phase in',
    `  ${phases.join(' | ')}) ;;`,
    ...(narrowing.length > 0
      ? []
      : [`  narrow) printf 'the plan replaces no permissions: nothing to narrow\\n'; exit ;;`]),
    `  *) printf 'unknown phase %s: use ${phases.join(' or ')}\\n' "$phase" >&2; exit 2 ;;`,
    'esac',
    'now=$(date -u +%Y%m%d%H%M%S)',
    `if [ "$phase" = apply ] && [ "$now" -gt ${digits(validUntil)} ]; then`,
    `  fail 'the script was valid until ${isoSeconds(validUntil)}; plan again'`,
    'fi',
    '',
  ].join('\n');
}

function phaseText(
  name: string,
  steps: readonly RecordedStep[],
  newKeys: readonly NewKey[],
  { propagationWaitSeconds }: ScriptHeader,
): string {
  const body = steps.flatMap((step) => [
    '',
    comment(`${step.what} ${step.id}`, ...step.why.map((reason) => `  ${reason}`)).trimEnd(),
    `step ${quote(step.id)} ${step.account} ${step.region}`,
    ...(step.transientErrors.length === 0
      ? []
      : [`retry_on=${quote(step.transientErrors.map(toPattern).join('|'))}`]),
    ...(step.waitsForPermissions && propagationWaitSeconds > 0 ? [`wait=${propagationWaitSeconds}`] : []),
    ...step.calls.flatMap((call) => callText(step, call, newKeys)),
  ]);
  return [`${name}() {`, ...body, '}', ''].join('\n');
}

function callText({ id }: RecordedStep, call: RecordedCall, newKeys: readonly NewKey[]): string[] {
  const { operation, input, before, later } = call;
  const key = operation === 'CreateKey' && newKeys.find((newKey) => newKey.id === id);
  const write = GUARDED_OPERATIONS.get(operation)?.write;
  const invocation = key
    ? `create_key ${key.variable} ${quote(key.alias)}`
    : write === undefined
      ? functionName(`x ${operation.replace(/(?<=[a-z])(?=[A-Z])/g, '-').toLowerCase()}`)
      : functionName(write);
  return [
    ...documentText('input', input, newKeys),
    ...(before === undefined ? [] : documentText('before', before, newKeys)),
    ...(later === undefined ? [] : documentText('later', later, newKeys)),
    invocation,
  ];
}

/** Returns a here-document. Only one that contains the ARN of a new key has variables of the shell. */
function documentText(name: string, document: unknown, newKeys: readonly NewKey[]): string[] {
  const json = JSON.stringify(document, null, 2);
  const keys = newKeys.filter(({ placeholder }) => json.includes(placeholder));
  if (keys.length === 0) return [`${name} <<'END'`, json, 'END'];
  const escaped = json.replace(/[\\$`]/g, '\\$&');
  const text = keys.reduce(
    (current, { placeholder, variable }) => current.replaceAll(placeholder, `$${variable}`),
    escaped,
  );
  return [`${name} <<END`, text, 'END'];
}

function narrowText({ narrowing, newKeys }: Recording, header: ScriptHeader): string {
  const documents = JSON.stringify(narrowing);
  const lookUps = newKeys
    .filter(({ placeholder }) => documents.includes(placeholder))
    .flatMap(({ id, alias, variable, account, region }) => [
      `  step ${quote(id)} ${account} ${region}`,
      `  ${variable}=$(key_of_alias ${quote(alias)})`,
    ]);
  const expiry = lastExpiryOf(narrowing);
  return [
    'narrow_permissions() {',
    `  [ "$now" -gt ${digits(expiry)} ] || fail 'objects in flight may need the replaced permissions until ${isoSeconds(expiry)}; run it then'`,
    ...lookUps,
    phaseText('narrow_changes', narrowing, newKeys, header).split('\n').slice(1, -2).join('\n'),
    '}',
    '',
  ].join('\n');
}

/** Returns the last expiry of the permissions that a script retains. Their Sids contain it, in UTC to the minute. */
function lastExpiryOf(narrowing: readonly RecordedStep[]): Date {
  const times = [...JSON.stringify(narrowing).matchAll(/ReplikeyUntil(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)x/g)].map(
    ([, year, month, day, hour, minute]) =>
      Date.UTC(Number(year), Number(month) - 1, Number(day), Number(hour), Number(minute)),
  );
  return new Date(Math.max(...times));
}

function endText({ narrowing }: Recording): string {
  return [
    'case $phase in',
    '  apply) apply_changes ;;',
    ...(narrowing.length === 0 ? [] : ['  narrow) narrow_permissions ;;']),
    'esac',
    `printf '%s changed, %s unchanged\\n' "$changed" "$unchanged"`,
    '',
  ].join('\n');
}

/** Returns lines of comment. A name from a spec cannot end a comment. */
const comment = (...lines: readonly string[]): string =>
  `${lines.map((line) => `# ${escapeUnprintable(line)}`.trimEnd()).join('\n')}\n`;

/** Returns the pattern of an error as the AWS CLI prints it: the code in parentheses, then the message. */
const toPattern = ({ code, message }: RecordedStep['transientErrors'][number]): string =>
  `\\(${code}(Exception)?\\)${message === undefined ? '' : `.*${message}`}`;

const quote = (word: string): string => `'${word.replaceAll("'", `'\\''`)}'`;

const digits = (time: Date): string => time.toISOString().replace(/\D/g, '').slice(0, 14);
