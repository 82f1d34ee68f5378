import type { Plan } from '../core/resource.ts';
import type { BucketReplication, Side } from '../spec/types.ts';

/** More than this many buckets are no drawing any more. */
const MOST = 30;

/**
 * The buckets of the pairs that a plan is about, in their Regions and accounts, as a mermaid flowchart; what changes is
 * marked. Names of buckets, Regions and accounts are of letters that mermaid takes as they stand.
 */
export function drawing(plan: Plan, pairs: readonly BucketReplication[]): string {
  const changed = new Set(plan.waves.flat().flatMap((step) => step.pairs));
  const concerned = pairs.filter(({ name }) => changed.has(name));
  const sides = concerned.flatMap(({ source, destination }) => [source, destination]);
  const names = [...new Set(sides.map(({ bucket }) => bucket))].sort();
  if (names.length === 0 || names.length > MOST) return '';
  const id = (bucket: string) => `b${names.indexOf(bucket)}`;
  const touched = new Set(
    plan.waves
      .flat()
      .filter(({ kind }) => kind.startsWith('s3.'))
      .map((step) => step.id.slice(step.id.indexOf('/') + 1)),
  );
  const made = new Set(
    plan.waves
      .flat()
      .filter(({ kind, action }) => kind === 's3.bucket' && action === 'create')
      .map((step) => step.id.slice(step.id.indexOf('/') + 1)),
  );
  const news = (bucket: string) =>
    made.has(bucket) ? '<br/>(new)' : touched.has(bucket) ? '<br/>(changes)' : '';
  const places = [...new Set(sides.map(placeOf))].sort();
  return [
    '```mermaid',
    'flowchart LR',
    ...places.flatMap((place, index) => [
      `  subgraph p${index}["${place}"]`,
      ...names
        .filter((bucket) => sides.some((side) => side.bucket === bucket && placeOf(side) === place))
        .map(
          (bucket) =>
            `    ${id(bucket)}["${labelOf(bucket, sides)}${news(bucket)}"]${touched.has(bucket) ? ':::changed' : ''}`,
        ),
      '  end',
    ]),
    ...concerned.map(
      ({ source, destination, rules }) =>
        `  ${id(source.bucket)} -->|"${rules.length === 1 ? '1 rule' : `${rules.length} rules`}"| ${id(destination.bucket)}`,
    ),
    '  classDef changed stroke-width:3px',
    '```',
  ].join('\n');
}

/** A bucket, and the key under which it encrypts: by its alias, or the end of its ARN. */
function labelOf(bucket: string, sides: readonly Side[]): string {
  const key = sides.find((side) => side.bucket === bucket)?.key;
  if (!key) return bucket;
  return `${bucket}<br/>${'alias' in key ? key.alias : key.arn.slice(key.arn.lastIndexOf(':') + 1)}`;
}

const placeOf = ({ region, account }: Side): string =>
  account === undefined ? region : `${account}, ${region}`;
