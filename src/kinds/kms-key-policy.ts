import { GetKeyPolicyCommand, PutKeyPolicyCommand } from '@aws-sdk/client-kms';
import { requireField } from '../aws/response.ts';
import { batchRoleId, bucketResourceId, keyResourceId, locationOfSide, positionOfPath } from '../core/ids.ts';
import type { DesiredContext, Kind } from '../core/kind.ts';
import { orphanResource } from '../core/orphan.ts';
import { ref } from '../core/ref.ts';
import type { Aws, Location, Resource } from '../core/resource.ts';
import type { Policy, Statement } from '../iam/types.ts';
import {
  keyPolicyStatements,
  type RoleKeyUse,
  reencryptKeyStatements,
} from '../policy/required-statements.ts';
import { joinPolicy, normalizeStatements, type Statements, toStatementList } from '../policy/statements.ts';
import { type KeyUse, keysOfReencryption, keyUsesOf, reencryptedSidesOf } from '../spec/key-uses.ts';
import { awsCli, MERGED_FILE, mergePolicyCommand } from '../util/aws-cli.ts';
import { shellQuote } from '../util/escape.ts';
import { keyAuditEvents } from './cloudtrail-events.ts';
import { externalRoleIds, roleArnOrRef } from './helpers.ts';
import { describeKey, fetchKeyIdentifiers } from './kms-key.ts';
import {
  deletedPrincipalProblem,
  parsePolicyDocument,
  policyNotes,
  renderPolicy,
  splitByOwner,
} from './policy-document.ts';
import { keyScope } from './scopes.ts';

/**
 * Managed statements in the policy of a key that a spec declares by alias. All other statements stay, above all those
 * for the account's own administration. replikey never bypasses the lock-out check of KMS.
 */
export interface KmsKeyPolicy {
  alias: string;
  statements: Statements;
}

export interface KeyPolicyDoc {
  /** ARN of the key; empty before it exists. */
  arn: string;
  policy: Policy;
}

/**
 * Maximum size of a key policy, in bytes.
 *
 * https://docs.aws.amazon.com/kms/latest/developerguide/resource-limits.html
 */
const MAX_KEY_POLICY_BYTES = 32_768;

export const kmsKeyPolicy: Kind<KmsKeyPolicy, KeyPolicyDoc, Statement[]> = {
  name: 'kms.key-policy',
  scope: {
    ...keyScope,
    // KMS gives a new key the default policy, which lets IAM policies of its account grant access.
    facts: ({ policy }, { current, arn, accountId }) => ({
      policy: current
        ? policy
        : { ...policy, Statement: [defaultStatement(arn, accountId), ...[policy.Statement].flat()] },
    }),
  },
  permissions: { read: ['kms:DescribeKey', 'kms:GetKeyPolicy'], write: ['kms:PutKeyPolicy'] },

  desired: (context) => keyUsesOf(context.pair).flatMap((use) => desiredKeyPolicy(use, context)),

  orphans: (orphan) =>
    orphan.keys.map(({ arn, location }) =>
      orphanResource(orphan, {
        id: `kms.key-policy/${arn}`,
        kind: 'kms.key-policy',
        name: arn,
        location,
        spec: { alias: arn, statements: {} },
        after: orphan.sources.map(({ bucket }) => bucketResourceId('s3.replication', bucket)),
      }),
    ),

  async fetch(aws, location, name) {
    // GetKeyPolicy does not accept an alias. The client shares this read with that of the key itself.
    const key = await describeKey(aws, location, name);
    if (key?.Arn === undefined) return undefined;
    return { arn: key.Arn, policy: await fetchKeyPolicy(aws, location, key.Arn) };
  },

  parse({ arn, policy }, resource) {
    const { managed, attrs, ...others } = splitByOwner(policy, resource);
    return { spec: { alias: resource.spec.alias, statements: managed }, attrs: { ...attrs, arn }, ...others };
  },

  normalize: ({ alias, statements }) => ({ alias, statements: normalizeStatements(statements) }),

  render: (resource, current, retention) => ({
    arn: current?.attrs.arn ?? '',
    // A key always has a policy, so an empty one is written, not deleted.
    policy: renderPolicy(resource, current, retention) ?? joinPolicy({}),
  }),

  operations: ({ resource: { location }, desired: { alias, statements } }) => [
    {
      call: 'kms:PutKeyPolicy',
      manual: {
        what: `add these statements to the policy of ${alias}`,
        document: toStatementList(statements),
        command: addToKeyPolicyCommand(alias, location, statements),
      },
    },
  ],

  async send(aws, { resource: { location }, doc }) {
    await aws.send(
      location,
      new PutKeyPolicyCommand({
        KeyId: doc?.arn,
        PolicyName: 'default',
        Policy: JSON.stringify(doc?.policy),
      }),
    );
  },

  response: {
    replacesWholeDocument: true,
    initialContent: true,
  },

  check(change) {
    const size = Buffer.byteLength(JSON.stringify(change.doc?.policy ?? ''));
    return {
      blocked:
        size <= MAX_KEY_POLICY_BYTES
          ? deletedPrincipalProblem(
              change.current?.foreign,
              `policy of the key ${change.resource.spec.alias}`,
            )
          : `the policy of the key ${change.resource.spec.alias} would have ${size} bytes, but KMS allows ${MAX_KEY_POLICY_BYTES}; use the key in fewer specs`,
      notes: policyNotes(change),
    };
  },

  explain: (path) =>
    path.startsWith('/statements/ReplikeySource')
      ? 'the role must be able to decrypt source objects with either encryption context'
      : path.startsWith('/statements/ReplikeyDestination')
        ? 'the role must be able to encrypt replicas with either encryption context'
        : path.startsWith('/statements/ReplikeyReencrypt')
          ? 'the role of batch jobs re-encrypts objects with the key'
          : path.startsWith('/statements/ReplikeyReplaced')
            ? 'the role must be able to decrypt replicas that are still encrypted under the key'
            : undefined,

  transientErrors: [
    {
      code: 'MalformedPolicyDocumentException',
      message: /principal/i,
      waitsFor: 'KMS to see the new role as a principal',
    },
    { code: 'NotFoundException', waitsFor: 'KMS to see the new key' },
  ],

  auditEvents: keyAuditEvents({ '': ['PutKeyPolicy', 'UpdateAlias'] }, fetchKeyIdentifiers),
};

