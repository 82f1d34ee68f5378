import { expect, test } from 'vitest';
import { pruned } from '../../src/core/desire.ts';
import type { Resource } from '../../src/core/resource.ts';
import { aPair } from '../support/pair.ts';

test('what several specs share is pruned only where each of them says so', () => {
  const retain = aPair({ name: 'retain' });
  const remove = aPair({ name: 'remove', policy: { ...retain.policy, deletion: 'Remove' } });
  const resource = (pairs: string[]) => ({ id: 'x/1', pairs }) as unknown as Resource;
  const prunes = (...pairs: string[]) => pruned([resource(pairs)], [retain, remove])[0]?.prune ?? false;
  expect([prunes('remove'), prunes('retain'), prunes('remove', 'retain')]).toEqual([true, false, false]);
});
