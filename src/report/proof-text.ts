import type { ObjectStatusReport } from '../doctor/object-status.ts';
import type { RuleMetricsReport } from '../doctor/rule-metrics.ts';
import type { SampleCoverage } from '../facts/object-sample.ts';
import type { Finding, Fix } from '../proof/findings.ts';
import type { FixCommand } from '../proof/fix-commands.ts';
import type { ObjectProof } from '../proof/prove.ts';
import type { RuleProof, RuleVerdict } from '../proof/types.ts';
import { escapeUnprintable } from '../util/escape.ts';
import { type Paint, wrapText } from './style.ts';

/** Returns one line for a proven rule; otherwise the verdict and the first cause, or everything with `verbose`. */
export function proofText(
  proof: RuleVerdict & Partial<RuleProof>,
  verbose: boolean,
  paint: Paint,
  width = Number.POSITIVE_INFINITY,
): string {
  const { bucket, destination, rule, verdict, findings, answers = [] } = proof;
  const name = escapeUnprintable(rule === '' ? bucket : `${rule}  ${bucket} → ${destination}`);
  const allowed = answers.filter(({ result }) => result === 'allowed').length;
  const verdicts = {
    proven: `${paint.green('✓')} ${name}  ${paint.dim(`proven: all ${allowed} requests are allowed`)}`,
    broken: `${paint.red('✗')} ${name}  ${paint.red('does not replicate')}`,
    unknown: `${paint.yellow('?')} ${name}  ${paint.yellow('is not proven')}`,
    off: `${paint.dim('-')} ${name}  ${paint.dim('is disabled')}`,
    blocked: `${paint.red('!')} ${name}  ${paint.red('is blocked')}`,
  };
  const relevantFindings = findings.filter(({ severity }) => severity !== 'info' || verbose);
  const [first, ...more] = verdict === 'off' ? [] : relevantFindings;
  const moreLine =
    more.length > 0 && !verbose
      ? [paint.dim(`    and ${findingCounts(more)}; reconcile doctor -v shows all`)]
      : [];
  return [
    verdicts[verdict],
    ...(proof.address === undefined || (verdict === 'proven' && relevantFindings.length === 0)
      ? []
      : [paint.dim(`    ${escapeUnprintable(proof.address)}`)]),
    ...(first ? findingLines(first, verbose || first.severity === 'error', paint, width) : []),
    ...(verbose ? more.flatMap((finding) => findingLines(finding, true, paint)) : moreLine),
    ...(verbose ? answers.map((answer) => `    ${paint.dim(requestLine(answer))}`) : []),
  ].join('\n');
}

/** Returns the rules of a plan that are not proven, each with its first cause. The doctor has the facts for commands. */
export const unprovenText = (
  proofs: readonly RuleVerdict[],
  paint: Paint,
  width = Number.POSITIVE_INFINITY,
): string[] =>
  unprovenRules(proofs).map((proof) => {
    const text = proofText(proof, false, paint, width);
    const hasFix = proof.findings.some(({ severity, fixes }) => severity === 'error' && fixes.length > 0);
    return hasFix
      ? `${text}\n${paint.dim('      reconcile doctor prints the commands for the fixes')}`
      : text;
  });

const unprovenRules = (proofs: readonly RuleVerdict[]): RuleVerdict[] =>
  proofs.filter(({ verdict }) => verdict !== 'proven' && verdict !== 'off');

/** Returns the explanation of one object: the rules that select it, and the reason why each other rule does not. */
export function objectText(
  { bucket, object, taken, passed, findings }: ObjectProof,
  commands: readonly FixCommand[],
  paint: Paint,
): string {
  const status = object.status ?? 'no replication status';
  return [
    escapeUnprintable(`${bucket}/${object.key}  ${status}, ${encryptionText(object.encryption)}`),
    ...findings.flatMap((finding) => findingLines(finding, true, paint)),
    ...taken.map((proof) => proofText(proof, true, paint)),
    ...passed.map(
      ({ rule, why }) =>
        `${paint.dim('-')} ${escapeUnprintable(rule)} does not select it: ${escapeUnprintable(why)}`,
    ),
    ...fixCommandLines(commands),
  ].join('\n');
}

