import type { Plan, Step } from '../core/resource.ts';
import type { BucketReplication, Side } from '../spec/types.ts';

/** More than this many buckets are no drawing any more. */
const MAX_DIAGRAM_BUCKETS = 30;

/**
 * The buckets of the pairs that a plan is about, in their Regions and accounts, with their keys, as a mermaid flowchart.
 * What is new or changes says so in words, and has a thicker line. Names of buckets, keys, Regions and accounts are of
 * letters that mermaid takes as they stand, in quotes. None where nothing changes, or too much to be drawn.
 */
export function planDiagram(plan: Plan, pairs: readonly BucketReplication[]): string[] {
  const steps = plan.waves.flat();
  const changedNames = new Set(steps.flatMap((step) => step.pairs));
  const changedPairs = pairs.filter(({ name }) => changedNames.has(name));
  const sides = changedPairs.flatMap(({ source, destination }) => [source, destination]);
  const bucketNames = [...new Set(sides.map(({ bucket }) => bucket))].sort();
  if (bucketNames.length === 0 || bucketNames.length > MAX_DIAGRAM_BUCKETS) return [];
  const nodeId = (bucket: string) => `b${bucketNames.indexOf(bucket)}`;
  const locations = [...new Set(sides.map(subgraphTitle))].sort();
  const buckets = bucketNames.map((bucket) => {
    const side = sides.find((candidate) => candidate.bucket === bucket);
    const labels = [bucket, ...(side?.key ? [keyLabel(side.key)] : [])];
    const marks = [
      changeMark(steps.filter((step) => isBucketStep(step, bucket))),
      ...(side ? [changeMark(steps.filter((step) => isKeyStep(step, side)))] : []),
    ];
    const text = labels.map((label, index) => `${label}${marks[index]}`).join('<br/>');
    return {
      location: side && subgraphTitle(side),
      line: `    ${nodeId(bucket)}["${text}"]${marks.join('') === '' ? '' : ':::changed'}`,
    };
  });
  const arrows = changedPairs.map((pair) => {
    const mark = changeMark(steps.filter((step) => isRuleStep(step, pair)));
    const rules = pair.rules.length === 1 ? '1 rule' : `${pair.rules.length} rules`;
    return `  ${nodeId(pair.source.bucket)} ${mark === '' ? '-->' : '==>'}|"${rules}${mark}"| ${nodeId(pair.destination.bucket)}`;
  });
  const lines = [
    // A name and its mark stay on one line.
    '%%{init: {"flowchart": {"wrappingWidth": 600}}}%%',
    'flowchart LR',
    ...locations.flatMap((location, index) => [
      `  subgraph p${index}["${location}"]`,
      ...buckets.filter((node) => node.location === location).map(({ line }) => line),
      '  end',
    ]),
    ...arrows,
    '  classDef changed stroke-width:3px',
  ];
  return [['```mermaid', ...lines, '```'].join('\n')];
}

/** Whether something is new, or changes. */
function changeMark(steps: readonly Step[]): string {
  if (steps.length === 0) return '';
  const isNew = steps.some(({ kind, action }) => PRIMARY_KINDS.has(kind) && action === 'create');
  return isNew ? ' ✱ new' : ' ✱ changes';
}

/** Kinds that are the thing itself, and no setting of one. */
const PRIMARY_KINDS: ReadonlySet<string> = new Set(['s3.bucket', 'kms.key', 's3.replication']);

const isBucketStep = ({ kind, id }: Step, bucket: string): boolean =>
  kind.startsWith('s3.') && kind !== 's3.replication' && id === `${kind}/${bucket}`;

/** Keys are named by alias and place, or by ARN. */
const isKeyStep = ({ kind, id, at }: Step, { key, region, account }: Side): boolean =>
  key !== undefined &&
  (kind === 'kms.key' || kind === 'kms.key-policy') &&
  ('arn' in key ? id === `${kind}/${key.arn}` : id.startsWith(`${kind}/${key.alias}@`)) &&
  at.region === region &&
  at.account === account;

/** Several pairs share the configuration of a source; what is about the rules of one bears its name. */
const isRuleStep = ({ kind, id, action, patch }: Step, { name, source }: BucketReplication): boolean =>
  kind === 's3.replication' &&
  id === `${kind}/${source.bucket}` &&
  (action === 'create' || patch.some(({ path }) => path.startsWith(`/rules/replikey~1${name}~1`)));

const keyLabel = (key: NonNullable<Side['key']>): string =>
  'alias' in key ? key.alias : key.arn.slice(key.arn.lastIndexOf(':') + 1);

function subgraphTitle({ region, account, accountId }: Side): string {
  return [account, accountId, region].filter((part) => part !== undefined).join(', ');
}
