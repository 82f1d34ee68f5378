import { expect, test } from 'vitest';
import { planMarkdown } from '../../src/report/markdown.ts';
import { aWorld, specsOf, TAX, type World } from '../support/world.ts';

const COMMAND = 'reconcile --once specs/ --plan 0123456789abcdef';

async function markdownOf(world: World, yaml?: string): Promise<string> {
  const options = { dryRun: true };
  const outcome = await (yaml === undefined ? world.reconcile(options) : world.with(yaml, options));
  const { pairs } = yaml === undefined ? world.specs : await specsOf(yaml);
  const text = planMarkdown({ ...outcome, pairs, command: COMMAND });
  return text.replace(/\S*\/(?=spec\.yaml)/g, '');
}

test('a plan for a pull request: summary and proof, a drawing, folded details, and the command', async () => {
  await using world = await aWorld();
  await world.reconcile();
  const text = await markdownOf(world, TAX.replace('prefix: Tax/', 'prefix: Tax/\n      metrics: false'));
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
          # the rule replikey/tax/tax declares another metrics
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
  await using world = await aWorld();
  await world.reconcile();
  expect(await markdownOf(world)).toMatchInlineSnapshot(`
    "<!-- replikey: plan -->

    ### replikey: Nothing to do: 13 resources are as declared.

    Proof: 1 of 1 rules proven."
  `);
});

test('what keeps a plan from being applied comes before everything else', async () => {
  await using world = await aWorld();
  await world.reconcile();
  const text = await markdownOf(world, TAX.replace('alias/acme-tax }', 'alias/another }'));
  expect(text).toMatch(
    /> \[!WARNING\]\n> This plan is refused as it stands\.\n\n- \*\*change-default-key\*\* /,
  );
  expect(text.indexOf('[!WARNING]')).toBeLessThan(text.indexOf('```mermaid'));
});

test('no name ends a block, or is taken for markup', async () => {
  const odd = 'Tax/```</details><!--@all';
  await using world = await aWorld(TAX.replace('prefix: Tax/', `prefix: ${JSON.stringify(odd)}`));
  const text = await markdownOf(world);
  expect(text).toContain(odd);
  const [opening = ''] = /^`{4,}diff$/m.exec(text) ?? [];
  expect(opening).toBe('````diff');
  expect(text.match(/^````$/gm)).toHaveLength(1);
});

test('a comment stays below what GitHub takes, details being dropped before meaning', async () => {
  const many = Array.from({ length: 100 }, (_, index) => TAX.replaceAll('tax', `tax-${index}`)).join('---\n');
  await using world = await aWorld(many);
  const text = await markdownOf(world);
  expect(text.length).toBeLessThanOrEqual(60_000);
  expect(text).toContain('### replikey: 1300 to create');
  expect(text).toContain('Proof: 100 of 100 rules proven.');
  expect(text).toContain('…and 50 more pairs');
  expect(text).toContain(COMMAND);
});
