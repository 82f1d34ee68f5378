import type { ReplicationRule } from '@aws-sdk/client-s3';
import type { Retention } from '../core/kind.ts';
import type { Retained } from '../core/resource.ts';
import { MAX_RULE_PRIORITY } from '../spec/rule-fields.ts';
import { type RuleSpec, toS3Rule } from './replication-rule.ts';

/**
 * Temporary rules for canaries. A temporary rule has the settings of a changed rule and selects only canaries, so that
 * a wrong setting or a missing permission fails no other object. Its id contains its expiry: a run that is killed leaves
 * it behind, and a later run removes it then.
 */

/** An id: the rule that it tests, the expiry in UTC to the minute, and six random hexadecimal digits. */
const CANARY_RULE_ID = /^(replikey\/([^/]+)\/[^/]+)\/canary-(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)-[0-9a-f]{6}$/;

/** Parses a temporary rule. Undefined for any other rule. */
export function parseCanaryRule(rule: ReplicationRule): Retained | undefined {
  const match = CANARY_RULE_ID.exec(rule.ID ?? '');
  if (!match) return undefined;
  const [id, replaces = '', owner = '', year, month, day, hour, minute] = match;
  return {
    id,
    expiresAtMs: Date.UTC(Number(year), Number(month) - 1, Number(day), Number(hour), Number(minute)),
    replaces,
    owner,
    original: rule,
    entry: rule,
  };
}

/**
 * Returns the id of a temporary rule, with an expiry that is rounded up to the minute.
 *
 * @param ruleId `replikey/SPEC/RULE`
 * @param untilMs in milliseconds since 1970
 * @param suffix six hexadecimal digits
 */
export function toCanaryRuleId(ruleId: string, untilMs: number, suffix: string): string {
  const expiresAtMs = Math.ceil(untilMs / 60_000) * 60_000;
  const minute = new Date(expiresAtMs).toISOString().replace(/[-:T]/g, '').slice(0, 12);
  return `${ruleId}/canary-${minute}-${suffix}`;
}

/** Returns the temporary rules that a write leaves. */
export const keptCanaryRules = (
  retained: readonly Retained[] = [],
  { mode, nowMs, ended = [] }: Retention,
): ReplicationRule[] =>
  retained
    .filter(({ id, expiresAtMs }) => !ended.includes(id) && (mode === 'keep' || expiresAtMs > nowMs))
    .map(({ entry }) => entry as ReplicationRule);

/** A temporary rule to add. */
export interface CanaryRule {
  id: string;
  /** The rule that it tests, as declared. */
  rule: RuleSpec;
  /** Prefix of the keys of the canaries. */
  keyPrefix: string;
}

/**
 * Returns temporary rules in S3's form, with free priorities above all other rules. The highest priorities keep the
 * priorities of declared rules independent of temporary ones. Undefined when too few are free.
 *
 * @param rules the existing rules and the declared rules
 */
export function toCanaryRules(
  canaryRules: readonly CanaryRule[],
  rules: readonly ReplicationRule[],
): ReplicationRule[] | undefined {
  const isTemporary = (rule: ReplicationRule) => parseCanaryRule(rule) !== undefined;
  const usedPriorities = new Set(rules.filter(isTemporary).map(({ Priority = 0 }) => Priority));
  const highest = Math.max(
    0,
    ...rules.filter((rule) => !isTemporary(rule)).map(({ Priority = 0 }) => Priority),
  );
  let priority = MAX_RULE_PRIORITY;
  const result: ReplicationRule[] = [];
  for (const { id, rule, keyPrefix } of canaryRules) {
    while (usedPriorities.has(priority)) priority -= 1;
    if (priority <= highest) return undefined;
    usedPriorities.add(priority);
    result.push(toS3Rule(id, { ...rule, status: 'Enabled', prefix: keyPrefix, priority }));
  }
  return result;
}
