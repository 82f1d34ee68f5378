import { CLIENTS, type ClientName } from './client.ts';
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

const CLIENT_CHECKS: Record<ClientName, string> = {
  'raw HTTP':
    'HTTP messages that the test builds and reads by itself: status, headers, and each element of XML and JSON, as in the API references',
  'JavaScript SDK': 'what `@aws-sdk/client-*` returns or throws',
  boto3: 'what boto3 returns or raises, with `ResponseMetadata` and its headers',
};

/** Reasons by client and fact. */
type NotMet = Record<ClientName, Record<string, string>>;

/** Returns docs/reference/conformance.md: how the sandbox responds compared with AWS, suite by suite. */
export function page(facts: Fact[], notMet: NotMet, sections: Section[]): string {
  return `# Conformance

<!-- Written by test/conformance; do not edit. To update: npm run conformance -- --update -->

This page compares the sandbox with AWS: which suites run, through which clients, and where the sandbox differs, with the reason.
\`npm run conformance\` runs these suites and prints this page.

${[factsSection(facts, notMet), ...sections].map(renderSection).join('\n\n')}

## Other endpoints

The scenarios of the recorded responses also run against any other endpoint. This command prints which responses the endpoint
matches through each client: \`REPLIKEY_TEST_ENDPOINT=http://127.0.0.1:5000 npx vitest run test/conformance\`.
`;
}

function factsSection(facts: Fact[], notMet: NotMet): Section {
  const met = CLIENTS.map((client) => facts.filter(({ id }) => notMet[client][id] === undefined).length);
  const results = CLIENTS.map((client, n) => `${met[n]} through ${client}`);
  return {
    title: 'Recorded responses',
    text: [
      `Other projects recorded ${facts.length} responses of AWS, and published them
([test/conformance/recorded-facts.json](../../test/conformance/recorded-facts.json)). For each of them, the test makes the calls
that lead to it, and compares HTTP status, error code, message and output. It does so through three clients, because a client
hides what it does not read.
**The sandbox matches ${results.slice(0, -1).join(', ')} and ${results.at(-1)}.** The last table lists the
others with the reason. A test fails when the sandbox matches one of them.`,
      `A response of the sandbox may have no field that AWS does not return, where the whole response was recorded. For tiers A and A-,
messages are compared word for word; for tiers B and C, case and punctuation are ignored.`,
    ],
    tables: [
      {
        title: 'By client',
        columns: ['client', 'compares', 'recorded', 'met'],
        rows: CLIENTS.map((client, n) => [client, CLIENT_CHECKS[client], `${facts.length}`, `${met[n]}`]),
      },
      {
        title: 'By service',
        columns: ['service', 'recorded', ...CLIENTS],
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
        columns: ['tier', 'recorded', ...CLIENTS],
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
        columns: ['operation', 'recorded response', 'client', 'reason'],
        rows: facts.flatMap(({ id, operation }) =>
          byReason(id, notMet).map(({ reason, clients }) => [operation, `\`${id}\``, clients, reason]),
        ),
      },
    ],
  };
}

/** Returns a row: a name, the number of facts, and how many of them are met through each client. */
function row(name: string, facts: Fact[], notMet: NotMet): string[] {
  const met = CLIENTS.map((client) => facts.filter(({ id }) => notMet[client][id] === undefined).length);
  return [name, facts.length, ...met].map(String);
}

/** Returns the reasons of a fact, each with its clients. */
function byReason(id: string, notMet: NotMet): { reason: string; clients: string }[] {
  const reasons = new Map<string, ClientName[]>();
  for (const client of CLIENTS) {
    const reason = notMet[client][id];
    if (reason !== undefined) reasons.set(reason, [...(reasons.get(reason) ?? []), client]);
  }
  return [...reasons].map(([reason, clients]) => ({
    reason,
    clients: clients.length === CLIENTS.length ? 'all' : clients.join(', '),
  }));
}
