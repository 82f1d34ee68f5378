import { stat } from 'node:fs/promises';
import type { AwsClient } from '../aws/client.ts';
import { formatAwsError } from '../aws/errors.ts';
import { emptyFacts, type Facts, factValue, mergeFacts } from '../core/facts.ts';
import type { JobStatus } from '../core/resource.ts';
import {
  type DiagnoseOptions,
  type Diagnosis,
  diagnose,
  diagnoseMetrics,
  diagnoseObject,
} from '../doctor/diagnose.ts';
import { attachJobFindings, findJobProblems, isRecentJobProblem, type JobFinding } from '../doctor/jobs.ts';
import { DEFAULT_FAILED_SINCE_MS, isRecentFailure } from '../doctor/object-status.ts';
import type { RuleMetricsReport } from '../doctor/rule-metrics.ts';
import { EXIT, UserError } from '../errors.ts';
import { loadFacts } from '../facts/from-files.ts';
import { locationsOf } from '../facts/locations.ts';
import { organizationReaderOf } from '../facts/organization.ts';
import { kinds } from '../kinds/index.ts';
import { attachPositions, proveMissingRules } from '../proof/attach-positions.ts';
import { type FixCommand, fixCommands } from '../proof/fix-commands.ts';
import { proveRules } from '../proof/prove.ts';
import type { RuleProof, RuleVerdict } from '../proof/types.ts';
import { reconcile } from '../reconcile/reconcile.ts';
import { doctorText, objectText } from '../report/proof-text.ts';
import { createPaint } from '../report/style.ts';
import { isSnapshot } from '../snapshot/snapshot.ts';
import type { Specs } from '../spec/types.ts';
import { safeJson } from '../util/escape.ts';
import { readJson } from '../util/files.ts';
import type { Io } from './command-model.ts';
import type { GlobalOptions, OrganizationOptions, SpecOptions } from './options.ts';
import { doctorExitCode, sarifText } from './output.ts';
import { loadSelectedSpecs, openSession } from './session.ts';

export interface DoctorOptions
  extends SpecOptions,
    OrganizationOptions,
    Pick<GlobalOptions, 'sandbox' | 'logLevel' | 'debug'> {
  output: 'text' | 'json' | 'sarif' | 'csv' | 'html';
  bucket: string[];
  object?: string;
  observed?: string;
  /** Number of objects; default: 20, or none for all buckets of all accounts. */
  sample?: number;
  samplePages: number;
  /** In milliseconds. */
  failedSince?: number;
  region?: string;
  verbose?: true;
  allowUnproven?: true;
}

/** Number of recent objects to sample in each bucket. */
const DEFAULT_SAMPLE = 20;

const NO_DECLARED_SPECS: Specs = { pairs: [], accounts: [], limits: {}, variables: [] };

