import { expect, test } from 'vitest';
import { planJson } from '../../src/report/json.ts';
import { planMarkdown } from '../../src/report/markdown.ts';
import { planText } from '../../src/report/text.ts';
import { TAX } from '../support/world.ts';
import { CASES, planned } from './plans.ts';

/** Without what differs from run to run: where specs lie, ids that AWS makes, and checksums over these. */
const steady = (text: string): string =>
  text
    .replace(/[\w./-]*\/replikey-test-\w+\//g, '')
    .replace(/key\/(?!1{8}|9{8}|1234abcd)[0-9a-f]{8}-[0-9a-f-]{27}/g, 'key/(made by KMS)')
    .replace(/,\s+request\s+[\w-]{36}/g, '')
    .replace(/(Checksum |--plan )[0-9a-f]{16}/g, '$1C')
    .replace(/"digest": "[0-9a-f]{64}"/g, '"digest": "C"')
    .replace(/AROA[A-Z0-9]{17}/g, 'AROA');

test.each(CASES)('$name', async (one) => {
  const { outcome, pairs } = await planned(one);
  const { plan, proof } = outcome;
  const command = `reconcile --once specs/ --plan ${plan.digest.slice(0, 16)}`;
  const forms = {
    'plan.txt': `${planText(plan, pairs, proof)}\n`,
    'plan.md': `${planMarkdown({ ...outcome, pairs, command })}\n`,
    'plan.json': `${JSON.stringify(planJson(plan, proof), null, 2)}\n`,
  };
  // What forty pairs look like to a program is what one looks like.
  const shown = Object.entries(forms).filter(([file]) => pairs.length < 10 || file !== 'plan.json');
  for (const [file, text] of shown)
    await expect(steady(text)).toMatchFileSnapshot(`golden/${one.name}/${file}`);
});

test('a field of a spec that changes changes the lines of the plan that are about it, and no other', async () => {
  const lines = async (yaml: string) => {
    const { outcome, pairs } = await planned({ name: '', yaml });
    return steady(planText(outcome.plan, pairs, outcome.proof)).split('\n');
  };
  const [one, other] = [
    await lines(TAX),
    await lines(TAX.replace('prefix: Tax/', 'prefix: Tax/\n      deleteMarkerReplication: true')),
  ];
  expect(other.filter((line) => !one.includes(line))).toEqual([
    '      + statements.ReplikeyDestinationDeletesTax:',
    '          Allow s3:ReplicateDelete',
    '          deleteMarkerReplication: true',
  ]);
  expect(one.filter((line) => !other.includes(line))).toEqual([]);
});
