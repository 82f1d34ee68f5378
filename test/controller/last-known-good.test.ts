import { describe, expect, test } from 'vitest';
import { type LastKnownGood, selectLastKnownGood } from '../../src/controller/last-known-good.ts';
import { TAX_SPEC } from '../support/env.ts';

const named = (name: string) => TAX_SPEC.replaceAll('tax', name).replace('Tax/', `${name}/`);
const file = (name: string, text: string) => ({ file: name, bytes: Buffer.from(text) });
const both = [file('a.yaml', named('a')), file('b.yaml', named('b'))];
const good = selectLastKnownGood(both, [], undefined) as LastKnownGood;
const names = (result: LastKnownGood | { problems: unknown[] }) =>
  'specs' in result ? result.specs.pairs.map(({ name }) => name).sort() : undefined;

describe('the newest specs that are right', () => {
  test('are what is written, where nothing is wrong with it', () => {
    expect(names(good)).toEqual(['a', 'b']);
    expect(good.problems).toEqual([]);
    const more = selectLastKnownGood([...both, file('c.yaml', named('c'))], [], good);
    expect(names(more)).toEqual(['a', 'b', 'c']);
    expect(names(selectLastKnownGood(both.slice(1), [], good))).toEqual(['b']);
  });

  test('a file that is not right counts as it was, and the others as they are', () => {
    const broken = [file('a.yaml', 'kind: ['), file('b.yaml', named('other'))];
    const result = selectLastKnownGood(broken, [], good);
    expect(names(result)).toEqual(['a', 'other']);
    expect(result.problems.map(({ position }) => position.file)).toEqual(['a.yaml']);
    // And as it is again, once it is mended.
    expect(
      names(
        selectLastKnownGood([file('a.yaml', named('mended')), both[1] as never], [], result as LastKnownGood),
      ),
    ).toEqual(['b', 'mended']);
  });

  test('a new file that is not right does not count at all', () => {
    const result = selectLastKnownGood([...both, file('c.yaml', 'kind: nothing')], [], good);
    expect(names(result)).toEqual(['a', 'b']);
    expect(result.problems.length).toBeGreaterThan(0);
  });

  test('two files that are wrong together: the one that is named counts as it was', () => {
    const result = selectLastKnownGood([both[0] as never, file('b.yaml', named('a'))], [], good);
    expect(names(result)).toEqual(['a', 'b']);
    expect(result.problems[0]?.message).toContain('already declared');
  });

  test('a folder that is gone, or holds nothing, is no wish to have nothing', () => {
    const problem = { position: { file: 'specs', line: 1, column: 1 }, message: 'the folder holds no file' };
    expect(names(selectLastKnownGood([], [problem], good))).toEqual(['a', 'b']);
    expect(names(selectLastKnownGood([], [], good))).toEqual(['a', 'b']);
  });

  test('a file of defaults that is not right counts as it was, for all that take it', () => {
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

  test('take their variables from what the run was given', () => {
    const stage = file(
      'stage.yaml',
      '{ apiVersion: replikey.dev/v1, kind: Variables, metadata: { name: x }, spec: { variables: { x: { type: string } } } }',
    );
    const pair = file('a.yaml', TAX_SPEC.replace('name: tax', `name: "\${var.x}"`));
    const given = { assignments: ['x=given'], environment: {} };
    const first = selectLastKnownGood([pair, stage], [], undefined, given);
    expect(names(first)).toEqual(['given']);
    expect(
      names(selectLastKnownGood([pair, stage, file('b.yaml', '{')], [], first as LastKnownGood, given)),
    ).toEqual(['given']);
  });

  test('there are none, where nothing was ever right', () => {
    expect(selectLastKnownGood([file('a.yaml', '{')], [], undefined)).toEqual({
      problems: [expect.anything()],
    });
  });
});
