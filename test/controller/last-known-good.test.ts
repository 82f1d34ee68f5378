import { describe, expect, test } from 'vitest';
import { type LastKnownGood, selectLastKnownGood } from '../../src/controller/last-known-good.ts';
import { TAX_SPEC } from '../support/env.ts';

const specNamed = (name: string) => TAX_SPEC.replaceAll('tax', name).replace('Tax/', `${name}/`);
const file = (name: string, text: string) => ({ file: name, bytes: Buffer.from(text) });
const initialFiles = [file('a.yaml', specNamed('a')), file('b.yaml', specNamed('b'))];
const good = selectLastKnownGood(initialFiles, [], undefined) as LastKnownGood;
const names = (result: LastKnownGood | { problems: unknown[] }) =>
  'specs' in result ? result.specs.pairs.map(({ name }) => name).sort() : undefined;

describe('selectLastKnownGood', () => {
  test('all files are valid: selects the current files', () => {
    expect(names(good)).toEqual(['a', 'b']);
    expect(good.problems).toEqual([]);
    const more = selectLastKnownGood([...initialFiles, file('c.yaml', specNamed('c'))], [], good);
    expect(names(more)).toEqual(['a', 'b', 'c']);
    expect(names(selectLastKnownGood(initialFiles.slice(1), [], good))).toEqual(['b']);
  });

  test('a file becomes invalid: keeps its last valid version and the current version of other files', () => {
    const broken = [file('a.yaml', 'kind: ['), file('b.yaml', specNamed('other'))];
    const result = selectLastKnownGood(broken, [], good);
    expect(names(result)).toEqual(['a', 'other']);
    expect(result.problems.map(({ position }) => position.file)).toEqual(['a.yaml']);
    // A fixed file is in effect again.
    expect(
      names(
        selectLastKnownGood(
          [file('a.yaml', specNamed('fixed')), initialFiles[1] as never],
          [],
          result as LastKnownGood,
        ),
      ),
    ).toEqual(['b', 'fixed']);
  });

  test('a new file is invalid: ignores it', () => {
    const result = selectLastKnownGood([...initialFiles, file('c.yaml', 'kind: nothing')], [], good);
    expect(names(result)).toEqual(['a', 'b']);
    expect(result.problems.length).toBeGreaterThan(0);
  });

  test('two files conflict: keeps the last valid version of the file that the problem names', () => {
    const result = selectLastKnownGood([initialFiles[0] as never, file('b.yaml', specNamed('a'))], [], good);
    expect(names(result)).toEqual(['a', 'b']);
    expect(result.problems[0]?.message).toContain('already declared');
  });

  test('the folder is missing or empty: keeps all specs', () => {
    const problem = { position: { file: 'specs', line: 1, column: 1 }, message: 'the folder holds no file' };
    expect(names(selectLastKnownGood([], [problem], good))).toEqual(['a', 'b']);
    expect(names(selectLastKnownGood([], [], good))).toEqual(['a', 'b']);
  });

  test('Defaults become invalid: pairs that use them keep the last valid version', () => {
    const house = (region: string) =>
      file(
        'house.yaml',
        `{ apiVersion: replikey.dev/v1, kind: Defaults, metadata: { name: house }, spec: { destination: { region: ${region} } } }`,
      );
    const pair = file(
      'a.yaml',
      TAX_SPEC.replace('spec:', 'spec:\n  defaults: house').replace(' region: us-west-2,', ''),
    );
    const before = selectLastKnownGood([pair, house('eu-west-1')], [], undefined) as LastKnownGood;
    const after = selectLastKnownGood([pair, house('mars')], [], before) as LastKnownGood;
    expect(after.problems.map(({ position }) => position.file)).toEqual(['house.yaml']);
    expect(after.specs.pairs[0]?.destination.region).toBe('eu-west-1');
  });

  test('with variable input: resolves variables from it', () => {
    const stage = file(
      'stage.yaml',
      '{ apiVersion: replikey.dev/v1, kind: Variables, metadata: { name: x }, spec: { variables: { x: { type: string } } } }',
    );
    const pair = file('a.yaml', TAX_SPEC.replace('name: tax', `name: "\${var.x}"`));
    const input = { assignments: ['x=books'], environment: {} };
    const first = selectLastKnownGood([pair, stage], [], undefined, input);
    expect(names(first)).toEqual(['books']);
    expect(
      names(selectLastKnownGood([pair, stage, file('b.yaml', '{')], [], first as LastKnownGood, input)),
    ).toEqual(['books']);
  });

  test('no valid version exists: returns only the problems', () => {
    expect(selectLastKnownGood([file('a.yaml', '{')], [], undefined)).toEqual({
      problems: [expect.anything()],
    });
  });
});
