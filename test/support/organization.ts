import { callOrganizations, type RawResponse } from './raw-aws.ts';

/** An organization in a sandbox. */
export interface TestOrganization {
  /** `o-…` */
  id: string;
  /** `r-…` */
  root: string;
  /** Invites an account, which accepts. */
  join(account: string): Promise<void>;
  /** Creates a policy with one statement, attaches it to the root, a unit or an account, and returns its id. */
  attach(type: 'SCP' | 'RCP', target: string, statement: object): Promise<string>;
  detach(policyId: string, target: string): Promise<void>;
  send(operation: string, input: object, account?: string): Promise<Record<string, unknown>>;
}

const TYPES = { SCP: 'SERVICE_CONTROL_POLICY', RCP: 'RESOURCE_CONTROL_POLICY' };

/** Creates an organization with both types of control policies. */
export async function createTestOrganization(
  endpoint: string,
  management: string,
  members: readonly string[] = [],
): Promise<TestOrganization> {
  const send = async (operation: string, input: object, account = management) =>
    requireSuccess(operation, await callOrganizations(endpoint, operation, input, account));
  const { Organization } = (await send('CreateOrganization', {})) as { Organization: { Id: string } };
  const { Roots } = (await send('ListRoots', {})) as { Roots: { Id: string }[] };
  const root = Roots[0]?.Id ?? '';
  for (const PolicyType of Object.values(TYPES)) await send('EnablePolicyType', { RootId: root, PolicyType });
  const organization: TestOrganization = {
    id: Organization.Id,
    root,
    async join(Id) {
      const invitation = await send('InviteAccountToOrganization', { Target: { Id, Type: 'ACCOUNT' } });
      const { Handshake } = invitation as { Handshake: { Id: string } };
      await send('AcceptHandshake', { HandshakeId: Handshake.Id }, Id);
    },
    async attach(type, TargetId, statement) {
      const Content = JSON.stringify({ Version: '2012-10-17', Statement: statement });
      const Name = `${type.toLowerCase()}-${Math.random().toString(36).slice(2)}`;
      const policy = { Type: TYPES[type], Name, Description: Name, Content };
      const { Policy } = (await send('CreatePolicy', policy)) as {
        Policy: { PolicySummary: { Id: string } };
      };
      const PolicyId = Policy.PolicySummary.Id;
      await send('AttachPolicy', { PolicyId, TargetId });
      return PolicyId;
    },
    detach: async (PolicyId, TargetId) => void (await send('DetachPolicy', { PolicyId, TargetId })),
    send,
  };
  for (const member of members) await organization.join(member);
  return organization;
}

function requireSuccess(operation: string, { status, body, json }: RawResponse): Record<string, unknown> {
  if (status !== 200) throw new Error(`${operation} failed with status ${status}: ${body}`);
  return json;
}
