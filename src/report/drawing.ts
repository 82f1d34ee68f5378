import type { Plan, Step } from '../core/resource.ts';
import type { BucketReplication, Side } from '../spec/types.ts';

/** More than this many buckets are no drawing any more. */
const MOST = 30;

/**
 * The buckets of the pairs that a plan is about, in their Regions and accounts, with their keys, as a mermaid flowchart.
 * What is new or changes says so in words, and has a thicker line. Names of buckets, keys, Regions and accounts are of
 * letters that mermaid takes as they stand, in quotes. None where nothing changes, or too much to be drawn.
 */
export function drawing(plan: Plan, pairs: readonly BucketReplication[]): string[] {
  const steps = plan.waves.flat();
  const changed = new Set(steps.flatMap((step) => step.pairs));
  const concerned = pairs.filter(({ name }) => changed.has(name));
  const sides = concerned.flatMap(({ source, destination }) => [source, destination]);
  const names = [...new Set(sides.map(({ bucket }) => bucket))].sort();
  if (names.length === 0 || names.length > MOST) return [];
  const id = (bucket: string) => `b${names.indexOf(bucket)}`;
  const places = [...new Set(sides.map(placeOf))].sort();
  const buckets = names.map((bucket) => {
    const side = sides.find((one) => one.bucket === bucket);
    const labels = [bucket, ...(side?.key ? [keyText(side.key)] : [])];
    const marks = [
      markOf(steps.filter((step) => isOfBucket(step, bucket))),
      ...(side ? [markOf(steps.filter((step) => isOfKey(step, side)))] : []),
    ];
    const text = labels.map((label, index) => `${label}${marks[index]}`).join('<br/>');
    return {
      place: side && placeOf(side),
      line: `    ${id(bucket)}["${text}"]${marks.join('') === '' ? '' : ':::changed'}`,
    };
  });
  const arrows = concerned.map((pair) => {
    const mark = markOf(steps.filter((step) => isOfRules(step, pair)));
    const rules = pair.rules.length === 1 ? '1 rule' : `${pair.rules.length} rules`;
    return `  ${id(pair.source.bucket)} ${mark === '' ? '-->' : '==>'}|"${rules}${mark}"| ${id(pair.destination.bucket)}`;
  });
  const lines = [
    // A name and its mark stay on one line.
    '%%{init: {"flowchart": {"wrappingWidth": 600}}}%%',
    'flowchart LR',
    ...places.flatMap((place, index) => [
      `  subgraph p${index}["${place}"]`,
      ...buckets.filter((one) => one.place === place).map(({ line }) => line),
      '  end',
    ]),
    ...arrows,
    '  classDef changed stroke-width:3px',
  ];
  return [['```mermaid', ...lines, '```'].join('\n')];
}

/** Whether something is new, or changes. */
function markOf(steps: readonly Step[]): string {
  if (steps.length === 0) return '';
  const isNew = steps.some(({ kind, action }) => THINGS.has(kind) && action === 'create');
  return isNew ? ' ✱ new' : ' ✱ changes';
}

/** Kinds that are the thing itself, and no setting of one. */
const THINGS: ReadonlySet<string> = new Set(['s3.bucket', 'kms.key', 's3.replication']);

const isOfBucket = ({ kind, id }: Step, bucket: string): boolean =>
  kind.startsWith('s3.') && kind !== 's3.replication' && id === `${kind}/${bucket}`;

/** Keys are named by alias and place, or by ARN. */
const isOfKey = ({ kind, id, at }: Step, { key, region, account }: Side): boolean =>
  key !== undefined &&
  (kind === 'kms.key' || kind === 'kms.key-policy') &&
  ('arn' in key ? id === `${kind}/${key.arn}` : id.startsWith(`${kind}/${key.alias}@`)) &&
  at.region === region &&
  at.account === account;

/** Several pairs share the configuration of a source; what is about the rules of one bears its name. */
const isOfRules = ({ kind, id, action, patch }: Step, { name, source }: BucketReplication): boolean =>
  kind === 's3.replication' &&
  id === `${kind}/${source.bucket}` &&
  (action === 'create' || patch.some(({ path }) => path.startsWith(`/rules/replikey~1${name}~1`)));

const keyText = (key: NonNullable<Side['key']>): string =>
  'alias' in key ? key.alias : key.arn.slice(key.arn.lastIndexOf(':') + 1);

function placeOf({ region, account, accountId }: Side): string {
  return [account, accountId, region].filter((one) => one !== undefined).join(', ');
}
