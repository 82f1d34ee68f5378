import { emptyFacts, type Facts } from '../core/facts.ts';
import type { PolicyRef } from '../proof/findings.ts';

/**
 * The buckets, roles and keys of a plan, a state or a template, as facts for the proof, with the address of each
 * document. Names and ids that exist only after apply are placeholders in braces: `{aws_kms_key.replica}`.
 */
export interface Stack {
  facts: Facts;
  /** Addresses of resources, by the document that they contain: see `documentKey`. */
  addresses: Map<string, string>;
  /** Source buckets with a replication configuration, in the order of their addresses. */
  sources: StackSource[];
  /** Accounts that are not known, by the 12 digits that stand for them, with their label in messages. */
  unknownAccounts: Map<string, string>;
}

export interface StackSource {
  bucket: string;
  /** Address of the resource with the replication configuration. */
  address: string;
  /** Values of each rule that are not known, in the order of the rules. */
  unknownOfRules: string[][];
}

export const emptyStack = (): Stack => ({
  facts: emptyFacts(),
  addresses: new Map(),
  sources: [],
  unknownAccounts: new Map(),
});

/** Parts of a bucket, role or key that a resource can contain. */
export type DocumentPart =
  | 'versioning'
  | 'replication'
  | 'encryption'
  | 'policy'
  | 'ownership'
  | 'objectLock'
  | 'publicAccessBlock'
  | 'trust'
  | 'boundary'
  | 'self';

/**
 * Returns the key of a document in `Stack.addresses`.
 *
 * @param of name of a bucket, or ARN of a role or key
 * @param part `self`: the bucket, role or key itself
 */
export const documentKey = (kind: 'bucket' | 'role' | 'key', of: string, part: DocumentPart): string =>
  `${kind} ${of} ${part}`;

/** Returns the key of a policy of a role in `Stack.addresses`. */
export const rolePolicyKey = (role: string, policy: string): string => `role ${role} policy ${policy}`;

/** Returns the key of the document that a policy reference names. */
export function keyOfPolicy({ kind, of, policy = '' }: PolicyRef): string {
  if (kind === 'bucket' || kind === 'key') return documentKey(kind, of, 'policy');
  return kind === 'role' ? rolePolicyKey(of, policy) : documentKey('role', of, kind);
}

/** Returns the placeholder for a name that exists only after apply. It has no character that separates parts of an ARN. */
export const placeholderOf = (address: string): string => `{${address.replace(/[:/*?$]/g, '_')}}`;

/** The owner and place of a resource. */
export interface StackLocation {
  partition: string;
  region: string;
  /** 12 digits. */
  account: string;
}

export const stackArn = (
  service: string,
  { partition, region, account }: StackLocation,
  resource: string,
): string => `arn:${partition}:${service}:${service === 'iam' ? '' : region}:${account}:${resource}`;
