import { formatAwsError } from '../aws/errors.ts';
import { locationOfSide, positionOfPath } from '../core/ids.ts';
import { JOB_PROBLEMS } from '../core/job-status.ts';
import type { Aws, JobStatus } from '../core/resource.ts';
import { UserError } from '../errors.ts';
import { readJobReport } from '../facts/job-report.ts';
import { type Finding, summarizeFindings } from '../proof/findings.ts';
import { type JobReport, jobFindings } from '../proof/job-findings.ts';
import type { RuleProof } from '../proof/types.ts';
import type { BucketReplication } from '../spec/types.ts';

/** A finding about the batch job of a spec. */
export interface JobFinding {
  spec: string;
  bucket: string;
  finding: Finding;
}

/**
 * Returns findings about the batch jobs of specs. Reads the reports of jobs with failed tasks.
 *
 * @param canReadReports false for a snapshot, which has no objects
 */
export async function findJobProblems(
  aws: Aws,
  jobs: readonly JobStatus[],
  pairs: readonly BucketReplication[],
  canReadReports: boolean,
): Promise<JobFinding[]> {
  const findings: JobFinding[] = [];
  for (const job of jobs) {
    const pair = pairs.find(({ name }) => job.pairs.includes(name));
    if (!pair) continue;
    const at = positionOfPath(pair, 'spec.backfill');
    for (const finding of jobFindings(job, canReadReports ? await reportOf(aws, job, pair) : undefined))
      findings.push({ spec: pair.name, bucket: pair.source.bucket, finding: { ...finding, at } });
  }
  return findings;
}

/** Adds each finding to the first rule of its spec; without one, to the first rule of the bucket. */
export function attachJobFindings(
  proofs: readonly RuleProof[],
  findings: readonly JobFinding[],
): RuleProof[] {
  const attached = [...proofs];
  for (const { spec, bucket, finding } of findings) {
    const ofBucket = (proof: RuleProof) => proof.bucket === bucket;
    const ofSpec = attached.findIndex((proof) => ofBucket(proof) && proof.spec === spec);
    const index = ofSpec === -1 ? attached.findIndex(ofBucket) : ofSpec;
    const proof = attached[index];
    if (proof)
      attached[index] = { ...proof, findings: summarizeFindings([finding, ...proof.findings]).findings };
  }
  return attached;
}

async function reportOf(
  aws: Aws,
  { state, jobId }: JobStatus,
  { backfill, source }: BucketReplication,
): Promise<JobReport | { unread: string } | undefined> {
  if (state !== 'tasksFailed' || jobId === undefined || !backfill?.report) return undefined;
  try {
    const report = await readJobReport(aws, locationOfSide(source), backfill.report, jobId);
    return report ?? { unread: 'S3 has written none' };
  } catch (error) {
    if (error instanceof UserError) throw error;
    return { unread: formatAwsError(error) };
  }
}

/** Returns whether a job failed, or left objects unreplicated, within a time. */
export const isRecentJobProblem = (
  { state, since }: JobStatus,
  { now, failedSinceMs }: { now: Date; failedSinceMs: number },
): boolean =>
  JOB_PROBLEMS.has(state) && since !== undefined && Date.parse(since) >= now.getTime() - failedSinceMs;
