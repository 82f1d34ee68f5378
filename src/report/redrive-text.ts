import type { ObservedJob } from '../core/batch-job.ts';
import { countObjects, groupDigits } from '../core/job-status.ts';
import { failureCauseText, type JobReport } from '../proof/job-findings.ts';
import type { RuleVerdict } from '../proof/types.ts';
import type { Redrive, RedriveState } from '../reconcile/redrive.ts';
import { escapeUnprintable, shellQuote } from '../util/escape.ts';
import { jobPriceText } from '../util/prices.ts';
import type { Paint } from './style.ts';

/** The re-drive of a bucket, with how far its job is. */
export interface RedriveProgress {
  redrive: Redrive;
  state: RedriveState;
  /** The report of an ended job, or the reason for which it cannot be read; absent without one. */
  report?: JobReport | { unread: string };
}

/** Returns the rules that the jobs run: all enabled rules of the buckets. The plan explains those that are not proven. */
export function redriveRulesText(proofs: readonly RuleVerdict[], paint: Paint): string {
  const lines = proofs
    .filter(({ verdict, rule }) => verdict !== 'off' && rule !== '')
    .map(({ rule, bucket, destination, verdict, spec }) => {
      const mark = verdict === 'proven' ? paint.green('✓') : paint.red('✗');
      const verdictText = verdict === 'proven' ? 'proven' : 'not proven';
      const origin = spec === undefined ? ', in no spec' : '';
      return `  ${mark} ${escapeUnprintable(rule)}  ${bucket} → ${destination}  ${paint.dim(`${verdictText}${origin}`)}`;
    });
  if (lines.length === 0) return 'No rule is enabled, so a job would replicate nothing.';
  return ['A job runs all enabled rules of its bucket:', ...lines].join('\n');
}

/** `Re-drive of acme-tax: failed objects from before 2026-12-01T00:00:00Z` */
export function redriveTitle({ bucket, pair: { backfill }, jobId }: Redrive): string {
  const continued = jobId === undefined ? '' : `; continues the unfinished job ${jobId}`;
  return `Re-drive of ${bucket}: ${backfill?.objects.join(' and ')} objects from before ${backfill?.before}${continued}`;
}

/** Returns the line that a person approves: `acme-tax: 1,203,441 objects, about 1.45 USD (job …)`. */
export function approvalText({ redrive, state }: RedriveProgress): string {
  const job = 'job' in state ? state.job : undefined;
  return `${redrive.bucket}: ${jobSizeText(job)} (job ${job?.id})`;
}

/** S3 may show no number of objects while a job waits for its approval. */
function jobSizeText(job: ObservedJob | undefined): string {
  if (!job?.total) return 'an unknown number of objects; the S3 console may show it';
  return `${countObjects(job.total)}, ${jobPriceText(job.total)}`;
}

/** Returns how far a job is, on one line. */
export function redriveProgressText({ redrive: { bucket }, state }: RedriveProgress): string {
  if (state.state === 'absent') return `${bucket}: S3 does not show the job yet`;
  const { status, total, succeeded, failed } = state.job;
  if (state.state === 'preparing') return `${bucket}: S3 selects the objects (${status})`;
  if (!total) return `${bucket}: ${status}`;
  const failedText = failed > 0 ? `, ${groupDigits(failed)} failed` : '';
  return `${bucket}: ${status}, ${groupDigits(succeeded + failed)} of ${groupDigits(total)} objects${failedText}`;
}

/** Returns the result of a job, and what to do about failed objects. */
export function redriveResultText(
  { redrive, state, report: jobReport }: RedriveProgress,
  paint: Paint,
): string {
  const { bucket, pair } = redrive;
  const { objects = [], report, before } = pair.backfill ?? {};
  if (!('job' in state)) return `${paint.red('✗')} ${bucket}: S3 does not show the job`;
  const { id, status, succeeded, failed, failureReasons = [], statusUpdateReason } = state.job;
  if (state.state === 'failed') {
    const reasons = [...failureReasons, ...(statusUpdateReason ? [statusUpdateReason] : [])];
    const cause = reasons.length > 0 ? `: ${escapeUnprintable(reasons.join('; '))}` : '';
    return `${paint.red('✗')} ${bucket}: the job ${id} ended with the status ${status}${cause}`;
  }
  if (state.state !== 'complete') return `- ${redriveProgressText({ redrive, state })} (job ${id})`;
  if (succeeded + failed === 0)
    return `${paint.green('✓')} ${bucket}: nothing to replicate, because the enabled rules select no ${objects.join(' or ')} object from before ${before}`;
  if (failed === 0) return `${paint.green('✓')} ${bucket}: ${countObjects(succeeded)} replicated (job ${id})`;
  const list = report
    ? `s3://${report.bucket}/${report.prefix} has the list`
    : 'add --report to get a list of them';
  return [
    `${paint.red('✗')} ${bucket}: ${groupDigits(succeeded)} of ${groupDigits(succeeded + failed)} objects replicated, ${groupDigits(failed)} failed (job ${id}); ${list}`,
    ...causeLines(bucket, jobReport),
  ].join('\n');
}

/** Returns the causes of failed objects, each with the command that explains one of them. */
function causeLines(bucket: string, report: RedriveProgress['report']): string[] {
  if (report && 'unread' in report)
    return [`    the list cannot be read: ${escapeUnprintable(report.unread)}`];
  const [example] = report?.causes.flatMap(({ keys }) => keys) ?? [];
  const object = example === undefined ? '' : ` --object ${shellQuote(example)}`;
  return [
    ...(report?.causes ?? []).map((cause) => escapeUnprintable(`    ${failureCauseText(cause)}`)),
    escapeUnprintable(
      `    reconcile doctor --bucket ${bucket}${object} explains ${object ? 'it' : 'why objects fail'}`,
    ),
  ];
}

/** Returns the re-drives in the form of `-o json`. */
export const redriveJson = ({ redrive: { bucket, jobId, pair }, state, report }: RedriveProgress) => {
  const { objects = [], before = '' } = pair.backfill ?? {};
  const job = 'job' in state ? state.job : undefined;
  return {
    bucket,
    objects,
    before,
    continued: jobId !== undefined,
    ...(job && {
      id: job.id,
      status: job.status,
      ...(job.total ? { total: job.total } : {}),
      succeeded: job.succeeded,
      failed: job.failed,
      reasons: [...(job.failureReasons ?? []), ...(job.statusUpdateReason ? [job.statusUpdateReason] : [])],
    }),
    ...(report && 'causes' in report ? { causes: report.causes } : {}),
  };
};
