import { type Path, positionOf } from '../document.ts';
import { ruleNamesOf } from '../resolve.ts';
import { MAX_FILTER_TAGS, prefixOfDeclaration, type RuleDeclaration } from '../rule-fields.ts';
import { formatPosition } from '../source-file.ts';
import type { CheckedReplication } from '../validate.ts';
import type { CheckFailure, PairCheck } from './pairs.ts';

/** Checks of declared rules. */
export const ruleChecks: readonly PairCheck[] = [
  checkRuleHasFilter,
  checkLiteralPrefix,
  checkExclusion,
  checkLiteralExclusion,
  checkTagCount,
  checkDeleteMarkerTags,
  checkTimeControlMetrics,
  checkRuleNamesUnique,
];

const checkEachRule =
  (check: (rule: RuleDeclaration, path: Path) => CheckFailure[]) =>
  ({ content }: CheckedReplication): CheckFailure[] =>
    content.spec.rules.flatMap((rule, index) => check(rule, ['spec', 'rules', index]));

function checkRuleHasFilter(pair: CheckedReplication): CheckFailure[] {
  return checkEachRule((rule, path) => {
    const { prefix, filter } = rule;
    if (prefix !== undefined && filter !== undefined) {
      const hint = 'keep one; prefix is the short form of filter.prefix';
      return [[[...path, 'filter'], 'prefix and filter are both set', hint]];
    }
    if (prefix !== undefined || filter?.prefix !== undefined) return [];
    if (Object.keys(filter?.tags ?? {}).length > 0) return [];
    const hint = 'add prefix: Tax/, or prefix: "" for every object';
    return [[path, 'the rule has neither a prefix nor tags', hint]];
  })(pair);
}

/** Refuses an asterisk that is meant as a wildcard: S3 compares prefixes literally, so the rule would match nothing. */
function checkLiteralPrefix(pair: CheckedReplication): CheckFailure[] {
  return checkEachRule((rule, path) => {
    const prefix = prefixOfDeclaration(rule);
    if (!prefix.includes('*') || rule.literal) return [];
    const meant = prefix.slice(0, prefix.indexOf('*'));
    const field = rule.prefix === undefined ? ['filter', 'prefix'] : ['prefix'];
    const message = `the prefix "${prefix}" contains an asterisk, which S3 compares literally: it has no wildcards`;
    const hint = `use prefix: ${meant === '' ? '"", for every object' : meant}; add literal: true to the rule if keys do contain the asterisk`;
    return [[[...path, ...field], message, hint]];
  })(pair);
}

/** Refuses an exclusion that excludes nothing, or every object that the rule selects. */
function checkExclusion(pair: CheckedReplication): CheckFailure[] {
  return checkEachRule((rule, path): CheckFailure[] => {
    const { exclude, tags = {} } = rule.filter ?? {};
    if (!exclude) return [];
    const { prefixes = [], tags: excludedTags = {} } = exclude;
    const excludePath = [...path, 'filter', 'exclude'];
    if (prefixes.length + Object.keys(excludedTags).length === 0)
      return [[excludePath, 'exclude has neither prefixes nor tags', 'add one, or remove exclude']];
    const prefix = prefixOfDeclaration(rule);
    const index = prefixes.findIndex((excluded) => prefix.startsWith(excluded));
    if (index >= 0) {
      const message = `the rule excludes every object that it selects: its prefix "${prefix}" begins with "${prefixes[index]}"`;
      return [[[...excludePath, 'prefixes', index], message, 'remove it, or set enabled: false']];
    }
    const tag = Object.entries(excludedTags).find(([key, value]) => tags[key] === value);
    if (!tag) return [];
    const message = `the rule excludes every object that it selects: it also requires the tag ${tag.join('=')}`;
    return [
      [
        [...excludePath, 'tags', tag[0]],
        message,
        'remove one of the two',
        [...path, 'filter', 'tags', tag[0]],
      ],
    ];
  })(pair);
}

/** Refuses an asterisk that is meant as a wildcard in an excluded prefix, which then would exclude nothing. */
function checkLiteralExclusion(pair: CheckedReplication): CheckFailure[] {
  return checkEachRule(({ filter, literal }, path) =>
    (filter?.exclude?.prefixes ?? []).flatMap((prefix, index): CheckFailure[] => {
      if (!prefix.includes('*') || literal) return [];
      const message = `the excluded prefix "${prefix}" contains an asterisk, which S3 compares literally: it has no wildcards`;
      const hint =
        'use the beginning of the keys, or tags; add literal: true to the rule if keys do contain the asterisk';
      return [[[...path, 'filter', 'exclude', 'prefixes', index], message, hint]];
    }),
  )(pair);
}

function checkTagCount(pair: CheckedReplication): CheckFailure[] {
  return checkEachRule(({ filter }, path) => {
    const count = Object.keys(filter?.tags ?? {}).length;
    if (count <= MAX_FILTER_TAGS) return [];
    const message = `the filter has ${count} tags, but an object has at most ${MAX_FILTER_TAGS}`;
    return [[[...path, 'filter', 'tags'], message, 'remove some tags; the rule would never match']];
  })(pair);
}

function checkDeleteMarkerTags(pair: CheckedReplication): CheckFailure[] {
  return checkEachRule(({ filter, deleteMarkerReplication }, path) => {
    if (!deleteMarkerReplication || Object.keys(filter?.tags ?? {}).length === 0) return [];
    const message = 'delete markers have no tags, so a rule that filters by tags cannot replicate them';
    return [[[...path, 'deleteMarkerReplication'], message, 'remove one of the two', [...path, 'filter']]];
  })(pair);
}

function checkTimeControlMetrics(pair: CheckedReplication): CheckFailure[] {
  return checkEachRule(({ replicationTimeControl, metrics }, path) => {
    if (!replicationTimeControl || metrics) return [];
    return [[[...path, 'metrics'], 'replicationTimeControl requires metrics', 'remove metrics: false']];
  })(pair);
}

function checkRuleNamesUnique({ content, parsed }: CheckedReplication): CheckFailure[] {
  const names = ruleNamesOf(content.spec.rules);
  return names.flatMap((name, index): CheckFailure[] => {
    const first = names.indexOf(name);
    if (first === index) return [];
    const firstPath: Path = ['spec', 'rules', first, 'name'];
    const message = `the rule name ${name} is already used at ${formatPosition(positionOf(parsed, firstPath))}`;
    return [[['spec', 'rules', index, 'name'], message, 'give each rule of a spec its own name', firstPath]];
  });
}