/** `reconcile doctor`: proves existing replication, selected by specs or bucket names, or read from files alone. */
export async function runDoctor(
  paths: readonly string[],
  options: DoctorOptions,
  io: Io,
  signal: AbortSignal,
): Promise<number> {
  singleFormatOf(options);
  const specs = paths.length > 0 ? await loadSelectedSpecs(paths, options, io, signal) : NO_DECLARED_SPECS;
  const sources = specs.pairs.filter(({ source }) => source.managed).map(({ source }) => source.bucket);
  const bucketNames = [...new Set(options.bucket.length > 0 ? options.bucket : sources)];
  if (options.observed !== undefined && options.object !== undefined)
    throw new UserError(EXIT.usage, '--observed files contain no objects: use --object without --observed');
  if (options.observed !== undefined && !(await isSnapshotFile(options.observed))) {
    const observed = await loadFacts(options.observed);
    const buckets = bucketNames.length > 0 ? bucketNames : replicatingBuckets(observed);
    if (buckets.length === 0) {
      const reason = 'none of its buckets has a replication configuration';
      throw new UserError(EXIT.usage, `no replication found in ${options.observed}: ${reason}`);
    }
    const proofs = buckets.flatMap((bucket) => proveRules(observed, bucket, [], Date.now()));
    return reportRules({ proofs, objects: [], metrics: [], facts: observed }, specs, options, io, {
      now: new Date(),
    });
  }
  if (bucketNames.length === 0) {
    const usage = 'reconcile doctor specs/, or --bucket acme-tax, or --observed observed.json';
    throw new UserError(EXIT.usage, `no specs, bucket or file given: use ${usage}`);
  }
  const session = await openSession(specs, options, io, signal);
  try {
    const aws = session.aws.readOnly().withCache();
    const locations = locationsOf(specs, options.region ?? specs.pairs[0]?.source.region ?? 'us-east-1');
    const organization = organizationReaderOf(aws, specs, options.organizationAccount);
    if (options.object !== undefined)
      return await reportObject(
        aws,
        bucketNames,
        { locations, organization },
        specs,
        { ...options, object: options.object },
        io,
      );
    // A snapshot contains no objects.
    const sample = options.observed === undefined ? (options.sample ?? DEFAULT_SAMPLE) : 0;
    const diagnoseOptions = {
      locations,
      organization,
      sampleSize: sample,
      samplePages: options.samplePages,
      ...(options.failedSince === undefined ? {} : { failedSinceMs: options.failedSince }),
      now: () => aws.now(),
    };
    const diagnosis = await diagnose(aws, bucketNames, diagnoseOptions);
    // A snapshot contains no metrics.
    const metrics =
      options.observed === undefined
        ? await diagnoseMetrics(aws, bucketNames, diagnosis.facts, diagnoseOptions)
        : [];
    await aws.verifyAccounts();
    const declared = await proveDeclaredSpecs(specs, aws, options, signal);
    return reportRules({ ...diagnosis, metrics }, specs, options, io, {
      declared,
      now: new Date(aws.now()),
    });
  } finally {
    await session.close();
  }
}

/** @throws UserError for a format of `--all`. */
function singleFormatOf({ output }: DoctorOptions): 'text' | 'json' | 'sarif' {
  if (output === 'csv' || output === 'html')
    throw new UserError(
      EXIT.usage,
      `-o ${output} requires all buckets: add --all, or use -o text, json or sarif`,
    );
  return output;
}

/** Whether `reconcile observe` wrote the file, so that it can replace the responses of AWS. */
async function isSnapshotFile(file: string): Promise<boolean> {
  return !(await stat(file).catch(() => undefined))?.isDirectory() && isSnapshot(await readJson(file));
}

/** The proofs of the declared rules, with the facts before the plan. */
interface DeclaredDiagnosis {
  changes: number;
  rules: RuleProof[];
  facts: Facts;
  jobs: JobStatus[];
  jobFindings: JobFinding[];
}

/** Proves the rules of the specs, in the state after all differences are applied. */
async function proveDeclaredSpecs(
  specs: Specs,
  aws: AwsClient,
  { observed, organizationAccount }: DoctorOptions,
  signal: AbortSignal,
): Promise<DeclaredDiagnosis | undefined> {
  if (specs.pairs.length === 0) return undefined;
  const facts = emptyFacts();
  const proofsByRule = new Map<string, RuleProof>();
  const ruleKey = ({ bucket, rule }: RuleVerdict) => `${bucket} ${rule}`;
  const { plan, proof } = await reconcile(specs, {
    kinds,
    aws,
    signal,
    dryRun: true,
    allowedRisks: [],
    propagationTimeoutMs: 0,
    organizationAccount,
    onProof: (ruleProof, currentFacts) => {
      proofsByRule.set(ruleKey(ruleProof), ruleProof);
      if (ruleProof.verdict === 'broken') mergeFacts(facts, currentFacts());
    },
  });
  const rules = proof.flatMap((verdict) => proofsByRule.get(ruleKey(verdict)) ?? []);
  const { jobs = [] } = plan;
  return {
    changes: plan.waves.flat().length,
    rules,
    facts,
    jobs,
    jobFindings: await findJobProblems(aws, jobs, specs.pairs, observed === undefined),
  };
}

/**
 * Returns every bucket with a replication configuration. A file may also contain other buckets, for example
 * destinations.
 */
const replicatingBuckets = ({ buckets }: Facts): string[] =>
  Object.keys(buckets).filter((name) => factValue(factValue(buckets[name])?.replication));

