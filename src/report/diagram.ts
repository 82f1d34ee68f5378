import { toRuleId } from '../core/ids.ts';
import type { Plan, Step } from '../core/resource.ts';
import type { BucketReplication, Side } from '../spec/types.ts';
import { parsePointer } from '../util/json-pointer.ts';

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

/** Calls that create a thing itself, and not a setting of one. */
const CREATION_CALLS: ReadonlySet<string> = new Set([
  's3:CreateBucket',
  'kms:CreateKey',
  's3:PutBucketReplication',
]);

const isBucketStep = (step: Step, bucket: string): boolean =>
  isServiceStep(step, 's3') && !hasCall(step, REPLICATION_CALLS) && step.id === `${step.kind}/${bucket}`;

/** Keys are named by alias and place, or by ARN. */
const isKeyStep = (step: Step, { key, region, account }: Side): boolean =>
  key !== undefined &&
  isServiceStep(step, 'kms') &&
  ('arn' in key ? step.id === `${step.kind}/${key.arn}` : step.id.startsWith(`${step.kind}/${key.alias}@`)) &&
  step.at.region === region &&
  step.at.account === account;

/** Several pairs share the configuration of a source; what is about the rules of one bears its name. */
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
