import type { Section } from '../conformance/section.ts';
import { type Check, checks, missingOperations } from './checks.ts';
import type { Client } from './client.ts';
import { clients, REGIONS } from './clients.ts';

/**
 * Returns the section of docs/reference/conformance.md. It does not depend on the clients that this machine has: every check of
 * it is a test.
 */
export function clientsSection(): Section {
  const pairs = clients.flatMap((client) => checks.filter((check) => hasOperations(check, client)));
  return {
    title: 'Independent clients',
    text: [
      `${clients.length} clients run the same checks against the sandbox, in ${REGIONS.join(' and ')}
([test/clients](../../test/clients)). Each check runs an operation of the client. The test then verifies over raw HTTP what the
sandbox stores, and which requests it received.
**All ${pairs.length * REGIONS.length} checks pass.** Keys contain spaces, \`+\`, \`%\`, \`&\`, \`<\` and characters beyond ASCII. Clients use path
style at \`127.0.0.1\`, except in the last check. Version 1 of the AWS CLI, boto3 and s3cmd presign
with Signature Version 2: s3cmd in all Regions, so that eu-central-1 refuses its URLs as S3 does; the others in us-east-1 alone.`,
    ],
    tables: [
      {
        title: 'Checks',
        columns: ['check', ...clients.map(({ name }) => name), 'verifies'],
        rows: checks.map((check) => [
          check.name,
          ...clients.map((client) => (hasOperations(check, client) ? 'pass' : '–')),
          check.verifies,
        ]),
      },
      {
        title: 'Clients',
        columns: ['client', 'packages', 'settings'],
        rows: clients.map((client) => [client.name, client.package, client.configured]),
      },
      {
        title: 'Checks without an operation',
        columns: ['client', 'check', 'reason'],
        rows: clients.flatMap((client) =>
          checks.flatMap((check) =>
            missingOperations(check, client).map((operation) => [
              client.name,
              check.name,
              client.without[operation] ?? '',
            ]),
          ),
        ),
      },
    ],
  };
}

const hasOperations = (check: Check, client: Client): boolean =>
  missingOperations(check, client).length === 0;
