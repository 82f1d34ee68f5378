import { expect, test } from 'vitest';
import type { Aws } from '../../src/core/resource.ts';
import { createOrganizationReader } from '../../src/facts/organization.ts';

const ACCOUNT = '111122223333';
const LOCATION = { account: '777788889999', region: 'us-east-1' };
const RESPONSES: Record<string, object> = {
  DescribeOrganizationCommand: { Organization: { Id: 'o-acme', MasterAccountId: '777788889999' } },
  ListParentsCommand: { Parents: [{ Id: 'r-acme', Type: 'ROOT' }] },
  ListPoliciesForTargetCommand: { Policies: [{ Id: 'p-FullAWSAccess', Name: 'FullAWSAccess' }] },
};

/** Returns a client that answers from RESPONSES, and DescribePolicy with the given response. */
const clientWith = (describePolicy: object): Aws =>
  ({
    send: async (_: object, command: object) =>
      command.constructor.name === 'DescribePolicyCommand'
        ? describePolicy
        : RESPONSES[command.constructor.name],
  }) as unknown as Aws;

test.each([
  ['no policy', {}, 'Policy is missing'],
  ['a policy without a document', { Policy: {} }, 'Content is missing'],
])('control policies: a response with %s is not read as an empty policy', async (_, response, reason) => {
  const facts = await createOrganizationReader(clientWith(response), LOCATION).account(ACCOUNT);
  expect(facts).toMatchObject({
    scps: { unread: expect.stringContaining(reason) },
    rcps: { unread: expect.stringContaining(reason) },
  });
});
