import { NARROW_TAG_PREFIX } from '../core/ids.ts';
import type { Housekeeping, Plan, RetainedBy } from '../core/resource.ts';
import type { Statement } from '../iam/types.ts';
import { hasUntilSid } from '../policy/transitions.ts';
import type { Outcome } from '../reconcile/pass.ts';
import { durationText } from '../util/clock.ts';
import { statementLines } from './change-text.ts';
import { type PlanStyle, wrapText } from './style.ts';

/** Returns the permissions that a step replaces, and how long they stay: a heading and a line for each. */
export function retainedLines(
  { drainSeconds, statements }: RetainedBy,
  { paint, width }: PlanStyle,
): string[] {
  if (drainSeconds === 0) return [];
  return [
    ...wrapText(
      '      ',
      paint.dim(`stays for ${durationText(drainSeconds)} after the write, for objects in flight:`),
      width,
    ),
    ...Object.values(statements).flatMap((statement) =>
      wrapText('          ', grantText(statement as Statement), width, { hang: 4 }),
    ),
  ];
}

/** Returns a statement in one line, without its conditions. */
export const grantText = (statement: Statement): string =>
  statementLines({ ...statement, Condition: {} })
    .join(' ')
    .replace(/^Allow /, '');

/**
 * Returns the housekeeping of a plan, and the expiry of the permissions that stay, each in one line. A time is the same
 * in every reader's time zone, and stays right in a comment that is read later.
 */
export function housekeepingLines({
  housekeeping,
  retained,
}: Pick<Plan, 'housekeeping' | 'retained'>): string[] {
  return [
    ...(['renew', 'expire', 'retain'] as const).flatMap((action) => {
      const items = housekeeping.filter((item) => item.action === action);
      return items.length === 0 ? [] : [HOUSEKEEPING_TEXTS[action](countSids(items))];
    }),
    ...expiryLine(retained),
  ];
}

/** Returns what an apply has removed, in one line. */
export function removedText({ housekeeping }: Pick<Plan, 'housekeeping'>): string[] {
  const items = housekeeping.filter(({ action }) => action === 'expire');
  return items.length === 0 ? [] : [`Removed ${countSids(items)} that expired.`];
}

/** Returns the policies in which an interrupted run left replaced permissions, each in one line. */
export const leftByInterruptLines = ({ plan, results }: Pick<Outcome, 'plan' | 'results'>): string[] => {
  const applied = new Set(results.flatMap(({ id, result }) => (result === 'applied' ? id : [])));
  return plan.waves
    .flat()
    .filter(({ id, retains }) => retains !== undefined && applied.has(id))
    .map(({ id, retains }) => {
      const count = statementCount(Object.keys(retains?.statements ?? {}).length);
      return `  still granted until a later run removes it: ${id}: ${count} for objects in flight`;
    });
};

/**
 * Returns the permissions that a run should have removed and that are still granted, each in one line: the writes that
 * remove them failed, or the run ended before them.
 */
export const stillGrantedLines = (housekeeping: readonly Housekeeping[]): string[] =>
  housekeeping
    .filter(({ action }) => action !== 'retain')
    .flatMap(({ id, sids }) => sids.filter((Sid) => hasUntilSid({ Sid })).map((sid) => `${id}: ${sid}`))
    .map((statement) => `  still granted until the next run removes it: ${statement}`);

const HOUSEKEEPING_TEXTS: Record<Housekeeping['action'], (statements: string) => string> = {
  renew: (statements) =>
    `Housekeeping: ${statements} for objects in flight to renew, because rules still change.`,
  retain: (statements) =>
    `Housekeeping: ${statements} of a former role to keep for one more drain, then to remove.`,
  expire: (statements) => `Housekeeping: ${statements} to remove that expired.`,
};

/** Counts entries: statements of policies, and temporary rules of canaries, which an interrupted run leaves. */
function countSids(items: readonly Housekeeping[]): string {
  const sids = items.flatMap((item) => item.sids);
  const tags = sids.filter((sid) => sid.startsWith(NARROW_TAG_PREFIX)).length;
  const rules = sids.filter((sid) => !sid.startsWith('Replikey')).length - tags;
  return [
    ...(sids.length > rules + tags ? [statementCount(sids.length - rules - tags)] : []),
    ...(rules > 0 ? [`${rules} temporary rule${rules === 1 ? '' : 's'}`] : []),
    ...(tags > 0 ? [`${tags} tag${tags === 1 ? '' : 's'} of a former role`] : []),
  ].join(' and ');
}

const statementCount = (count: number): string => `${count} statement${count === 1 ? '' : 's'}`;

/** Returns `3 statements expire by 2026-12-01 10:15 UTC, for objects in flight.` */
export function expiryLine(retained: Plan['retained']): string[] {
  const latest = retained
    .map(({ expiresAt }) => expiresAt)
    .sort()
    .at(-1);
  if (latest === undefined) return [];
  const verb = retained.length === 1 ? 'expires' : 'expire by';
  return [
    `${statementCount(retained.length)} ${verb}${retained.length === 1 ? ' at' : ''} ${instantText(latest)}, for objects in flight; the next run after that removes ${retained.length === 1 ? 'it' : 'them'}.`,
  ];
}

/** `2026-12-01 10:15 UTC` */
const instantText = (iso: string): string => `${iso.slice(0, 16).replace('T', ' ')} UTC`;