/** `--object KEY`: reports on one object of one bucket. */
async function reportObject(
  aws: AwsClient,
  [bucket = '', ...more]: readonly string[],
  sources: Pick<DiagnoseOptions, 'locations' | 'organization'>,
  specs: Specs,
  options: DoctorOptions & { object: string },
  io: Io,
): Promise<number> {
  const { object: key } = options;
  if (more.length > 0)
    throw new UserError(EXIT.usage, `--object requires exactly one bucket: add --bucket ${bucket}`);
  const { proof, facts, object } = await diagnoseObject(aws, bucket, key, {
    ...sources,
    now: () => aws.now(),
  }).catch((error: unknown) => {
    if (error instanceof UserError) throw error;
    const { httpStatusCode } = (error as { $metadata?: { httpStatusCode?: number } }).$metadata ?? {};
    const reason = httpStatusCode === 404 ? 'it does not exist' : formatAwsError(error);
    throw new UserError(EXIT.failed, `cannot read object ${key} of bucket ${bucket}: ${reason}`, {
      cause: error,
    });
  });
  const commands = commandsFor(proof.taken, facts, true);
  const renderers = {
    text: () => objectText(proof, commands, createPaint(io.stdout, io.env)),
    json: () => safeJson({ format: 1, ...proof, commands }, 2),
    sarif: () => sarifText(proof.taken, specs.pairs),
  };
  io.stdout.write(`${renderers[singleFormatOf(options)]()}\n`);
  const hasErrors = proof.findings.some(({ severity }) => severity === 'error');
  const isUnreplicated = proof.findings.some(({ code }) => code === 'RK1401' || code === 'RK1404');
  const window = { now: new Date(aws.now()), failedSinceMs: options.failedSince ?? DEFAULT_FAILED_SINCE_MS };
  const hasFailed = isUnreplicated && isRecentFailure(object, window);
  return hasErrors || hasFailed ? EXIT.failed : doctorExitCode(proof.taken, options);
}

/** Derives text, JSON, SARIF and the exit code from one value. */
function reportRules(
  { proofs, objects, metrics, facts }: Diagnosis & { metrics: RuleMetricsReport[] },
  specs: Specs,
  options: DoctorOptions,
  io: Io,
  { declared, now }: { declared?: DeclaredDiagnosis | undefined; now: Date },
): number {
  const missing = proveMissingRules(proofs, specs.pairs, facts);
  const rules = attachJobFindings(
    attachPositions([...proofs, ...missing], specs.pairs, facts),
    declared?.jobFindings ?? [],
  );
  const currentFacts = emptyFacts();
  if (declared) mergeFacts(currentFacts, declared.facts);
  mergeFacts(currentFacts, facts);
  const commands = commandsFor(
    [...rules, ...(declared?.rules ?? [])],
    currentFacts,
    options.verbose ?? false,
  );
  const declaredReport = declared && { changes: declared.changes, rules: declared.rules };
  const renderers = {
    text: () =>
      doctorText(
        { rules, objects, metrics, commands, ...(declaredReport && { declared: declaredReport }) },
        options.verbose ?? false,
        createPaint(io.stdout, io.env),
      ),
    json: () => safeJson({ format: 1, rules, objects, metrics, declared: declaredReport, commands }, 2),
    sarif: () => sarifText(rules, specs.pairs),
  };
  io.stdout.write(`${renderers[singleFormatOf(options)]()}\n`);
  const failedSinceMs = options.failedSince ?? DEFAULT_FAILED_SINCE_MS;
  const hasFailures =
    [...objects, ...metrics].some(({ verdict }) => verdict === 'broken') ||
    declared?.jobs.some((job) => isRecentJobProblem(job, { now, failedSinceMs }));
  return hasFailures ? EXIT.failed : doctorExitCode([...rules, ...(declared?.rules ?? [])], options);
}

/** Returns the commands that apply the fixes of all errors, or of all findings. */
const commandsFor = (rules: readonly RuleVerdict[], facts: Facts, allFindings: boolean): FixCommand[] =>
  fixCommands(
    rules.flatMap(({ findings }) =>
      findings.flatMap(({ severity, fixes }) => (allFindings || severity === 'error' ? fixes : [])),
    ),
    facts,
  );
