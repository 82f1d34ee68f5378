/** What shares a reason, together, in the order of the first of each. */
export function groupByReason<I extends string>(
  items: readonly { id: I; why?: string }[],
): [why: string, ids: I[]][] {
  const reasons = new Map<string, I[]>();
  for (const { id, why = '' } of items) reasons.set(why, [...(reasons.get(why) ?? []), id]);
  return [...reasons];
}
