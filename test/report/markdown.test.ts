import { expect, test } from 'vitest';
import type { PassOptions } from '../../src/reconcile/pass.ts';
import { planDiagram } from '../../src/report/diagram.ts';
import { planMarkdown } from '../../src/report/markdown.ts';
import { parseSpecs, TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';
import { CASES, type Case, planned } from './plans.ts';

const COMMAND = 'reconcile --once specs/ --plan 0123456789abcdef';

async function markdownOf(env: TestEnv, yaml?: string): Promise<string> {
  const options = { dryRun: true };
  const outcome = await (yaml === undefined ? env.reconcile(options) : env.reconcileWith(yaml, options));
  const { pairs } = yaml === undefined ? env.specs : await parseSpecs(yaml);
  const text = planMarkdown({ ...outcome, pairs, command: COMMAND });
  return text.replace(/\S*\/(?=spec\.yaml)/g, '');
}

test('a plan for a pull request: summary and proof, a drawing, folded details, and the command', async () => {
  await using env = await testEnv();
  await env.reconcile();
  const text = await markdownOf(env, TAX_SPEC.replace('prefix: Tax/', 'prefix: Tax/\n      metrics: false'));
  expect(text).toMatchInlineSnapshot(`
    "<!-- replikey: plan -->

    ### replikey: 0 to create, 1 to update, 12 unchanged.

    Proof: 1 of 1 rules proven.

    \`\`\`mermaid
    %%{init: {"flowchart": {"wrappingWidth": 600}}}%%
    flowchart LR
      subgraph p0["us-east-1"]
        b0["acme-tax<br/>alias/acme-tax"]
      end
      subgraph p1["us-west-2"]
        b1["acme-tax-replica<br/>alias/acme-tax-replica"]
      end
      b0 ==>|"1 rule ✱ changes"| b1
      classDef changed stroke-width:3px
    \`\`\`

    <details><summary><b>tax</b>: acme-tax (us-east-1) → acme-tax-replica (us-west-2) · 1 to update · spec.yaml:1</summary>

    \`\`\`diff
    !   s3.replication/acme-tax
          # metrics of the rule replikey/tax/tax differs from the spec
    !       rules["replikey/tax/tax"].metrics: true → false
    \`\`\`

    </details>

    Apply exactly this plan with

    \`\`\`sh
    reconcile --once specs/ --plan 0123456789abcdef
    \`\`\`"
  `);
});

test('where nothing differs there is nothing to fold, to draw or to apply', async () => {
  await using env = await testEnv();
  await env.reconcile();
  expect(await markdownOf(env)).toMatchInlineSnapshot(`
    "<!-- replikey: plan -->

    ### replikey: Nothing to do: 13 resources are as declared.

    Proof: 1 of 1 rules proven."
  `);
});

test('what keeps a plan from being applied comes before everything else', async () => {
  await using env = await testEnv();
  await env.reconcile();
  const text = await markdownOf(env, TAX_SPEC.replace('alias/acme-tax }', 'alias/another }'));
  expect(text).toMatch(
    /> \[!WARNING\]\n> This plan is refused as it stands\.\n\n- \*\*change-default-key\*\* /,
  );
  expect(text.indexOf('[!WARNING]')).toBeLessThan(text.indexOf('```mermaid'));
  expect(text.endsWith(`\n${COMMAND} --allow change-default-key\n\`\`\``)).toBe(true);
});

test('no name ends a block, or is taken for markup', async () => {
  const odd = 'Tax/```</details><!--@all';
  await using env = await testEnv(TAX_SPEC.replace('prefix: Tax/', `prefix: ${JSON.stringify(odd)}`));
  const text = await markdownOf(env);
  expect(text).toContain(odd);
  const [opening = ''] = /^`{4,}diff$/m.exec(text) ?? [];
  expect(opening).toBe('````diff');
  expect(text.match(/^````$/gm)).toHaveLength(1);
});

test('a comment stays below what GitHub takes, details being dropped before meaning', async () => {
  const many = Array.from({ length: 100 }, (_, index) => TAX_SPEC.replaceAll('tax', `tax-${index}`)).join(
    '---\n',
  );
  await using env = await testEnv(many);
  const text = await markdownOf(env);
  expect(text.length).toBeLessThanOrEqual(60_000);
  expect(text).toContain('### replikey: 1300 to create');
  expect(text).toContain('Proof: 100 of 100 rules proven.');
  expect(text).toContain('…and 50 more pairs');
  expect(text).toContain(COMMAND);
});

test('so does one with many findings', async () => {
  const { outcome, pairs } = await planned(caseOf('would-not-replicate'));
  const proof = Array.from({ length: 300 }, () => outcome.proof).flat();
  const text = planMarkdown({ ...outcome, pairs, proof, command: COMMAND });
  expect(text.length).toBeLessThanOrEqual(60_000);
  expect(text).toContain('Proof: 0 of 300 rules proven, 300 do not replicate.');
  expect(text).toContain('…and 290 more rules that are not proven.');
});

test('so does one with documents of others in it, and keeps its blocks, its reasons and its command whole', async () => {
  const { outcome, pairs } = await planned(caseOf('many-pairs'));
  const broken = (await planned(caseOf('would-not-replicate'))).outcome.proof[0];
  const long = 'word `and` more '.repeat(500);
  const statement = { Effect: 'Deny', Condition: { StringLike: { 'aws:PrincipalArn': long.split(' ') } } };
  const proof = Array.from({ length: 300 }, () => ({
    ...broken,
    findings: broken?.findings.map((one) => ({
      ...one,
      message: long,
      fixes: [{ what: 'mend it', policy: { kind: 'bucket', of: 'b' }, add: statement }],
    })),
  })) as typeof outcome.proof;
  const ids = outcome.plan.waves.flat().map(({ id }) => id);
  const blocked = ids.flatMap((id, index) => [
    { id, why: `${index % 30} ${long}`, pairs: ['team-1'], from: { file: '', line: 1, column: 1 } },
  ]);
  const refusals = ids.map((step) => ({ id: 'change-default-key' as const, step, message: long }));
  const plan = { ...outcome.plan, blocked };
  const variables = [{ name: 'v', value: long, from: 'default' as const }];
  const text = planMarkdown({ ...outcome, plan, refusals, proof, pairs, variables, command: COMMAND });
  expect(text.length).toBeLessThanOrEqual(60_000);
  expect(text.split('\n')[0]).toBe('<!-- replikey: plan -->');
  expect(text.endsWith(`\n${COMMAND} --allow change-default-key\n\`\`\``)).toBe(true);
  expect(text).toContain('Proof: 0 of 300 rules proven, 300 do not replicate.');
  expect(text).toContain('**change-default-key** `iam.role/replikey-acme-team-1`: word');
  expect(text).toContain('error RK1308 replicas may not be written');
  expect(text).toContain('| team-40 | acme-team-40 → acme-team-40-replica |');
  const fences = text.match(/^`{3,}/gm) ?? [];
  expect(fences.length % 2).toBe(0);
  for (let index = 0; index < fences.length; index += 2)
    expect(fences[index + 1], `block ${index / 2}`).toBe(fences[index]);
});

test('the command lifts every limit that is said to be passed, so that it does apply the plan', async () => {
  const refused = async (one: Case, options: Partial<PassOptions>, lifting: string) => {
    const { outcome, pairs } = await planned(one, { thresholds: { maxRemovals: 10 }, ...options });
    const text = planMarkdown({ ...outcome, pairs, command: COMMAND });
    expect(text).toContain('Whoever accepts it as it is applies exactly this plan with');
    expect(text.endsWith(`\n${COMMAND} ${lifting}\n\`\`\``), text).toBe(true);
  };
  const few = { maxRemovals: 10, maxChanges: { count: 3 } };
  await refused(caseOf('everything-is-new'), { thresholds: few }, '--max-changes 13');
  await refused(caseOf('a-spec-is-gone'), { thresholds: { maxRemovals: 2 } }, '--max-removals 9');
  const broken = {
    ...caseOf('would-not-replicate'),
    yaml: TAX_SPEC.replace('Tax/', 'Tax/\n      metrics: false'),
  };
  await refused(broken, {}, '--allow-unproven');
});

