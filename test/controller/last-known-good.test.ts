import { describe, expect, test } from 'vitest';
import { type LastKnownGood, selectLastKnownGood } from '../../src/controller/last-known-good.ts';
import type { SpecFile } from '../../src/spec/files.ts';
import type { Problem } from '../../src/spec/types.ts';
import { NO_VARIABLE_INPUT } from '../../src/spec/variables.ts';
import { TAX_SPEC } from '../support/env.ts';

const specNamed = (name: string) => TAX_SPEC.replaceAll('tax', name).replace('Tax/', `${name}/`);
const file = (name: string, text: string) => ({ file: name, bytes: Buffer.from(text) });
const initialFiles = [file('a.yaml', specNamed('a')), file('b.yaml', specNamed('b'))];
const select = (
  files: SpecFile[],
  problems: Problem[],
  previous: LastKnownGood | undefined,
  variableInput = NO_VARIABLE_INPUT,
) => selectLastKnownGood({ files, problems }, previous, { variableInput });
const good = (await select(initialFiles, [], undefined)) as LastKnownGood;
const names = (result: LastKnownGood | { problems: unknown[] }) =>
  'specs' in result ? result.specs.pairs.map(({ name }) => name).sort() : undefined;

describe('selectLastKnownGood', () => {
  test('all files are valid: selects the current files', async () => {
    expect(names(good)).toEqual(['a', 'b']);
    expect(good.problems).toEqual([]);
    const more = await select([...initialFiles, file('c.yaml', specNamed('c'))], [], good);
    expect(names(more)).toEqual(['a', 'b', 'c']);
    expect(names(await select(initialFiles.slice(1), [], good))).toEqual(['b']);
  });

  test('a file becomes invalid: keeps its last valid version and the current version of other files', async () => {
    const broken = [file('a.yaml', 'kind: ['), file('b.yaml', specNamed('other'))];
    const result = await select(broken, [], good);
    expect(names(result)).toEqual(['a', 'other']);
    expect(result.problems.map(({ position }) => position.file)).toEqual(['a.yaml']);
    // A fixed file is in effect again.
    expect(
      names(
        await select(
          [file('a.yaml', specNamed('fixed')), initialFiles[1] as never],
          [],
          result as LastKnownGood,
        ),
      ),
    ).toEqual(['b', 'fixed']);
  });

  test('a new file is invalid: ignores it', async () => {
    const result = await select([...initialFiles, file('c.yaml', 'kind: nothing')], [], good);
    expect(names(result)).toEqual(['a', 'b']);
    expect(result.problems.length).toBeGreaterThan(0);
  });

  test('two files conflict: keeps the last valid version of the file that the problem names', async () => {
    const result = await select([initialFiles[0] as never, file('b.yaml', specNamed('a'))], [], good);
    expect(names(result)).toEqual(['a', 'b']);
    expect(result.problems[0]?.message).toContain('already declared');
  });

  test('the folder is missing or empty: keeps all specs', async () => {
    const problem = { position: { file: 'specs', line: 1, column: 1 }, message: 'the folder holds no file' };
    expect(names(await select([], [problem], good))).toEqual(['a', 'b']);
    expect(names(await select([], [], good))).toEqual(['a', 'b']);
  });

  test('Defaults become invalid: pairs that use them keep the last valid version', async () => {
    const house = (region: string) =>
      file(
        'house.yaml',
        `{ apiVersion: replikey.dev/v1, kind: Defaults, metadata: { name: house }, spec: { destination: { region: ${region} } } }`,
      );
    const pair = file(
      'a.yaml',
      TAX_SPEC.replace('spec:', 'spec:\n  defaults: house').replace(' region: us-west-2,', ''),
    );
    const before = (await select([pair, house('eu-west-1')], [], undefined)) as LastKnownGood;
    const after = (await select([pair, house('mars')], [], before)) as LastKnownGood;
    expect(after.problems.map(({ position }) => position.file)).toEqual(['house.yaml']);
    expect(after.specs.pairs[0]?.destination.region).toBe('eu-west-1');
  });

  test('with variable input: resolves variables from it', async () => {
    const stage = file(
      'stage.yaml',
      '{ apiVersion: replikey.dev/v1, kind: Variables, metadata: { name: x }, spec: { variables: { x: { type: string } } } }',
    );
    const pair = file('a.yaml', TAX_SPEC.replace('name: tax', `name: "\${var.x}"`));
    const input = { assignments: ['x=books'], environment: {} };
    const first = await select([pair, stage], [], undefined, input);
    expect(names(first)).toEqual(['books']);
    expect(
      names(await select([pair, stage, file('b.yaml', '{')], [], first as LastKnownGood, input)),
    ).toEqual(['books']);
  });

  test('no valid version exists: returns only the problems', async () => {
    expect(await select([file('a.yaml', '{')], [], undefined)).toEqual({
      problems: [expect.anything()],
    });
  });
});
