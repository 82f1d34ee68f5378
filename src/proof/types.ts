import type { Statement } from '../iam/types.ts';
import type { Position } from '../spec/types.ts';
import type { FindingCode, FindingDefinition } from './codes.ts';

/** One kind of object that a rule covers. */
export type ObjectCase = { key: string } & (
  | { type: 'delete marker' }
  | {
      type: 'object';
      encryption: { algorithm: 'AES256' } | KmsEncryption;
      /** Whether objects of the bucket are so by default, or were seen to be; otherwise a request may make them so. */
      isTypical: boolean;
    }
);

export interface KmsEncryption {
  algorithm: 'aws:kms' | 'aws:kms:dsse';
  keyArn: string;
  bucketKey: boolean;
}

/** A policy that has a say. */
export interface PolicyRef {
  kind: 'trust' | 'role' | 'boundary' | 'bucket' | 'key';
  /** ARN of the role or the key, or name of the bucket. */
  of: string;
  /** Name of a policy of a role. */
  policy?: string;
}

/**
 * What mends a finding: a statement to add to a policy, one to put in another's place (by index), one to take away, or a
 * call.
 */
export type Fix = { what: string } & (
  | { policy: PolicyRef; add: Statement }
  | { policy: PolicyRef; replace: number; by: Statement }
  | { policy: PolicyRef; remove: number }
  | { call: { service: 's3' | 'kms'; operation: string; region: string; input: Record<string, unknown> } }
);

export interface Finding {
  code: FindingCode;
  severity: FindingDefinition['severity'];
  title: string;
  /** What was found, in a sentence for a person. */
  message: string;
  /** S3's own word for it. */
  failureReason?: string;
  /** In order; each is needed. */
  fixes: Fix[];
  /** Where in the YAML, for a rule that a spec declares. */
  at?: Position;
  /** The request that is denied, or undecided. */
  request?: { action: string; resource: string; context: Record<string, string | string[]> };
}

/** One request that S3 makes as the role, and what became of it. */
export interface AccessResult {
  /** In words: `decrypt the source object`. */
  purpose: string;
  action: string;
  resource: string;
  result: 'allowed' | 'denied' | 'unknown';
  /** By which statements, or for the lack of which. */
  reason: string;
}

/** How a rule fares. */
export interface RuleVerdict {
  bucket: string;
  /** ID of the rule; empty where there is none to prove. */
  rule: string;
  destination: string;
  /** The spec that declares it, if one does. */
  spec?: string;
  /** `proven`: every request is allowed; `broken`: objects fail; `unknown`: something could not be decided; `off`. */
  verdict: 'proven' | 'broken' | 'unknown' | 'off';
  findings: Finding[];
}

export interface RuleProof extends RuleVerdict {
  answers: AccessResult[];
}

/** What a pass keeps of the proof of a declared rule: of the single requests how many were decided. */
export interface RuleProofSummary extends RuleVerdict {
  requests: number;
}