test('what goes away is named before anything has to be unfolded', async () => {
  const { outcome, pairs } = await planned(caseOf('a-rule-is-gone'));
  const text = planMarkdown({ ...outcome, pairs, command: COMMAND });
  expect(text).toContain(
    '> [!CAUTION]\n> This plan takes something away.\n\n- `rules["replikey/tax/ledgers"]` of `s3.replication/acme-tax`\n\n',
  );
  expect(text.indexOf('[!CAUTION]')).toBeLessThan(text.indexOf('```mermaid'));
});

test('a document for the owner of another account can be copied: no mark stands in it', async () => {
  const { outcome, pairs } = await planned(caseOf('an-account-of-somebody-else'));
  const text = planMarkdown({ ...outcome, pairs, command: COMMAND });
  const documents = [...text.matchAll(/^ {6}\[\n[\s\S]*?\n {6}\]$/gm)].map(([json]) => JSON.parse(json));
  expect(documents).toEqual(outcome.plan.handover.flatMap(({ document }) => (document ? [document] : [])));
  expect(documents).toHaveLength(2);
});

test('how old an observation is, and what variables are worth, stands above all that follows from it', async () => {
  const { outcome, pairs } = await planned(caseOf('everything-is-new'));
  const variables = [{ name: 'stage', value: 'prod_*', from: '--var' as const }];
  const instead = 'Snapshot taken 3 h ago (2026-11-23T10:00:00.000Z), not AWS';
  const text = planMarkdown({ ...outcome, pairs, command: COMMAND, variables, nonAwsTarget: instead });
  expect(text).toContain(`\n\n${instead}.\n\nVariables: stage=prod\\_\\* (--var)\n\n\`\`\`mermaid`);
});

