import { describe, expect, test } from 'vitest';
import { describeDocumentKinds } from '../../../src/spec/json-schema.ts';
import { runCli } from '../../support/cli.ts';

const explain = (...args: string[]) => runCli(['explain', ...args]);

describe('reconcile explain', () => {
  test('says of a field what may stand there, and what holds where it is left out', async () => {
    const { code, stdout } = await explain('spec.rules[0].prefix');
    expect(code).toBe(0);
    expect(stdout).toMatchInlineSnapshot(`
      "spec.rules[].prefix  (BucketReplication)

        Selects the objects whose key begins with this text, literally; "" selects all
        objects.

        What may stand there: string
        For example: "Tax/"
      "
    `);
    expect(stdout).toBe((await explain('spec.rules.prefix')).stdout);
    expect(stdout).toBe((await explain('BucketReplication.spec.rules.prefix')).stdout);
  });

  test('lists the kinds of documents, or the fields below one', async () => {
    expect((await explain()).stdout).toMatch(/^BucketReplication: .*^Account: .*^Guardrails: /ms);
    const { stdout } = await explain('spec.source');
    expect(stdout).toContain('spec.source.region');
    expect(stdout).not.toContain('spec.source.key.alias');
  });

  test.each([80, 60])('stays within %i columns', async (columns) => {
    const env = { COLUMNS: String(columns) };
    for (const args of [[], ['spec.source'], ['spec.policy'], ['spec.rules'], ['spec.source.key']]) {
      const { stdout } = await runCli(['explain', ...args], { env });
      expect(stdout.split('\n').filter((line) => line.length > columns)).toEqual([]);
    }
  });

  test('knows what may stand under a name that a spec chooses', async () => {
    const { stdout } = await explain('spec.variables.stage.env');
    expect(stdout).toContain('spec.variables.*.env  (Variables)');
    expect(stdout).toContain('REPLIKEY_STAGE');
  });

  test.each([
    ['spec.rules.prefx', 'did you mean spec.rules.prefix?'],
    ['prefix', 'did you mean spec.rules.prefix?'],
    ['nothing of the kind at all', 'reconcile explain lists what there is'],
  ])('knows no %s, and says what was meant', async (field, words) => {
    expect(await explain(field)).toMatchObject({ code: 64, stderr: expect.stringContaining(words) });
  });

  test('has words for every field that holds a value', () => {
    const silent = describeDocumentKinds().flatMap(({ kind, fields }) =>
      fields
        .filter((field) => field.description === '' && field.type !== 'mapping')
        .map(({ path }) => `${kind} ${path}`),
    );
    expect(silent).toEqual([]);
  });
});