function encryptionText(encryption: ObjectProof['object']['encryption']): string {
  if (encryption.algorithm === 'AES256') return 'encrypted with SSE-S3';
  return `${encryption.algorithm} under ${encryption.keyArn}, ${encryption.bucketKey ? 'with' : 'without'} a Bucket Key`;
}

/**
 * Returns the lines of a finding. A message stays on one line, so that it can be searched for, unless a width is
 * given.
 */
function findingLines(
  finding: Finding,
  withFixes: boolean,
  paint: Paint,
  width = Number.POSITIVE_INFINITY,
): string[] {
  const { code, title, severity, message, failureReason, at, fixes, resources = [] } = finding;
  const colour = { error: paint.red, unknown: paint.yellow, warning: paint.yellow, info: paint.dim }[
    severity
  ];
  const reason = failureReason === undefined ? '' : paint.dim(` (S3 reports ${failureReason})`);
  return [
    ...wrapText(`    ${colour(`${severity} ${code}`)} `, `${title}${reason}`, width),
    ...wrapText('      ', escapeUnprintable(message), width),
    ...resources.map((address) => `      ${paint.dim('in')} ${escapeUnprintable(address)}`),
    ...(at && at.file !== ''
      ? [`      ${paint.dim(`${escapeUnprintable(at.file)}:${at.line}:${at.column}`)}`]
      : []),
    ...(withFixes ? fixes.flatMap((fix) => indentedFix(fixLines(fix), paint, width)) : []),
  ];
}

const indentedFix = ([what = '', ...lines]: string[], paint: Paint, width: number): string[] => [
  ...wrapText(`      ${paint.green('fix')} `, escapeUnprintable(what), width),
  ...lines.map((line) => `          ${escapeUnprintable(line)}`),
];

const requestLine = ({ result, purpose, action, reason }: RuleProof['answers'][number]): string =>
  `${result.padEnd(7)} ${action} to ${escapeUnprintable(purpose)}: ${escapeUnprintable(reason)}`;

function findingCounts(findings: readonly Finding[]): string {
  const words = (['error', 'unknown', 'warning', 'info'] as const).flatMap((severity) => {
    const count = findings.filter((finding) => finding.severity === severity).length;
    if (count === 0) return [];
    return severity === 'unknown' || severity === 'info'
      ? `${count} more`
      : `${count} more ${severity}${count > 1 ? 's' : ''}`;
  });
  return words.join(', ');
}

/** The diagnosis of the existing rules and, if specs were given, of the declared rules. */
export interface DoctorReport {
  rules: readonly RuleProof[];
  objects: readonly ObjectStatusReport[];
  metrics: readonly RuleMetricsReport[];
  declared?: { changes: number; rules: readonly RuleVerdict[] };
  commands: readonly FixCommand[];
}

/** Returns the whole diagnosis: a line for each rule, the status of the objects, and a summary. */
export function doctorText(
  { rules, objects, metrics, declared, commands }: DoctorReport,
  verbose: boolean,
  paint: Paint,
): string {
  return [
    ...rules.map((proof) => proofText(proof, verbose, paint)),
    ...metrics.flatMap((report) => ruleMetricsLines(report, verbose, paint)),
    ...objects.map((report) => objectsText(report, paint)),
    ...(declared ? declaredText(declared, verbose, paint) : []),
    ...fixCommandLines(commands),
    '',
    [proofSummary(rules, paint), ...metricsSummary(metrics, paint), ...objectsSummary(objects, paint)].join(
      ' ',
    ),
    basisText(rules),
  ].join('\n');
}

/** Returns the metrics of a rule, if they have findings, and otherwise only with `verbose`. */
function ruleMetricsLines(report: RuleMetricsReport, verbose: boolean, paint: Paint): string[] {
  const { bucket, destination, rule, verdict, findings } = report;
  if (findings.length === 0 && !verbose) return [];
  const mark = verdict === 'broken' ? paint.red('✗') : paint.dim('·');
  const name = escapeUnprintable(`${rule}  ${bucket} → ${destination}`);
  return [
    `${mark} ${name}  ${paint.dim(ruleMetricsText(report, verbose))}`,
    ...findings.flatMap((finding) => findingLines(finding, true, paint)),
  ];
}

