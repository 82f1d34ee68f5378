import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { formatProblemLine, formatProblems } from '../../src/spec/format-problems.ts';
import { loadSpecFiles, loadSpecs } from '../../src/spec/load.ts';
import type { Problem } from '../../src/spec/types.ts';
import { parseJson } from '../../src/util/files.ts';
import { fuzzRuns, mutatedBytes } from '../support/mutations.ts';
import { TAX } from './support.ts';

/** A word that occurs in every secret of these tests, and in no message of replikey. */
const SECRET = 'QZXW';

/** Files of secrets, valid and invalid as YAML. */
const SECRET_FILES: [name: string, text: string][] = [
  ['credentials', `[default]\naws_access_key_id = AKIA${SECRET}\naws_secret_access_key = ${SECRET}/key\n`],
  ['an environment file', `AWS_ACCESS_KEY_ID=AKIA${SECRET}\n`],
  ['a mapping of credentials', `accessKeyId: AKIA${SECRET}\nsecretAccessKey: ${SECRET}\n`],
  ['a Kubernetes Secret', `apiVersion: v1\nkind: Secret\ndata:\n  key: ${SECRET}\n`],
  ['a Secret with a duplicate key', `apiVersion: v1\nkind: Secret\ndata:\n  ${SECRET}: a\n  ${SECRET}: b\n`],
  ['a Secret with an alias', `apiVersion: v1\nkind: Secret\ndata: *${SECRET}\n`],
  ['a Secret with a tag', `apiVersion: v1\nkind: Secret\ndata: !${SECRET} x\n`],
  [
    'a Secret that contains a spec',
    `apiVersion: v1\nkind: Secret\nk: ${SECRET}\ndata:\n  spec: |\n    ${TAX.replaceAll('\n', '\n    ')}\n`,
  ],
  ['a kubeconfig with tabs', `apiVersion: v1\nkind: Config\nusers:\n\t- token: ${SECRET}\n`],
  ['JSON', `{ "AccessKeyId": "AKIA${SECRET}", "SecretAccessKey": "${SECRET}" }`],
  ['JSON without its end', `{ "AccessKeyId": "AKIA${SECRET}", "x": [ "${SECRET}`],
  ['a list', `- ${SECRET}\n- kind: ${SECRET}\n`],
  ['a private key', `-----BEGIN PRIVATE KEY-----\n${SECRET}\n-----END PRIVATE KEY-----\n`],
  ['a password', `${SECRET}\n`],
  ['a password with a control character', `${SECRET}\u0001\n`],
  ['a password with a colon', `root: ${SECRET}: x: 0\n`],
  ['a directive', `%${SECRET}\n---\na: b\n`],
];

/** Returns everything that replikey can print about problems: text, log line and JSON. */
const outputOf = (problems: readonly Problem[]) =>
  [formatProblems(problems), ...problems.map(formatProblemLine), JSON.stringify(problems)].join('\n');

const problemsOfText = async (text: string | Uint8Array) =>
  (await loadSpecFiles([{ file: 'x.yaml', bytes: Buffer.from(text) }])).problems;

describe('loadSpecFiles: a file that is not a spec', () => {
  test.each(SECRET_FILES)('%s: reports a position and none of its content', async (_, text) => {
    const problems = await problemsOfText(text);
    expect(problems.length).toBeGreaterThan(0);
    expect(outputOf(problems)).not.toContain(SECRET);
  });

  test.each(SECRET_FILES)('%s beside a spec in one file: shows only the spec', async (_, text) => {
    const separator = text.startsWith('%') ? '...\n' : '---\n';
    const problems = await problemsOfText(`${TAX.replace('us-east-1', 'mars')}${separator}${text}`);
    expect(outputOf(problems)).not.toContain(SECRET);
  });

  test('mutated files of secrets: show none of their content', fuzzRuns(300).test, async () => {
    // A mutation can turn a spec inside a Secret into a spec.
    const originals = SECRET_FILES.map(([, text]) => text).filter((text) => !text.includes('replikey.dev'));
    const words = [
      '---\n',
      ': ',
      '- ',
      '[',
      '{',
      '"',
      "'",
      '&',
      '*',
      '!',
      '|',
      '\t',
      '\n',
      'apiVersion: v1\n',
    ];
    await fc.assert(
      fc.asyncProperty(mutatedBytes(originals, words), async (bytes) => {
        expect(outputOf(await problemsOfText(bytes))).not.toContain(SECRET);
      }),
      fuzzRuns(300).property,
    );
  });
});

describe('loadSpecs: a path to a file that is not a spec', () => {
  let root: string;
  beforeEach(async () => {
    root = await mkdtemp(path.join(tmpdir(), 'replikey-secrets-'));
  });
  afterEach(() => rm(root, { recursive: true, force: true }));

  test('a symbolic link to a file of credentials, or its path: shows none of its content', async () => {
    const credentials = path.join(root, 'credentials');
    await writeFile(credentials, SECRET_FILES[0]?.[1] ?? '');
    const specs = path.join(root, 'specs');
    await mkdir(specs);
    await symlink(credentials, path.join(specs, 'a.yaml'));
    for (const specPath of [specs, path.join(specs, 'a.yaml'), credentials]) {
      const { problems } = await loadSpecs([specPath]);
      expect(problems.length).toBeGreaterThan(0);
      expect(outputOf(problems)).not.toContain(SECRET);
    }
  });
});

test.each(SECRET_FILES)('parseJson: %s: reports none of its content', (name, text) => {
  const parse = () => parseJson(text, 'plan.json');
  if (name === 'JSON') expect(parse()).toHaveProperty('AccessKeyId');
  else
    expect(parse).toThrow(/^invalid JSON in plan\.json: syntax error[^Q]*; check that it is the right file$/);
});