/** Returns the command that adds statements to a key policy, in an account that replikey cannot read. */
function addToKeyPolicyCommand(key: string, { region }: Location, statements: Statements): string {
  const list = toStatementList(statements);
  const commands = (keyId: string) =>
    mergePolicyCommand(
      {
        get: `aws kms get-key-policy --region ${region} --key-id ${keyId} --policy-name default --query Policy --output text`,
        put: `aws kms put-key-policy --region ${region} --key-id ${keyId} --policy-name default --policy ${MERGED_FILE}`,
      },
      list,
    );
  if (key.startsWith('arn:')) return commands(shellQuote(key));
  // Neither operation accepts an alias.
  const getArn = awsCli('kms describe-key', {
    region,
    'key-id': key,
    query: 'KeyMetadata.Arn',
    output: 'text',
  });
  return `key=$(${getArn}) &&\n${commands('"$key"')}`;
}

/**
 * Reads the policy of a key.
 *
 * @throws the error of AWS.
 */
export async function fetchKeyPolicy(aws: Aws, location: Location, arn: string): Promise<Policy> {
  const command = new GetKeyPolicyCommand({ KeyId: arn, PolicyName: 'default' });
  return parsePolicyDocument(requireField(await aws.send(location, command), 'Policy'));
}

function desiredKeyPolicy(
  { side, path }: KeyUse,
  { pair, relatedPairs }: DesiredContext,
): Resource<KmsKeyPolicy>[] {
  // replikey never changes a key given by ARN; the owner of an unmanaged account gets the statements that it needs.
  if ('arn' in side.key && side.managed) return [];
  const id = keyResourceId('kms.key', side);
  const uses = relatedPairs.flatMap((other) =>
    keyUsesOf(other)
      .filter((use) => keyResourceId('kms.key', use.side) === id)
      .map((use): RoleKeyUse => ({ pair: other, side: use.role, role: roleArnOrRef(other) })),
  );
  const reencryptions = relatedPairs
    .flatMap(reencryptedSidesOf)
    .filter((use) => keysOfReencryption(use).some((keySide) => keyResourceId('kms.key', keySide) === id))
    .map((use) => ({ ...use, roleArn: ref(batchRoleId('iam.role', use)) }));
  const statements = { ...keyPolicyStatements(uses), ...reencryptKeyStatements(reencryptions) };
  if (Object.keys(statements).length === 0) return [];
  const name = 'arn' in side.key ? side.key.arn : side.key.alias;
  return [
    {
      id: keyResourceId('kms.key-policy', side),
      kind: 'kms.key-policy',
      name,
      location: locationOfSide(side),
      spec: { alias: name, statements },
      after: [id, ...externalRoleIds(uses.map((use) => use.pair))],
      declaredBy: [pair.name],
      position: positionOfPath(pair, path),
    },
  ];
}

const defaultStatement = (arn: string, accountId: string): Statement => ({
  Effect: 'Allow',
  Principal: { AWS: `arn:${arn.split(':')[1]}:iam::${accountId}:root` },
  Action: 'kms:*',
  Resource: '*',
});
