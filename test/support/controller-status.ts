import type { ControllerStatus, PairStatus } from '../../src/controller/status.ts';

/** Returns the status of a ready pair, with some fields replaced. */
export function pairStatus(fields: Partial<PairStatus> & Pick<PairStatus, 'name'>): PairStatus {
  const { name } = fields;
  const condition = {
    status: 'True' as const,
    reason: 'Converged',
    message: 'ready',
    since: '2026-01-01T00:00:00.000Z',
  };
  return {
    labels: {},
    sides: [
      {
        source: { bucket: `acme-${name}`, region: 'us-east-1' },
        destination: { bucket: `acme-${name}-replica`, region: 'us-west-2' },
      },
    ],
    conditions: {
      Ready: condition,
      Proven: condition,
      Verified: condition,
      Replicating: condition,
      Drifted: { ...condition, status: 'False', reason: 'AsDeclared' },
    },
    generation: 'g',
    declaredGeneration: 'g',
    failures: 0,
    retry: 'none',
    changes: [],
    proof: [],
    ...fields,
  };
}

/** Returns the status of a controller with these pairs. */
export const controllerStatus = (
  pairs: PairStatus[],
  fields: Partial<ControllerStatus> = {},
): ControllerStatus => ({
  process: { startedAt: '2026-01-01T00:00:00.000Z', accounts: {}, role: 'single', leases: {} },
  pairs,
  problems: [],
  queue: { depth: 0, active: 0, adds: 0, unfinishedMs: 0, longestMs: 0 },
  isSynced: true,
  lastMove: 0,
  calls: { reads: 0, writes: 0, byOperation: {} },
  ...fields,
});
