import { positionOf } from '../document.ts';
import type { Path } from '../path.ts';
import { ruleNames } from '../resolve.ts';
import type { WrittenRule } from '../schema.ts';
import { at } from '../source.ts';
import type { CheckedReplication } from '../validate.ts';
import type { Finding, Rule } from './finding.ts';

/** What is declared of rules. */
export const ruleRules: readonly Rule[] = [
  ruleSaysWhat,
  tagsFit,
  deleteMarkersHaveNoTags,
  timeControlNeedsMetrics,
  ruleNamesDiffer,
];

const ofRules =
  (look: (rule: WrittenRule, path: Path) => Finding[]) =>
  ({ written }: CheckedReplication): Finding[] =>
    written.spec.rules.flatMap((rule, index) => look(rule, ['spec', 'rules', index]));

function ruleSaysWhat(pair: CheckedReplication): Finding[] {
  return ofRules((rule, path) => {
    const { prefix, filter } = rule;
    if (prefix !== undefined && filter !== undefined) {
      const hint = 'prefix is the short form of filter.prefix: keep one';
      return [[[...path, 'filter'], 'both prefix and filter are given', hint]];
    }
    if (prefix !== undefined || filter?.prefix !== undefined) return [];
    if (Object.keys(filter?.tags ?? {}).length > 0) return [];
    const hint = 'add prefix: Tax/, or prefix: "" for every object';
    return [[path, 'the rule does not say which objects it replicates', hint]];
  })(pair);
}

function tagsFit(pair: CheckedReplication): Finding[] {
  return ofRules(({ filter }, path) => {
    const count = Object.keys(filter?.tags ?? {}).length;
    if (count <= 10) return [];
    const message = `${count} tags are asked for, and an object has at most 10`;
    return [[[...path, 'filter', 'tags'], message, 'such a rule never matches: remove some']];
  })(pair);
}

function deleteMarkersHaveNoTags(pair: CheckedReplication): Finding[] {
  return ofRules(({ filter, deleteMarkerReplication }, path) => {
    if (!deleteMarkerReplication || Object.keys(filter?.tags ?? {}).length === 0) return [];
    const message = 'delete markers have no tags, so a rule that filters by tags cannot replicate them';
    return [[[...path, 'deleteMarkerReplication'], message, 'remove one of the two', [...path, 'filter']]];
  })(pair);
}

function timeControlNeedsMetrics(pair: CheckedReplication): Finding[] {
  return ofRules(({ replicationTimeControl, metrics }, path) => {
    if (!replicationTimeControl || metrics) return [];
    return [[[...path, 'metrics'], 'replicationTimeControl needs metrics', 'remove metrics: false']];
  })(pair);
}

function ruleNamesDiffer({ written, parsed }: CheckedReplication): Finding[] {
  const names = ruleNames(written.spec.rules);
  return names.flatMap((name, index): Finding[] => {
    const first = names.indexOf(name);
    if (first === index) return [];
    const before: Path = ['spec', 'rules', first, 'name'];
    const message = `the rule name ${name} is already used at ${at(positionOf(parsed, before))}`;
    return [[['spec', 'rules', index, 'name'], message, 'give each rule of a spec its own name', before]];
  });
}
