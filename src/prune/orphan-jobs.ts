import { listJobs } from '../aws/batch-jobs.ts';
import { formatAwsError } from '../aws/errors.ts';
import { declaredBackfills, unfinishedJobsOf } from '../core/backfill.ts';
import { hasStopped, isJobOf, type ObservedJob, parseReencryptionDescription } from '../core/batch-job.ts';
import { MANAGED_BY_TAG } from '../core/ids.ts';
import type { Kind } from '../core/kind.ts';
import { emptyOrphan, type LocatedBucket, type Orphan } from '../core/orphan.ts';
import type { Aws, Resource } from '../core/resource.ts';
import { UserError } from '../errors.ts';
import { toObservedJob } from '../kinds/batch-job.ts';
import { parseSid } from '../policy/statements.ts';
import type { BucketReplication } from '../spec/types.ts';
import type { BatchRoleCandidate } from './find-orphans.ts';
import { lookUpBucket, type ReachableAccount } from './locate-orphans.ts';

/** A spec that declares no job, with what it left in a role of batch jobs. */
export interface BatchRoleOrphan {
  candidate: BatchRoleCandidate;
  orphan: Orphan;
  /** Why its statements stay. */
  retainedBecause?: string;
  /** Why the role stays, although no spec uses it. */
  roleRetainedBecause?: string;
}

/**
 * Decides what prune removes of specs without a backfill. A job that waits for its approval is cancelled: it never starts by
 * itself, and its role is removed. A job that runs keeps its role, until a prune after its end.
 *
 * @param candidates those of all roles
 */
export async function locateBatchRoleOrphans(
  candidates: readonly BatchRoleCandidate[],
  pairs: readonly BucketReplication[],
  accounts: readonly ReachableAccount[],
  aws: Aws,
): Promise<BatchRoleOrphan[]> {
  const located = await Promise.all(
    candidates.map((candidate) => locateBatchRole(candidate, pairs, accounts, aws)),
  );
  const removable = new Set(
    located.filter(({ retainedBecause }) => retainedBecause === undefined).map(({ candidate }) => candidate),
  );
  return located.map((item) => {
    const { candidate, orphan } = item;
    if (!removable.has(candidate) || candidate.roleInUse) return item;
    const reason = batchRoleRetentionReason(candidate, candidates, removable);
    return reason === undefined
      ? { ...item, orphan: { ...orphan, deleteRole: true } }
      : { ...item, roleRetainedBecause: reason };
  });
}

async function locateBatchRole(
  candidate: BatchRoleCandidate,
  pairs: readonly BucketReplication[],
  accounts: readonly ReachableAccount[],
  aws: Aws,
): Promise<BatchRoleOrphan> {
  const { name, spec, role, buckets, retainedBecause } = candidate;
  const waitingJobs: LocatedBucket[] = [];
  const reasons = retainedBecause === undefined ? [] : [retainedBecause];
  const homeAccounts = accounts.filter(({ id }) => id === role.arn.split(':')[4]);
  const declared = declaredBackfills([...pairs]);
  const isDeclared = (job: ObservedJob) => declared.some(({ digest }) => isJobOf(job, digest));
  for (const bucket of retainedBecause === undefined ? buckets : []) {
    const jobs = await readUnfinishedJobs(bucket, spec, homeAccounts, aws);
    if (typeof jobs === 'string') reasons.push(jobs);
    else if (jobs) {
      const [running] = jobs.jobs.filter(
        (job) => job.status !== 'Suspended' || isDeclared(job) || isReencryptionOf(bucket, job),
      );
      if (running)
        reasons.push(`the job ${running.id} of ${bucket} is ${running.status}; a later --prune removes them`);
      else if (jobs.jobs.length > 0) waitingJobs.push(jobs.location);
    }
  }
  const [reason] = reasons;
  return {
    candidate,
    orphan: {
      ...emptyOrphan({ sidName: name, specName: spec, role }),
      ...(reason === undefined ? { waitingJobs } : {}),
    },
    ...(reason === undefined ? {} : { retainedBecause: reason }),
  };
}

