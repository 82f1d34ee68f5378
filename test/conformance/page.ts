import type { Fact } from './facts.ts';
import { renderSection, type Section } from './section.ts';

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

/** Returns docs/reference/conformance.md: how the sandbox answers compared with AWS, suite by suite. */
export function page(facts: Fact[], notMet: Record<string, string>, sections: Section[]): string {
  return `# Conformance

<!-- Written by test/conformance; do not edit. To update: npx vitest run test/conformance -u -->

${[factsSection(facts, notMet), ...sections].map(renderSection).join('\n\n')}

## Elsewhere

You can run the same scenarios against any other endpoint. This command prints which recorded responses the endpoint
matches, and how many: \`REPLIKEY_TEST_ENDPOINT=http://127.0.0.1:5000 npx vitest run test/conformance\`.
`;
}

function factsSection(facts: Fact[], notMet: Record<string, string>): Section {
  const missed = facts.filter(({ id }) => notMet[id] !== undefined);
  return {
    title: 'Recorded responses',
    text: [
      `The test suite compares the sandbox with ${facts.length} responses that were recorded from AWS
([test/conformance/recorded-facts.json](../../test/conformance/recorded-facts.json)). For each response, it makes the calls
that lead to it and compares HTTP status, error code, message and output.
**The sandbox matches ${facts.length - missed.length} of ${facts.length}.** The last table lists the other ${missed.length}, each with its reason. A test fails when the sandbox
matches one of them.

For tiers A and A-, the tests compare messages word for word. For tiers B and C, they ignore case and punctuation.`,
    ],
    tables: [
      {
        title: 'By service',
        columns: ['service', 'recorded', 'met', 'not met'],
        rows: Object.entries(SERVICES).map(([service, name]) =>
          row(
            name,
            facts.filter((fact) => fact.service === service),
            notMet,
          ),
        ),
      },
      {
        title: 'By evidence',
        columns: ['tier', 'recorded', 'met', 'not met'],
        rows: Object.entries(TIERS).map(([tier, meaning]) =>
          row(
            `${tier}: ${meaning}`,
            facts.filter((fact) => fact.tier === tier),
            notMet,
          ),
        ),
      },
      {
        title: 'Not met',
        columns: ['operation', 'recorded response', 'reason'],
        rows: missed.map(({ id, operation }) => [operation, `\`${id}\``, notMet[id] ?? '']),
      },
    ],
  };
}

function row(name: string, facts: Fact[], notMet: Record<string, string>): string[] {
  const missed = facts.filter(({ id }) => notMet[id] !== undefined).length;
  return [name, facts.length, facts.length - missed, missed].map(String);
}
