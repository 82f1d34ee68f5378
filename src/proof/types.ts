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
  /** Control policies on which the result depends, and which were not read: `SCPs of account 111122223333`. */
  unreadControlPolicies?: string[];
}

/** The verdict and findings of a rule. */
export interface RuleVerdict {
  bucket: string;
  /** ID of the rule; empty if there is no rule to prove. */
  rule: string;
  destination: string;
  /** The spec that declares the rule, if any. */
  spec?: string;
  /** Address of the resource in a plan or template that contains the rule. */
  address?: string;
  verdict: Verdict;
  findings: Finding[];
  /** What the verdict is based on; absent if there is no rule to prove. */
  basis?: ProofBasis;
}

/** The documents that decide about a rule. AWS applies endpoint policies too, which replikey cannot read. */
export interface ProofBasis {
  /** Names of the buckets, source first. */
  buckets: string[];
  /** ARNs. */
  roles: string[];
  /** ARNs. */
  keys: string[];
  /** ARNs of the managed policies and boundaries of the roles; absent: none. */
  policies?: string[];
  /** Documents that could not be read. */
  unread: string[];
  controlPolicies: ControlPolicyBasis;
}

/** The requests of a rule whose result depends on service and resource control policies that were not read. */
export interface ControlPolicyBasis {
  /** Number of all requests. */
  requests: number;
  /** Number of these requests. */
  dependent: number;
  /** Number of the dependent requests that are undecided, because a read of control policies failed. Absent: none. */
  undecided?: number;
  /** Reasons by account: `account 111122223333: REASON`. Empty if replikey did not try to read them. */
  unread: string[];
}

export interface RuleProof extends RuleVerdict {
  answers: AccessResult[];
}

/** The part of a declared rule's proof that a pass keeps: the number of requests in place of their results. */
export interface RuleProofSummary extends RuleVerdict {
  requests: number;
}