/** Returns the unfinished jobs of a spec in the Region of a bucket; undefined if the bucket is deleted; why they are not known. */
async function readUnfinishedJobs(
  bucket: string,
  specName: string,
  accounts: readonly ReachableAccount[],
  aws: Aws,
): Promise<{ location: LocatedBucket; jobs: ObservedJob[] } | string | undefined> {
  const { state, location, why } = await lookUpBucket(bucket, accounts, aws);
  if (state === 'absent') return undefined;
  if (!location)
    return `replikey cannot find out whether a job of ${bucket} runs: ${why ?? 'it cannot read the bucket'}`;
  try {
    const jobs = (await listJobs(aws, location)).map(toObservedJob);
    const reencryptions = jobs.filter((job) => !hasStopped(job) && isReencryptionOf(bucket, job));
    return {
      location: { bucket, location },
      jobs: [...unfinishedJobsOf(specName, bucket, jobs), ...reencryptions],
    };
  } catch (error) {
    if (error instanceof UserError || !(error instanceof Error)) throw error;
    return `replikey cannot find out whether a job of ${bucket} runs: ${formatAwsError(error)}`;
  }
}

const isReencryptionOf = (bucket: string, { description }: ObservedJob): boolean =>
  parseReencryptionDescription(description)?.bucket === bucket;

/** Returns why a role of batch jobs that no spec uses stays, if it does. */
function batchRoleRetentionReason(
  { role }: BatchRoleCandidate,
  candidates: readonly BatchRoleCandidate[],
  removable: ReadonlySet<BatchRoleCandidate>,
): string | undefined {
  if (role.tags[MANAGED_BY_TAG] !== 'replikey') return 'replikey did not create it';
  if (role.otherPolicies.length > 0) return `it has other policies: ${role.otherPolicies.join(', ')}`;
  if (role.statements.some((statement) => !parseSid(statement))) return 'its policy has foreign statements';
  const remaining = candidates.filter((other) => other.role.arn === role.arn && !removable.has(other));
  return remaining.length > 0 ? `it serves ${remaining.map(({ spec }) => spec).join(', ')}` : undefined;
}

/**
 * Returns the resources with those of specs without a backfill: their jobs that wait, their statements in the role of the
 * jobs, and the role. Each comes after the one before.
 */
export function withBatchRoleOrphans(
  resources: readonly Resource[],
  orphans: readonly BatchRoleOrphan[],
  kinds: ReadonlyMap<string, Kind>,
): Resource[] {
  const byId = new Map(resources.map((resource) => [resource.id, resource]));
  for (const { orphan, retainedBecause } of orphans) {
    if (retainedBecause !== undefined) continue;
    const orphansOf = (isWanted: (kind: Kind) => boolean) =>
      [...kinds.values()].filter(isWanted).flatMap((kind) => kind.orphans?.(orphan) ?? []);
    const jobs = orphansOf(({ scope }) => scope.stage === 'jobs');
    for (const job of jobs) byId.set(job.id, job);
    for (const resource of orphansOf(({ scope }) => scope.type === 'role' && scope.stage === 'permissions')) {
      const existing = byId.get(resource.id);
      const owners = [...new Set([...(existing?.pruneOwners ?? []), ...(resource.pruneOwners ?? [])])];
      byId.set(resource.id, {
        ...(existing ?? resource),
        after: [...(existing ?? resource).after, ...jobs.map(({ id }) => id)],
        pruneOwners: owners,
        ...(existing && !existing.orphaned ? {} : { drainMs: 0, isIdle: true as const }),
        ...(existing?.orphaned
          ? { declaredBy: [...new Set([...existing.declaredBy, ...resource.declaredBy])] }
          : {}),
      });
    }
  }
  return [...byId.values()];
}
