import type { Finding, Verdict } from './findings.ts';

/** One kind of object that a rule covers. */
export type ObjectCase = { key: string } & (
  | { type: 'delete marker' }
  | {
      type: 'object';
      encryption: { algorithm: 'AES256' } | KmsEncryption;
      /**
       * Whether the bucket's default or a sampled object has this encryption. If false, only a request header can
       * cause it.
       */
      isTypical: boolean;
    }
);

export interface KmsEncryption {
  algorithm: 'aws:kms' | 'aws:kms:dsse';
  keyArn: string;
  bucketKey: boolean;
}

/** One request that S3 makes as the role, with its result. */
export interface AccessResult {
  /** A phrase for messages: `decrypt the source object`. */
  purpose: string;
  action: string;
  resource: string;
  result: 'allowed' | 'denied' | 'unknown';
  /** The statements that decide, or the missing Allow. */
  reason: string;
}

/** The verdict and findings of a rule. */
export interface RuleVerdict {
  bucket: string;
  /** ID of the rule; empty if there is no rule to prove. */
  rule: string;
  destination: string;
  /** The spec that declares the rule, if any. */
  spec?: string;
  verdict: Verdict;
  findings: Finding[];
  /** What the verdict is based on; absent if there is no rule to prove. */
  basis?: ProofBasis;
}

/** The documents that decide about a rule. AWS applies others that replikey cannot read. */
export interface ProofBasis {
  /** Names of the buckets, source first. */
  buckets: string[];
  /** ARNs. */
  roles: string[];
  /** ARNs. */
  keys: string[];
  /** Documents that could not be read. */
  unread: string[];
}

export interface RuleProof extends RuleVerdict {
  answers: AccessResult[];
}

/** The part of a declared rule's proof that a pass keeps: the number of requests in place of their results. */
export interface RuleProofSummary extends RuleVerdict {
  requests: number;
}
