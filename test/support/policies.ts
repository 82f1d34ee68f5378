import {
  CreatePolicyVersionCommand,
  GetPolicyCommand,
  GetPolicyVersionCommand,
  GetRoleCommand,
  GetRolePolicyCommand,
  PutRolePolicyCommand,
  UpdateAssumeRolePolicyCommand,
} from '@aws-sdk/client-iam';
import { GetKeyPolicyCommand, PutKeyPolicyCommand } from '@aws-sdk/client-kms';
import { GetBucketPolicyCommand, PutBucketPolicyCommand } from '@aws-sdk/client-s3';
import type { Aws, Location } from '../../src/core/resource.ts';
import { type Locations, locationOfArn } from '../../src/facts/locations.ts';
import type { Policy } from '../../src/iam/types.ts';
import { parsePolicyDocument } from '../../src/kinds/policy-document.ts';
import type { PolicyRef } from '../../src/proof/findings.ts';

/** Changes a policy like a user: reads it, and writes it with the change. Creates a missing policy. */
export async function changePolicy(
  aws: Aws,
  locations: Locations,
  ref: PolicyRef,
  change: (policy: Policy) => Policy,
): Promise<void> {
  const at = locationOfPolicy(ref, locations);
  const document = await documentAt(aws, at, ref);
  const text = await document.read().catch((error: Error) => {
    if (!['NoSuchBucketPolicy', 'NoSuchEntityException'].includes(error.name)) throw error;
    return '{"Version":"2012-10-17","Statement":[]}';
  });
  await document.put(JSON.stringify(change(parsePolicyDocument(text ?? ''))));
}

function locationOfPolicy({ kind, of }: PolicyRef, locations: Locations): Location {
  if (kind === 'bucket') return locations.buckets.get(of) ?? { region: locations.region };
  return locationOfArn(of, locations, kind === 'key' ? (of.split(':')[3] ?? '') : locations.region);
}

interface Document {
  read(): Promise<string | undefined>;
  put(text: string): Promise<unknown>;
}

async function documentAt(aws: Aws, at: Location, { kind, of, policy = '' }: PolicyRef): Promise<Document> {
  const RoleName = of.slice(of.lastIndexOf('/') + 1);
  const role = async () => (await aws.send(at, new GetRoleCommand({ RoleName }))).Role;
  switch (kind) {
    case 'trust':
      return {
        read: async () => (await role())?.AssumeRolePolicyDocument,
        put: (PolicyDocument) =>
          aws.send(at, new UpdateAssumeRolePolicyCommand({ RoleName, PolicyDocument })),
      };
    case 'boundary':
      return managed(aws, at, (await role())?.PermissionsBoundary?.PermissionsBoundaryArn ?? '');
    case 'role':
      if (policy.startsWith('arn:')) return managed(aws, at, policy);
      return {
        read: async () =>
          (await aws.send(at, new GetRolePolicyCommand({ RoleName, PolicyName: policy }))).PolicyDocument,
        put: (PolicyDocument) =>
          aws.send(at, new PutRolePolicyCommand({ RoleName, PolicyName: policy, PolicyDocument })),
      };
    case 'bucket':
      return {
        read: async () => (await aws.send(at, new GetBucketPolicyCommand({ Bucket: of }))).Policy,
        put: (Policy) => aws.send(at, new PutBucketPolicyCommand({ Bucket: of, Policy })),
      };
    case 'key':
      return {
        read: async () =>
          (await aws.send(at, new GetKeyPolicyCommand({ KeyId: of, PolicyName: 'default' }))).Policy,
        put: (Policy) => aws.send(at, new PutKeyPolicyCommand({ KeyId: of, PolicyName: 'default', Policy })),
      };
  }
}

const managed = (aws: Aws, at: Location, PolicyArn: string): Document => ({
  async read() {
    const { Policy } = await aws.send(at, new GetPolicyCommand({ PolicyArn }));
    const VersionId = Policy?.DefaultVersionId;
    const { PolicyVersion } = await aws.send(at, new GetPolicyVersionCommand({ PolicyArn, VersionId }));
    return PolicyVersion?.Document;
  },
  put: (PolicyDocument) =>
    aws.send(at, new CreatePolicyVersionCommand({ PolicyArn, PolicyDocument, SetAsDefault: true })),
});
