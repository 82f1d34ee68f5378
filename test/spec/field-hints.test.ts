import { expect, test } from 'vitest';
import { parseDocument } from 'yaml';
import { fieldHints, hintForField, normalizeFieldName } from '../../src/spec/field-hints.ts';
import { problemsOf, TAX } from './support.ts';

const EXAMPLES = fieldHints().flatMap(([name, { example, place }]) =>
  example === undefined || place === undefined ? [] : [{ name, example, place }],
);

/** Returns a valid pair with the example in its place. */
function pairWith({ example, place }: (typeof EXAMPLES)[number]): string {
  const document = parseDocument(TAX);
  const path = place.split('.').flatMap((part) => (part.endsWith('[]') ? [part.slice(0, -2), 0] : [part]));
  for (const [field, value] of Object.entries(parseDocument(example).toJS() as object))
    document.setIn([...path, field], document.createNode(value));
  // `prefix` is the short form of `filter`.
  if (example.startsWith('filter:')) document.deleteIn([...path, 'prefix']);
  return String(document);
}

test.each(EXAMPLES)('the hint for $name: its example is valid in $place', async (hint) => {
  expect(await problemsOf(pairWith(hint))).toEqual([]);
});

test.each([
  ['destinations: []', 'write one spec for each destination'],
  ['kms_key_id: x', 'name the key beside its bucket, in spec.source: key: alias/acme-tax'],
  ['replica_kms_key_id: x', 'name the key of the replicas'],
  ['replicationTime: {}', 'enable S3 Replication Time Control for the rule'],
  ['role_arn: x', 'name an existing role'],
])('%s: the problem says what to write', async (field, hint) => {
  const [problem] = await problemsOf(TAX.replace('  rules:', `  ${field}\n  rules:`));
  expect(problem).toMatchObject({ message: 'unknown field', hint: expect.stringContaining(hint) });
});

test('kms_key_id below the destination: the hint names the key of the replicas', async () => {
  const yaml = TAX.replace(
    '    bucket: acme-tax-replica\n',
    '    bucket: acme-tax-replica\n    kms_key_id: x\n',
  );
  const [problem] = await problemsOf(yaml);
  expect(problem?.hint).toBe(
    'name the key of the replicas beside their bucket, in spec.destination: key: alias/acme-tax-replica',
  );
});

test('source_selection_criteria: the hint is a sentence with its example', () => {
  expect(hintForField('source_selection_criteria')).toBe(
    'remove it: rules replicate KMS-encrypted objects by default, and a rule can skip them, in spec.rules[]: sseKmsEncryptedObjects: false',
  );
});

test.each(['storage_class', 'StorageClass', 'storage-class'])(
  '%s: another spelling of a field of the same mapping is corrected',
  async (field) => {
    const yaml = TAX.replace(
      '    bucket: acme-tax-replica\n',
      `    bucket: acme-tax-replica\n    ${field}: GLACIER\n`,
    );
    const [problem] = await problemsOf(yaml);
    expect(problem?.hint).toBe('did you mean storageClass?');
  },
);

test('field hints: names are compared without case, _ and -', () => {
  expect(fieldHints().map(([name]) => normalizeFieldName(name))).toEqual(fieldHints().map(([name]) => name));
  expect(hintForField('SOURCE-SELECTION_criteria')).toBe(hintForField('sourceSelectionCriteria'));
  expect(hintForField('rules')).toBeUndefined();
});