/** Returns the operations of a rule; with `verbose`, also those that are pending. */
function ruleMetricsText(report: RuleMetricsReport, verbose: boolean): string {
  const { state, days, operations, failed = 0, latencySeconds, pendingOperations } = report;
  if (state === 'notEnabled') return 'no metrics';
  const amounts = [
    operations === undefined
      ? `no operations in ${days} days`
      : `${countText(operations, 'operation')} in ${days} days, ${failed === 0 ? 'none' : failed.toLocaleString('en')} failed`,
    ...(!verbose || latencySeconds === undefined ? [] : [`latency ${latencySeconds} s`]),
    ...(!verbose || pendingOperations === undefined
      ? []
      : [`${pendingOperations.toLocaleString('en')} pending`]),
  ];
  return amounts.join(', ');
}

/** Returns one sentence on the failed operations of all rules with metrics. */
function metricsSummary(metrics: readonly RuleMetricsReport[], paint: Paint): string[] {
  const brokenCount = metrics.filter(({ verdict }) => verdict === 'broken').length;
  if (brokenCount > 0) return [paint.red(`Operations failed under ${countText(brokenCount, 'rule')}.`)];
  const operations = metrics.reduce((sum, report) => sum + (report.operations ?? 0), 0);
  const isIncomplete = metrics.some(({ failed = 0, state }) => failed > 0 || state === 'unreadable');
  if (operations === 0 || isIncomplete) return [];
  const days = Math.max(...metrics.map((report) => report.days));
  return [`No failure in ${countText(operations, 'operation')} of ${days} days.`];
}

/** Returns one sentence if recent objects were not replicated. */
function objectsSummary(objects: readonly ObjectStatusReport[], paint: Paint): string[] {
  const brokenCount = objects.filter(({ verdict }) => verdict === 'broken').length;
  if (brokenCount === 0) return [];
  return [paint.red(`Objects failed or were passed over in ${countText(brokenCount, 'bucket')}.`)];
}

/** Returns the declared changes that are not yet in AWS. */
function declaredText(
  { changes, rules }: NonNullable<DoctorReport['declared']>,
  verbose: boolean,
  paint: Paint,
): string[] {
  if (changes === 0) return [];
  const unproven = unprovenRules(rules).map((proof) => proofText(proof, verbose, paint));
  const changesText = `${changes} declared ${changes === 1 ? 'change is' : 'changes are'} not applied`;
  const pronoun = changes === 1 ? 'it' : 'them';
  return unproven.length > 0
    ? [`\n${changesText}, and would not fix every rule:`, ...unproven]
    : [
        `${paint.yellow('·')} ${changesText}; with ${pronoun}, every declared rule is proven: see reconcile plan`,
      ];
}

function objectsText(
  { bucket, verdict, lookedAt, coverage, byStatus, findings }: ObjectStatusReport,
  paint: Paint,
): string {
  const counts = Object.entries(byStatus).map(([status, count]) => `${count} ${escapeUnprintable(status)}`);
  const summary =
    lookedAt === 0
      ? 'no objects checked'
      : `${lookedAt} object${lookedAt > 1 ? 's' : ''} checked: ${counts.join(', ')}`;
  const mark = verdict === 'broken' ? paint.red('✗') : paint.dim('·');
  const part = coverage === undefined ? '' : coverageText(coverage, lookedAt);
  return [
    `${mark} ${escapeUnprintable(bucket)}  ${paint.dim(`${summary}${part}`)}`,
    ...findings.flatMap((finding) => findingLines(finding, true, paint)),
  ].join('\n');
}

/** Returns the part of a bucket that a sample covers; empty if the sample contains every version. */
function coverageText({ listed, complete }: SampleCoverage, lookedAt: number): string {
  if (!complete) return `; the newest of the first ${listed} versions; the bucket has more (--sample-pages)`;
  return listed > lookedAt ? `; the newest of ${listed} versions` : '';
}

/** Policies that AWS applies and replikey cannot read. */
const NEVER_READ = ['endpoint policies'];

