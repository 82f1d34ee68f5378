import type { Finding, Verdict } from './findings.ts';

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
  verdict: Verdict;
  findings: Finding[];
}

export interface RuleProof extends RuleVerdict {
  answers: AccessResult[];
}

/** What a pass keeps of the proof of a declared rule: of the single requests how many were decided. */
export interface RuleProofSummary extends RuleVerdict {
  requests: number;
}
