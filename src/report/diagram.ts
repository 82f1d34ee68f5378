import { toRuleId } from '../core/ids.ts';
import type { Plan, Step } from '../core/resource.ts';
import type { BucketReplication, Side } from '../spec/types.ts';
import { parsePointer } from '../util/json-pointer.ts';

/** A diagram with more buckets is too large to read. */
const MAX_DIAGRAM_BUCKETS = 30;

/**
 * Returns a mermaid flowchart of the buckets of the changed pairs, with their Regions, accounts and keys. Marks new
 * and changed nodes with words and a thicker line. Names of buckets, keys, Regions and accounts need no escaping in
 * mermaid quotes. Returns an empty list if nothing changes, or if there are too many buckets.
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
    // Keeps a name and its mark on one line.
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

/** Returns the mark of a node or an arrow: new, changed, or none. */
function changeMark(steps: readonly Step[]): string {
  if (steps.length === 0) return '';
  const isNew = steps.some((step) => step.action === 'create' && hasCall(step, CREATION_CALLS));
  return isNew ? ' ✱ new' : ' ✱ changes';
}

const hasCall = ({ calls }: Step, operations: ReadonlySet<string>): boolean =>
  calls.some((call) => operations.has(call));

const isServiceStep = ({ calls }: Step, service: string): boolean =>
  calls.some((call) => call.startsWith(`${service}:`));

const REPLICATION_CALLS: ReadonlySet<string> = new Set([
  's3:PutBucketReplication',
  's3:DeleteBucketReplication',
]);

/** Calls that create a resource itself, as opposed to a setting of it. */
const CREATION_CALLS: ReadonlySet<string> = new Set([
  's3:CreateBucket',
  'kms:CreateKey',
  's3:PutBucketReplication',
]);

const isBucketStep = (step: Step, bucket: string): boolean =>
  isServiceStep(step, 's3') && !hasCall(step, REPLICATION_CALLS) && step.id === `${step.kind}/${bucket}`;

/** Returns true if a step changes a key. The step id names the key by alias and location, or by ARN. */
const isKeyStep = (step: Step, { key, region, account }: Side): boolean =>
  key !== undefined &&
  isServiceStep(step, 'kms') &&
  ('arn' in key ? step.id === `${step.kind}/${key.arn}` : step.id.startsWith(`${step.kind}/${key.alias}@`)) &&
  step.at.region === region &&
  step.at.account === account;

/**
 * Returns true if a step changes the rules of a pair. Several pairs share the configuration of a source; the rule ids
 * contain the name of the pair.
 */
const isRuleStep = (step: Step, { name, source }: BucketReplication): boolean =>
  hasCall(step, REPLICATION_CALLS) &&
  step.id === `${step.kind}/${source.bucket}` &&
  (step.action === 'create' ||
    step.patch.some(({ path }) => {
      const [field, ruleId = ''] = parsePointer(path);
      return field === 'rules' && ruleId.startsWith(toRuleId(name, ''));
    }));

const keyLabel = (key: NonNullable<Side['key']>): string =>
  'alias' in key ? key.alias : key.arn.slice(key.arn.lastIndexOf(':') + 1);

function subgraphTitle({ region, account, accountId }: Side): string {
  return [account, accountId, region].filter((part) => part !== undefined).join(', ');
}