/** Maximum number of unread documents in a sentence. */
const MAX_UNREAD = 3;

/** Returns what the verdicts are based on, and what could not be read. Rules of other source buckets are not known. */
export function basisText(proofs: readonly RuleVerdict[]): string {
  const all = (names: (basis: NonNullable<RuleVerdict['basis']>) => readonly string[]) => [
    ...new Set(proofs.flatMap(({ basis }) => (basis ? names(basis) : []))),
  ];
  const counts = [
    countText(all(({ roles }) => roles).length, 'role'),
    countText(all(({ buckets }) => buckets).length, 'bucket'),
    countText(all(({ keys }) => keys).length, 'key'),
  ];
  const sources = countText(new Set(proofs.map(({ bucket }) => bucket)).size, 'source bucket');
  const unread = all((basis) => basis.unread);
  const more = unread.length - MAX_UNREAD;
  const notRead = [...NEVER_READ, ...unread.slice(0, MAX_UNREAD), ...(more > 0 ? [`${more} more`] : [])].map(
    escapeUnprintable,
  );
  return `Based on the rules of ${sources} and the policies of ${counts.join(', ')}; not read: ${notRead.join(', ')}.${controlPoliciesText(proofs)}`;
}

/** Returns how many requests depend on control policies that were not read; empty if none does. */
function controlPoliciesText(proofs: readonly RuleVerdict[]): string {
  const total = (count: 'requests' | 'dependent') =>
    proofs.reduce((sum, { basis }) => sum + (basis?.controlPolicies[count] ?? 0), 0);
  const dependent = total('dependent');
  if (dependent === 0) return '';
  const requests = countText(total('requests'), 'request');
  const reasons = [...new Set(proofs.flatMap(({ basis }) => basis?.controlPolicies.unread ?? []))];
  const [first] = reasons;
  const more = reasons.length > 1 ? ` (and ${countText(reasons.length - 1, 'other reason')})` : '';
  const cause = first === undefined ? '' : `: ${escapeUnprintable(first)}${more}`;
  return ` ${dependent.toLocaleString('en')} of ${requests} ${dependent === 1 ? 'depends' : 'depend'} on control policies that were not read${cause}.`;
}

export const countText = (count: number, noun: string): string =>
  `${count.toLocaleString('en')} ${noun}${count === 1 ? '' : 's'}`;

/** Returns one line: the number of rules that are proven, and the number that are not. */
export function proofSummary(proofs: readonly RuleVerdict[], paint: Paint): string {
  const count = (verdict: RuleVerdict['verdict']) =>
    proofs.filter((proof) => proof.verdict === verdict).length;
  const parts = [
    `${count('proven')} of ${proofs.length} rules proven`,
    count('broken') > 0 &&
      paint.red(`${count('broken')} ${count('broken') === 1 ? 'does' : 'do'} not replicate`),
    count('unknown') > 0 && paint.yellow(`${count('unknown')} not proven`),
    count('blocked') > 0 && paint.red(`${count('blocked')} blocked`),
    count('off') > 0 && `${count('off')} disabled`,
  ];
  return `${parts.filter(Boolean).join(', ')}.`;
}

/** Returns the lines of a fix: the change, and the statement that it concerns. */
function fixLines(fix: Fix): string[] {
  if ('call' in fix) return [fix.what];
  const linesOf = (statement: object) => JSON.stringify(statement, null, 2).split('\n');
  if ('add' in fix) return [fix.what, ...linesOf(fix.add)];
  if ('remove' in fix) return [fix.what, ...linesOf(fix.remove)];
  return [`${fix.what}: in place of`, ...linesOf(fix.replace), 'write', ...linesOf(fix.by)];
}

/** Returns the commands that apply the fixes, without colours and ready to copy. */
export function fixCommandLines(commands: readonly FixCommand[]): string[] {
  if (commands.length === 0) return [];
  return [
    '',
    'Commands that apply the fixes. Each writes the whole document, as replikey read it, with the changes.',
    ...commands.flatMap(({ what, command }) => [
      `  ${escapeUnprintable(what)}`,
      ...command.split('\n').map((line) => `    ${escapeUnprintable(line)}`),
    ]),
  ];
}
