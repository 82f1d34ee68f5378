import { describe, expect, test } from 'vitest';
import { describeDocumentKinds } from '../../../src/spec/json-schema.ts';
import { runCli } from '../../support/cli.ts';

const explain = (...args: string[]) => runCli(['explain', ...args]);

describe('reconcile explain', () => {
  test('describes a field with its valid values', async () => {
    const { code, stdout } = await explain('spec.rules[0].prefix');
    expect(code).toBe(0);
    expect(stdout).toMatchInlineSnapshot(`
      "spec.rules[].prefix  (BucketReplication)

        Selects the objects whose key begins with this text, literally; "" selects all
        objects.

        Valid values: string
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

  test('describes fields below a name that the spec defines', async () => {
    const { stdout } = await explain('spec.variables.stage.env');
    expect(stdout).toContain('spec.variables.*.env  (Variables)');
    expect(stdout).toContain('REPLIKEY_STAGE');
  });

  test.each([
    ['spec.rules.prefx', 'did you mean spec.rules.prefix?'],
    ['prefix', 'did you mean spec.rules.prefix?'],
    ['nothing of the kind at all', 'list the fields with reconcile explain'],
  ])('rejects unknown field %s with advice', async (field, advice) => {
    expect(await explain(field)).toMatchObject({ code: 64, stderr: expect.stringContaining(advice) });
  });

  test('has a description of every field with a value', () => {
    const undescribed = describeDocumentKinds().flatMap(({ kind, fields }) =>
      fields
        .filter((field) => field.description === '' && field.type !== 'mapping')
        .map(({ path }) => `${kind} ${path}`),
    );
    expect(undescribed).toEqual([]);
  });
});