/** What the drawing of a case says of each bucket and each arrow. */
const DRAWINGS: [name: string, labels: string[]][] = [
  [
    'everything-is-new',
    [
      'acme-tax ✱ new<br/>alias/acme-tax ✱ new',
      'acme-tax-replica ✱ new<br/>alias/acme-tax-replica ✱ new',
      '1 rule ✱ new',
    ],
  ],
  [
    'a-field-of-a-rule',
    ['acme-tax<br/>alias/acme-tax', 'acme-tax-replica<br/>alias/acme-tax-replica', '1 rule ✱ changes'],
  ],
  [
    'another-key',
    [
      'acme-tax ✱ changes<br/>alias/acme-vault ✱ new',
      'acme-tax-replica<br/>alias/acme-tax-replica',
      '1 rule',
    ],
  ],
  [
    'another-prefix',
    [
      'acme-tax<br/>alias/acme-tax ✱ changes',
      'acme-tax-replica<br/>alias/acme-tax-replica ✱ changes',
      '1 rule ✱ changes',
    ],
  ],
  ['nothing-to-do', []],
];

test.each(DRAWINGS)('the drawing says what is new and what changes: %s', async (name, labels) => {
  const { outcome, pairs } = await planned(caseOf(name));
  const text = planDiagram(outcome.plan, pairs).join('');
  const found = [...text.matchAll(/(?:b\d\[|-->\||==>\|)"([^"]+)"/g)].map(([, label]) => label);
  expect(found).toEqual(labels);
});

test('more buckets than anybody could follow are not drawn', async () => {
  const { outcome, pairs } = await planned(caseOf('many-pairs'));
  expect(planDiagram(outcome.plan, pairs)).toEqual([]);
  expect(planDiagram(outcome.plan, pairs.slice(0, 15))).toHaveLength(1);
});

function caseOf(name: string) {
  const found = CASES.find((one) => one.name === name);
  if (!found) throw new Error(`no case is named ${name}`);
  return found;
}
