import type { Refusal } from '../core/guard.ts';
import type { Plan } from '../core/resource.ts';
import type { RuleVerdict } from './types.ts';

/**
 * Reasons not to apply a plan: rules that would not replicate once it is applied. Specs that something blocks are told so
 * by the plan, and their replication is not switched on anyway.
 */
export function unprovenRefusals(proofs: readonly RuleVerdict[], { blocked }: Plan): Refusal[] {
  const blockedSpecs = new Set(blocked.flatMap(({ pairs }) => pairs));
  return proofs
    .filter(({ verdict, spec = '' }) => verdict === 'broken' && !blockedSpecs.has(spec))
    .map(({ rule, findings }) => ({
      id: 'unproven',
      message: `${rule} would not replicate: ${findings[0]?.code} ${findings[0]?.message}; mend that, or apply it all the same with --allow-unproven`,
    }));
}
