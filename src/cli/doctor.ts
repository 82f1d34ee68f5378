import { stat } from 'node:fs/promises';
import { describeError } from '../aws/describe-error.ts';
import type { Door } from '../aws/door.ts';
import { known, type Observed } from '../core/observed.ts';
import type { Aws } from '../core/resource.ts';
import { type Atlas, atlasOf } from '../doctor/atlas.ts';
import { type Examination, examine, examineObject } from '../doctor/examine.ts';
import { observedFrom } from '../doctor/observed-file.ts';
import { EXIT, UserError } from '../errors.ts';
import { kinds } from '../kinds/index.ts';
import { locate, missing } from '../proof/locate.ts';
import { prove } from '../proof/prove.ts';
import type { RuleProof, RuleVerdict } from '../proof/types.ts';
import { reconcile } from '../reconcile.ts';
import { isRecording } from '../recording/recording.ts';
import { jsonText } from '../report/json-text.ts';
import { paintFor } from '../report/paint.ts';
import { doctorText, objectText } from '../report/proof-text.ts';
import type { Specs } from '../spec/types.ts';
import { findings } from './findings.ts';
import type { Io } from './io.ts';
import type { DoctorOptions } from './options.ts';
import { readJson } from './read-json.ts';
import { openSession } from './session.ts';
import { specsFrom } from './specs.ts';

const NOTHING: Specs = { pairs: [], accounts: [], limits: {}, variables: [] };

/** `reconcile doctor`: the proof on what exists, by specs, by the names of buckets, or from files alone. */
export async function doctor(
  paths: readonly string[],
  options: DoctorOptions,
  io: Io,
  signal: AbortSignal,
): Promise<number> {
  const specs = paths.length > 0 ? await specsFrom(paths, options, io) : NOTHING;
  const sources = specs.pairs.filter(({ source }) => source.managed).map(({ source }) => source.bucket);
  const named = [...new Set(options.bucket.length > 0 ? options.bucket : sources)];
  if (options.observed !== undefined && options.object !== undefined)
    throw new UserError(
      EXIT.usage,
      'files hold no objects: --object is for what is in AWS, without --observed',
    );
  if (options.observed !== undefined && !(await isRecorded(options.observed))) {
    const observed = await observedFrom(options.observed);
    const buckets = named.length > 0 ? named : replicating(observed);
    if (buckets.length === 0) {
      const how = 'none of its buckets has a replication configuration';
      throw new UserError(EXIT.usage, `nothing in ${options.observed} replicates: ${how}`);
    }
    const proofs = buckets.flatMap((bucket) => prove(observed, bucket));
    return tell({ proofs, objects: [] }, specs, options, io);
  }
  if (named.length === 0) {
    const how = 'reconcile doctor specs/, or --bucket acme-tax, or --observed observed.json';
    throw new UserError(EXIT.usage, `name the specs, a bucket or a file: ${how}`);
  }
  const session = await openSession(specs, options, io, signal);
  try {
    const door = session.door.readOnly().sharing();
    const atlas = atlasOf(specs, options.region ?? specs.pairs[0]?.source.region ?? 'us-east-1');
    if (options.object !== undefined)
      return await explain(door, named, options.object, atlas, specs, options, io);
    // An observation holds no objects.
    const sample = options.observed === undefined ? options.sample : 0;
    const found = await examine(door, named, { atlas, sample, now: new Date() });
    await door.identified();
    return tell(found, specs, options, io, await declaredIn(specs, door, signal));
  } finally {
    await session.close();
  }
}

/** Whether `reconcile observe` wrote it, so that it answers in place of AWS. */
async function isRecorded(place: string): Promise<boolean> {
  return !(await stat(place).catch(() => undefined))?.isDirectory() && isRecording(await readJson(place));
}

/** What the specs declare, as it will be once what differs is applied. */
async function declaredIn(
  specs: Specs,
  door: Door,
  signal: AbortSignal,
): Promise<{ changes: number; rules: RuleProof[] } | undefined> {
  if (specs.pairs.length === 0) return undefined;
  const whole = new Map<string, RuleProof>();
  const ruleOf = ({ bucket, rule }: RuleVerdict) => `${bucket} ${rule}`;
  const { plan, proof } = await reconcile(specs, {
    kinds,
    door,
    signal,
    dryRun: true,
    allow: [],
    waitMs: 0,
    onProof: (one) => whole.set(ruleOf(one), one),
  });
  const rules = proof.flatMap((one) => whole.get(ruleOf(one)) ?? []);
  return { changes: plan.waves.flat().length, rules };
}

/** Every bucket that has a configuration; a file may hold others beside, as destinations. */
const replicating = ({ buckets }: Observed): string[] =>
  Object.keys(buckets).filter((name) => known(known(buckets[name])?.replication));

/** `--object KEY`: one object of one bucket. */
async function explain(
  door: Aws,
  [bucket = '', ...more]: readonly string[],
  key: string,
  atlas: Atlas,
  specs: Specs,
  options: DoctorOptions,
  io: Io,
): Promise<number> {
  if (more.length > 0)
    throw new UserError(EXIT.usage, `--object names an object of one bucket: add --bucket ${bucket}`);
  const proof = await examineObject(door, bucket, key, atlas).catch((error: unknown) => {
    if (error instanceof UserError) throw error;
    const { httpStatusCode } = (error as { $metadata?: { httpStatusCode?: number } }).$metadata ?? {};
    const why =
      httpStatusCode === 404
        ? 'there is none of that name'
        : describeError(error, 's3:HeadObject', atlas.buckets.get(bucket) ?? atlas);
    throw new UserError(EXIT.failed, `the object ${key} of ${bucket} cannot be read: ${why}`, {
      cause: error,
    });
  });
  const forms = {
    text: () => objectText(proof, paintFor(io.stdout, io.env)),
    json: () => jsonText({ format: 1, ...proof }, 2),
    sarif: () => findings(proof.taken, specs.pairs),
  };
  io.stdout.write(`${forms[options.output]()}\n`);
  const passedOver = proof.findings.some(({ severity }) => severity === 'error');
  return passedOver ? EXIT.failed : exitCode(proof.taken, options);
}

/** One value computes text, JSON, SARIF and exit code. */
function tell(
  { proofs, objects }: Examination,
  specs: Specs,
  options: DoctorOptions,
  io: Io,
  declared?: { changes: number; rules: RuleProof[] },
): number {
  const rules = locate([...proofs, ...missing(proofs, specs.pairs)], specs.pairs);
  const forms = {
    text: () =>
      doctorText(
        { rules, objects, ...(declared && { declared }) },
        options.verbose ?? false,
        paintFor(io.stdout, io.env),
      ),
    json: () => jsonText({ format: 1, rules, objects, declared }, 2),
    sarif: () => findings(rules, specs.pairs),
  };
  io.stdout.write(`${forms[options.output]()}\n`);
  return exitCode([...rules, ...(declared?.rules ?? [])], options);
}

function exitCode(rules: readonly RuleVerdict[], { allowUnproven }: DoctorOptions): number {
  const healthy = rules.every(
    ({ verdict }) =>
      verdict === 'proven' || verdict === 'off' || (verdict === 'unknown' && allowUnproven === true),
  );
  return healthy ? EXIT.ok : EXIT.failed;
}
