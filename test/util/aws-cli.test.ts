import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { awsCli, quoteJson } from '../../src/util/aws-cli.ts';

/** Returns the arguments that a shell passes to the program. */
const argumentsOf = (command: string): string[] =>
  execFileSync('sh', ['-c', `aws() { for word; do printf '%s\\0' "$word"; done; }\n${command}`], {
    encoding: 'utf8',
  })
    .split('\0')
    .slice(0, -1);

describe('awsCli', () => {
  test('a shell passes each option unchanged, and leaves out options without a value', () => {
    const document = { Statement: [{ Sid: 'it\'s $HOME `x` \\ "größe"\n 日本 🪣' }, { Sid: 'B' }] };
    const words = argumentsOf(
      awsCli('s3api put-bucket-policy', { region: undefined, bucket: "a'b c", policy: document }),
    );
    expect(words.slice(0, 5)).toEqual(['s3api', 'put-bucket-policy', '--bucket', "a'b c", '--policy']);
    expect(JSON.parse(words[5] ?? '')).toEqual(document);
  });

  test('any document: a shell passes JSON of the same value, in ASCII, however its lines are indented', () => {
    fc.assert(
      fc.property(fc.array(fc.dictionary(fc.string(), fc.string())), (Statement) => {
        const command = `aws ${quoteJson({ Version: '2012-10-17', Statement })}`.replaceAll('\n', '\n      ');
        const [text = ''] = argumentsOf(command);
        expect(text).toMatch(/^[\n\x20-\x7e]*$/);
        expect(JSON.parse(text)).toEqual({
          Version: '2012-10-17',
          Statement: JSON.parse(JSON.stringify(Statement)),
        });
      }),
      { numRuns: 30, seed: 17 },
    );
  });
});
