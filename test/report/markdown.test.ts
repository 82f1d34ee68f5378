import { expect, test } from 'vitest';
import type { PassOptions } from '../../src/reconcile/pass.ts';
import { planDiagram } from '../../src/report/diagram.ts';
import { planMarkdown } from '../../src/report/markdown.ts';
import { parseSpecs, TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';
import { callS3 } from '../support/raw-aws.ts';
import { CASES, type Case, planCase } from './plans.ts';

const COMMAND = 'reconcile --once specs/ --plan 0123456789abcdef';

async function markdownOf(env: TestEnv, yaml?: string): Promise<string> {
  const options = { dryRun: true };
  const outcome = await (yaml === undefined ? env.reconcile(options) : env.reconcileWith(yaml, options));
  const { pairs } = yaml === undefined ? env.specs : await parseSpecs(yaml);
  const text = planMarkdown({ ...outcome, pairs, command: COMMAND });
  return text.replace(/\S*\/(?=spec\.yaml)/g, '');
}

test('markdown: contains the summary, the proof, a diagram, folded details and the command', async () => {
  await using env = await testEnv();
  await env.reconcile();
  const text = await markdownOf(env, TAX_SPEC.replace('prefix: Tax/', 'prefix: Tax/\n      metrics: false'));
  expect(text).toMatchInlineSnapshot(`
    "<!-- replikey: plan -->

    ### replikey: 0 to create, 1 to update, 12 unchanged.

    Proof: 1 of 1 rules proven. Based on the rules of 1 source bucket and the policies of 1 role, 2 buckets, 2 keys; not read: endpoint policies. 16 of 16 requests depend on control policies that were not read.

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

    To apply exactly this plan, run

    \`\`\`sh
    reconcile --once specs/ --plan 0123456789abcdef
    \`\`\`"
  `);
});

test('markdown: a plan without changes has no details, diagram or command', async () => {
  await using env = await testEnv();
  await env.reconcile();
  expect(await markdownOf(env)).toMatchInlineSnapshot(`
    "<!-- replikey: plan -->

    ### replikey: Nothing to do: 13 resources are as declared.

    Proof: 1 of 1 rules proven. Based on the rules of 1 source bucket and the policies of 1 role, 2 buckets, 2 keys; not read: endpoint policies. 16 of 16 requests depend on control policies that were not read."
  `);
});

test('markdown: shows the reasons that prevent apply first', async () => {
  await using env = await testEnv();
  await env.reconcile();
  const text = await markdownOf(env, TAX_SPEC.replace('alias/acme-tax }', 'alias/another }'));
  expect(text).toMatch(
    /> \[!WARNING\]\n> replikey refuses to apply this plan\.\n\n- \*\*change-default-key\*\* /,
  );
  expect(text.indexOf('[!WARNING]')).toBeLessThan(text.indexOf('```mermaid'));
  expect(text.endsWith(`\n${COMMAND} --allow change-default-key\n\`\`\``)).toBe(true);
});

test('markdown: a name cannot close a code block or add markup', async () => {
  const odd = 'Tax/```</details><!--@all';
  await using env = await testEnv(TAX_SPEC.replace('prefix: Tax/', `prefix: ${JSON.stringify(odd)}`));
  const text = await markdownOf(env);
  expect(text).toContain(odd);
  const [opening = ''] = /^`{4,}diff$/m.exec(text) ?? [];
  expect(opening).toBe('````diff');
  expect(text.match(/^````$/gm)).toHaveLength(1);
});

test('markdown: a large plan stays below the size limit of GitHub and loses details first', async () => {
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

test('markdown: a plan with many findings stays below the size limit', async () => {
  const { outcome, pairs } = await planCase(caseOf('would-not-replicate'));
  const proof = Array.from({ length: 300 }, () => outcome.proof).flat();
  const text = planMarkdown({ ...outcome, pairs, proof, command: COMMAND });
  expect(text.length).toBeLessThanOrEqual(60_000);
  expect(text).toContain('Proof: 0 of 300 rules proven, 300 do not replicate.');
  expect(text).toContain('…and 290 more rules that are not proven.');
});

test('markdown: a plan with long messages stays below the size limit and keeps its structure', async () => {
  const { outcome, pairs } = await planCase(caseOf('many-pairs'));
  const broken = (await planCase(caseOf('would-not-replicate'))).outcome.proof[0];
  const long = 'word `and` more '.repeat(500);
  const statement = { Effect: 'Deny', Condition: { StringLike: { 'aws:PrincipalArn': long.split(' ') } } };
  const proof = Array.from({ length: 300 }, () => ({
    ...broken,
    findings: broken?.findings.map((finding) => ({
      ...finding,
      message: long,
      fixes: [{ what: 'fix it', policy: { kind: 'bucket', of: 'b' }, add: statement }],
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
  expect(text).toContain('error RK1308 the role cannot write replicas');
  expect(text).toContain('| team-40 | acme-team-40 → acme-team-40-replica |');
  const fences = text.match(/^`{3,}/gm) ?? [];
  expect(fences.length % 2).toBe(0);
  for (let index = 0; index < fences.length; index += 2)
    expect(fences[index + 1], `block ${index / 2}`).toBe(fences[index]);
});

