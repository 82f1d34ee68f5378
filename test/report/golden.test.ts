import { stripVTControlCharacters } from 'node:util';
import { expect, test } from 'vitest';
import { planJson } from '../../src/report/json.ts';
import { planMarkdown } from '../../src/report/markdown.ts';
import { planText } from '../../src/report/plan-text.ts';
import { createColors, PLAIN_STYLE } from '../../src/report/style.ts';
import { TAX_SPEC } from '../support/env.ts';
import { CASES, planCase } from './plans.ts';
import { steady } from './steady.ts';

test.each(CASES)('$name', async (testCase) => {
  const { outcome, pairs } = await planCase(testCase);
  const { plan, proof } = outcome;
  const command = `reconcile --once specs/ --plan ${plan.digest.slice(0, 16)}`;
  const forms = {
    'plan.txt': `${planText(plan, pairs, proof)}\n`,
    'plan.md': `${planMarkdown({ ...outcome, pairs, command })}\n`,
    'plan.json': `${JSON.stringify(planJson(plan, proof), null, 2)}\n`,
  };
  // The JSON of forty pairs adds nothing to the JSON of one pair.
  const files = Object.entries(forms).filter(([file]) => pairs.length < 10 || file !== 'plan.json');
  for (const [file, text] of files)
    await expect(steady(text)).toMatchFileSnapshot(`golden/${testCase.name}/${file}`);

  const coloured = planText(plan, pairs, proof, { ...PLAIN_STYLE, paint: createColors(true) });
  expect(`${stripVTControlCharacters(coloured)}\n`, 'colours carry no information of their own').toBe(
    forms['plan.txt'],
  );
  for (const width of [80, 120]) {
    const lines = planText(plan, pairs, proof, { ...PLAIN_STYLE, width }).split('\n');
    expect(lines.filter((line) => line.length > width && !isOneWord(line))).toEqual([]);
  }
});

/** A text that the user copies as a whole is not wrapped: a name behind its mark, a document, or a command. */
const isOneWord = (line: string): boolean =>
  /^ *(([-+~!?→#]|on|fix) )*\S+$/.test(line) || /^ *(aws |jq |"|\]')/.test(line);

test('plan: a changed field of a spec changes only its own lines', async () => {
  const lines = async (yaml: string) => {
    const { outcome, pairs } = await planCase({ name: '', yaml });
    // The rule needs one more request.
    const text = planText(outcome.plan, pairs, outcome.proof).replace(/\d+ of \d+ requests/, 'all requests');
    return steady(text).split('\n');
  };
  const [before, after] = [
    await lines(TAX_SPEC),
    await lines(TAX_SPEC.replace('prefix: Tax/', 'prefix: Tax/\n      deleteMarkerReplication: true')),
  ];
  expect(after.filter((line) => !before.includes(line))).toEqual([
    '      + statements.ReplikeyDestinationDeletesTax:',
    '          Allow s3:ReplicateDelete',
    '          deleteMarkerReplication: true',
  ]);
  expect(before.filter((line) => !after.includes(line))).toEqual([]);
});

test('plan: explain adds the API calls of each change', async () => {
  const { outcome, pairs } = await planCase({ name: '', yaml: TAX_SPEC });
  const lines = planText(outcome.plan, pairs, [], { ...PLAIN_STYLE, explain: true }).split('\n');
  const explanations = lines.filter((line) => !planText(outcome.plan, pairs).split('\n').includes(line));
  expect(explanations).toHaveLength(outcome.plan.waves.flat().length);
  expect(explanations).toContain('      → s3:PutBucketVersioning in us-east-1');
  expect(explanations).toContain('      → kms:CreateKey, kms:CreateAlias in us-west-2');
});

test('plan: shows the values of variables and the pairs without changes', async () => {
  const books = TAX_SPEC.replaceAll('tax', 'books');
  const { outcome, pairs } = await planCase({ name: '', before: books, yaml: `${TAX_SPEC}---\n${books}` });
  const text = planText(outcome.plan, pairs, [], PLAIN_STYLE, [
    { name: 'stage', value: 'prod', from: '--var' },
    { name: 'days', value: 7, from: 'default' },
  ]);
  expect(text).toMatch(/^Variables: stage=prod \(--var\), days=7 \(default\)\n\ntax {2}/);
  expect(text).toMatch(/^Pairs without changes: books\.\nPlan: 13 to create/m);
});
