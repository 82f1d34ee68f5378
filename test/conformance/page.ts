import type { Fact } from './facts.ts';

const TIERS: Record<Fact['tier'], string> = {
  A: 'recorded from AWS, or verified against it, by the project that published it',
  'A-': 'a sanitised capture of AWS by a third party',
  B: 'an older recording, or a public log or report that quotes AWS',
  C: 'an implementation that claims to have been checked against AWS',
};

const SERVICES: Record<Fact['service'], string> = {
  s3: 'S3',
  s3control: 'S3 Control',
  iam: 'IAM',
  kms: 'KMS',
  sts: 'STS',
};

/** docs/conformance.md: what the sandbox answers as AWS does, and what it does not. */
export function page(facts: Fact[], notMet: Record<string, string>): string {
  const missed = facts.filter(({ id }) => notMet[id] !== undefined);
  return `# Conformance

<!-- Written by test/conformance; do not edit. Anew: npx vitest run test/conformance -u -->

The sandbox is held to ${facts.length} answers that were recorded from AWS
([test/conformance/recorded-facts.json](../test/conformance/recorded-facts.json)): for each, the test suite makes the
calls that lead to it and compares HTTP status, error code, message and output.
**${facts.length - missed.length} of ${facts.length} are met.** The other ${missed.length} are below, each with its reason, and a test fails when one
of them is met after all.

## By service

${table(
  ['service', 'recorded', 'met', 'not met'],
  Object.entries(SERVICES).map(([service, name]) =>
    row(
      name,
      facts.filter((fact) => fact.service === service),
      notMet,
    ),
  ),
)}

## By evidence

Messages of tiers A and A- are compared word for word, those of B and C without regard to case and punctuation.

${table(
  ['tier', 'recorded', 'met', 'not met'],
  Object.entries(TIERS).map(([tier, meaning]) =>
    row(
      `${tier}: ${meaning}`,
      facts.filter((fact) => fact.tier === tier),
      notMet,
    ),
  ),
)}

## Not met

${table(
  ['operation', 'recorded answer', 'why not'],
  missed.map(({ id, operation }) => [operation, `\`${id}\``, notMet[id] ?? '']),
)}

## Elsewhere

The same scenarios run against any other endpoint, for information: \`REPLIKEY_TEST_ENDPOINT=http://127.0.0.1:5000 npx
vitest run test/conformance\` prints which recorded answers it gives, and how many.
`;
}

function row(name: string, facts: Fact[], notMet: Record<string, string>): string[] {
  const missed = facts.filter(({ id }) => notMet[id] !== undefined).length;
  return [name, facts.length, facts.length - missed, missed].map(String);
}

/** A table as the formatter has it: all cells of a column equally wide. */
function table(head: string[], rows: string[][]): string {
  const widths = head.map((_, column) =>
    Math.max(...[head, ...rows].map((cells) => cells[column]?.length ?? 0)),
  );
  const line = (cells: string[]) => `| ${cells.map((cell, n) => cell.padEnd(widths[n] ?? 0)).join(' | ')} |`;
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)].join('\n');
}