test('markdown: the command overrides every reported limit', async () => {
  const expectFlags = async (testCase: Case, options: Partial<PassOptions>, flags: string) => {
    const { outcome, pairs } = await planCase(testCase, { thresholds: { maxRemovals: 10 }, ...options });
    const text = planMarkdown({ ...outcome, pairs, command: COMMAND });
    expect(text).toContain('To apply exactly this plan in spite of them, run');
    expect(text.endsWith(`\n${COMMAND} ${flags}\n\`\`\``), text).toBe(true);
  };
  const thresholds = { maxRemovals: 10, maxChanges: { count: 3 } };
  await expectFlags(caseOf('all-new'), { thresholds }, '--max-changes 13');
  await expectFlags(
    caseOf('removed-spec-without-drain'),
    { thresholds: { maxRemovals: 2 } },
    '--max-removals 9 --allow remove-pair=tax --allow lose-in-flight',
  );
  const broken = {
    ...caseOf('would-not-replicate'),
    yaml: TAX_SPEC.replace('Tax/', 'Tax/\n      metrics: false'),
  };
  await expectFlags(broken, {}, '--allow-unproven');
});

test('markdown: lists removals outside the folded details', async () => {
  const { outcome, pairs } = await planCase({ ...caseOf('removed-rule'), drainMs: 0 });
  const text = planMarkdown({ ...outcome, pairs, command: COMMAND });
  expect(text).toContain(
    '> [!CAUTION]\n> This plan removes resources or entries.\n\n- `rules["replikey/tax/ledgers"]` of `s3.replication/acme-tax`\n\n',
  );
  expect(text.indexOf('[!CAUTION]')).toBeLessThan(text.indexOf('```mermaid'));
});

test('markdown: a document for the owner of another account contains no diff marks', async () => {
  const { outcome, pairs } = await planCase(caseOf('unmanaged-account'));
  const text = planMarkdown({ ...outcome, pairs, command: COMMAND });
  const documents = [...text.matchAll(/^ {6}\[\n[\s\S]*?\n {6}\]$/gm)].map(([json]) => JSON.parse(json));
  expect(documents).toEqual(outcome.plan.handover.flatMap(({ document }) => (document ? [document] : [])));
  expect(documents).toHaveLength(2);
});

test('markdown: shows the age of the snapshot and the variables above the changes', async () => {
  const { outcome, pairs } = await planCase(caseOf('all-new'));
  const variables = [{ name: 'stage', value: 'prod_*', from: '--var' as const }];
  const nonAwsTarget = 'Snapshot taken 3 h ago (2026-11-23T10:00:00.000Z), not AWS';
  const text = planMarkdown({ ...outcome, pairs, command: COMMAND, variables, nonAwsTarget });
  expect(text).toContain(`\n\n${nonAwsTarget}.\n\nVariables: stage=prod\\_\\* (--var)\n\n\`\`\`mermaid`);
});

/** The labels of the buckets and arrows of a diagram. */
const DIAGRAMS: [name: string, labels: string[]][] = [
  [
    'all-new',
    [
      'acme-tax ✱ new<br/>alias/acme-tax ✱ new',
      'acme-tax-replica ✱ new<br/>alias/acme-tax-replica ✱ new',
      '1 rule ✱ new',
    ],
  ],
  [
    'changed-rule-field',
    ['acme-tax<br/>alias/acme-tax', 'acme-tax-replica<br/>alias/acme-tax-replica', '1 rule ✱ changes'],
  ],
  [
    'changed-key',
    [
      'acme-tax ✱ changes<br/>alias/acme-vault ✱ new',
      'acme-tax-replica<br/>alias/acme-tax-replica',
      '1 rule',
    ],
  ],
  [
    'changed-prefix',
    [
      'acme-tax<br/>alias/acme-tax ✱ changes',
      'acme-tax-replica<br/>alias/acme-tax-replica ✱ changes',
      '1 rule ✱ changes',
    ],
  ],
  ['nothing-to-do', []],
];

test.each(DIAGRAMS)('diagram: marks new and changed nodes: %s', async (name, labels) => {
  const { outcome, pairs } = await planCase(caseOf(name));
  const text = planDiagram(outcome.plan, pairs).join('');
  const actualLabels = [...text.matchAll(/(?:b\d\[|-->\||==>\|)"([^"]+)"/g)].map(([, label]) => label);
  expect(actualLabels).toEqual(labels);
});

test('diagram: absent for too many buckets', async () => {
  const { outcome, pairs } = await planCase(caseOf('many-pairs'));
  expect(planDiagram(outcome.plan, pairs)).toEqual([]);
  expect(planDiagram(outcome.plan, pairs.slice(0, 15))).toHaveLength(1);
});

function caseOf(name: string) {
  const testCase = CASES.find((candidate) => candidate.name === name);
  if (!testCase) throw new Error(`no case is named ${name}`);
  return testCase;
}

test('markdown: a job that waits for an approval is outside the folded details, with its option', async () => {
  await using env = await testEnv();
  const before = new Date(Date.now() + 120_000).toISOString().replace(/\.\d+/, '');
  const backfill = TAX_SPEC.replace('  rules:', `  backfill: { before: "${before}" }\n  rules:`);
  await env.reconcileWith(TAX_SPEC.replace('prefix: Tax/', 'prefix: Other/'));
  await callS3(env.sandbox.endpoint, 'PUT', '/acme-tax/Tax/1', { body: 'old' });
  await env.reconcileWith(backfill);
  await env.sandbox.waitForJobs();
  expect(await markdownOf(env, backfill)).toMatch(
    /> \[!IMPORTANT\]\n> Batch jobs wait for an approval\.\n\n- `s3\.backfill\/acme-tax\/tax`: the job \S+ waits for an approval: .* which replicates 1 object of acme-tax.*--allow start-backfill=\S+\n/,
  );
});
