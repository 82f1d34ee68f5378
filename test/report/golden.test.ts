import { stripVTControlCharacters } from 'node:util';
import { expect, test } from 'vitest';
import { planJson } from '../../src/report/json.ts';
import { planMarkdown } from '../../src/report/markdown.ts';
import { planText } from '../../src/report/plan-text.ts';
import { createColors, PLAIN_STYLE } from '../../src/report/style.ts';
import { TAX_SPEC } from '../support/env.ts';
import { CASES, planned } from './plans.ts';
import { steady } from './steady.ts';

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

  const coloured = planText(plan, pairs, proof, { ...PLAIN_STYLE, paint: createColors(true) });
  expect(`${stripVTControlCharacters(coloured)}\n`, 'colours say nothing of their own').toBe(
    forms['plan.txt'],
  );
  for (const width of [80, 120]) {
    const lines = planText(plan, pairs, proof, { ...PLAIN_STYLE, width }).split('\n');
    expect(lines.filter((line) => line.length > width && !isOneWord(line))).toEqual([]);
  }
});

/** What is copied as a whole is not broken: a name, behind its mark, or a command. */
const isOneWord = (line: string): boolean =>
  /^ *(([-+~!?→#]|on|fix) )*\S+$/.test(line) || /^ *(\$|") ?/.test(line);

test('a field of a spec that changes changes the lines of the plan that are about it, and no other', async () => {
  const lines = async (yaml: string) => {
    const { outcome, pairs } = await planned({ name: '', yaml });
    return steady(planText(outcome.plan, pairs, outcome.proof)).split('\n');
  };
  const [one, other] = [
    await lines(TAX_SPEC),
    await lines(TAX_SPEC.replace('prefix: Tax/', 'prefix: Tax/\n      deleteMarkerReplication: true')),
  ];
  expect(other.filter((line) => !one.includes(line))).toEqual([
    '      + statements.ReplikeyDestinationDeletesTax:',
    '          Allow s3:ReplicateDelete',
    '          deleteMarkerReplication: true',
  ]);
  expect(one.filter((line) => !other.includes(line))).toEqual([]);
});

test('a plan names the API calls that make each change where that is asked for', async () => {
  const { outcome, pairs } = await planned({ name: '', yaml: TAX_SPEC });
  const lines = planText(outcome.plan, pairs, [], { ...PLAIN_STYLE, explain: true }).split('\n');
  const told = lines.filter((line) => !planText(outcome.plan, pairs).split('\n').includes(line));
  expect(told).toHaveLength(outcome.plan.waves.flat().length);
  expect(told).toContain('      → s3:PutBucketVersioning in us-east-1');
  expect(told).toContain('      → kms:CreateKey, kms:CreateAlias in us-west-2');
});

test('a plan says what variables are worth, and which pairs are as declared', async () => {
  const books = TAX_SPEC.replaceAll('tax', 'books');
  const { outcome, pairs } = await planned({ name: '', before: books, yaml: `${TAX_SPEC}---\n${books}` });
  const text = planText(outcome.plan, pairs, [], PLAIN_STYLE, [
    { name: 'stage', value: 'prod', from: '--var' },
    { name: 'days', value: 7, from: 'default' },
  ]);
  expect(text).toMatch(/^Variables: stage=prod \(--var\), days=7 \(default\)\n\ntax {2}/);
  expect(text).toMatch(/^As declared already: books\.\nPlan: 13 to create/m);
});
