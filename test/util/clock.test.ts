import { getEventListeners, once } from 'node:events';
import { afterEach, expect, test } from 'vitest';
import { createAbortController, sleep, systemClock } from '../../src/util/clock.ts';
import { files, sourceTextOf } from '../support/imports.ts';

const warnings: Error[] = [];
const recordWarning = (warning: Error) => void warnings.push(warning);
afterEach(() => {
  process.off('warning', recordWarning);
  warnings.length = 0;
});

test('createAbortController: more than ten waits cause no warning, and leave no listener', async () => {
  process.on('warning', recordWarning);
  const controller = createAbortController();
  const waits = Array.from({ length: 50 }, () => sleep(systemClock, 60_000, controller.signal));
  expect(getEventListeners(controller.signal, 'abort')).toHaveLength(50);
  controller.abort();
  await Promise.all(waits);
  expect(getEventListeners(controller.signal, 'abort')).toEqual([]);
  // Node emits warnings in order, each one turn later.
  process.emitWarning('the last warning');
  await once(process, 'warning');
  expect(warnings.map(({ message }) => message)).toEqual(['the last warning']);
});

test('createAbortController: no other code creates an abort controller', () => {
  // The sandbox shares no utilities. Its controllers belong to one request each.
  const shared = files.filter((file) => !file.startsWith('sandbox/'));
  expect(shared.filter((file) => sourceTextOf(file).includes('new AbortController'))).toEqual([
    'util/clock.ts',
  ]);
});
