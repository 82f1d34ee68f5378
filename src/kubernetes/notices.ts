import { isDrift, type PairStatus } from '../controller/status.ts';
import { visible } from '../visible.ts';

/** Something that happened, for whoever looks at the events of a resource. */
export interface Notice {
  type: 'Normal' | 'Warning';
  reason: 'Applied' | 'Drifted' | 'Failed' | 'Blocked' | 'Invalid';
  note: string;
}

/** Why a pair is not ready where no other attempt helps: a person or the spec must change. */
const WAITING = ['Blocked', 'Refused'];

/** What happened to a pair between two looks. Pure. */
export function noticesOf(before: PairStatus, after: PairStatus): Notice[] {
  const found: Notice[] = [];
  const drifted = after.conditions.Drifted;
  if (isDrift(drifted) && drifted.message !== before.conditions.Drifted.message)
    found.push({ type: 'Warning', reason: 'Drifted', note: visible(drifted.message) });
  const [change] = after.changes;
  if (change?.result === 'applied' && change.at !== before.changes[0]?.at) {
    const ids = change.steps.map(({ id }) => id);
    const named =
      ids.length > 5 ? `${ids.slice(0, 5).join(', ')} and ${ids.length - 5} more` : ids.join(', ');
    found.push({
      type: 'Normal',
      reason: 'Applied',
      note: `${ids.length === 1 ? '1 change' : `${ids.length} changes`}: ${visible(named)}`,
    });
  }
  const [was, is] = [before.conditions.Ready, after.conditions.Ready];
  if (is.status === 'False' && is.reason !== 'ChangesPending' && is.message !== was.message)
    found.push({
      type: 'Warning',
      reason: WAITING.includes(is.reason) ? 'Blocked' : 'Failed',
      note: visible(`${is.reason}: ${is.message}`),
    });
  return found;
}
