import type { ReplicationRule } from '@aws-sdk/client-s3';
import { finding } from './findings.ts';
import type { Finding } from './types.ts';
import { destinationOf, prefixOf, type RuleWorld, tagsOf } from './world.ts';

/** What the rules say of each other, and what a reader would want to know of one. */
export function ruleFindings({ rule, rules, source }: RuleWorld): Finding[] {
  const prefix = prefixOf(rule);
  return [
    ...others(rule, rules),
    ...(prefix.startsWith('/')
      ? [
          finding(
            'RK1006',
            `the prefix ${prefix} begins with a slash: keys of objects do not, unless they were written so`,
          ),
        ]
      : []),
    ...(prefix !== '' && !prefix.endsWith('/')
      ? [finding('RK1007', `the prefix ${prefix} takes ${prefix}-2/… too, and whatever else begins with it`)]
      : []),
    ...(rule.Destination?.Metrics?.Status === 'Enabled'
      ? []
      : [finding('RK1008', 'metrics are off: S3 tells nobody when an object fails')]),
    ...(rule.Filter === undefined
      ? [
          finding(
            'RK1009',
            `the rule has no filter, as the old form (V1) had none: ${source.name} replicates all delete markers under it`,
          ),
        ]
      : []),
  ];
}

/** For one destination the rule of the higher priority takes an object, so that others may stand in vain. */
function others(rule: ReplicationRule, rules: readonly ReplicationRule[]): Finding[] {
  const above = rules.filter(
    (other) =>
      other !== rule &&
      other.Status === 'Enabled' &&
      destinationOf(other) === destinationOf(rule) &&
      (other.Priority ?? 0) > (rule.Priority ?? 0),
  );
  const wider = above.find((other) => covers(other, rule));
  if (wider)
    return [
      finding('RK1004', `the rule ${wider.ID} has a higher priority, and takes whatever this one would`),
    ];
  return above
    .filter((other) => overlap(other, rule))
    .map((other) =>
      finding('RK1005', `the rule ${other.ID} has a higher priority, and takes what both would`),
    );
}

const covers = (wide: ReplicationRule, narrow: ReplicationRule): boolean =>
  prefixOf(narrow).startsWith(prefixOf(wide)) && tagsOf(wide).every((tag) => tagsOf(narrow).includes(tag));

/** Tags apart, since an object may have those of both. */
const overlap = (one: ReplicationRule, other: ReplicationRule): boolean =>
  prefixOf(one).startsWith(prefixOf(other)) || prefixOf(other).startsWith(prefixOf(one));
