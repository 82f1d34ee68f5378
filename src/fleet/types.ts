import type { FindingCode, FindingDefinition, Verdict } from '../proof/findings.ts';

/** The categories of findings about a fleet of accounts, the most severe first. */
export const FLEET_CATEGORIES = {
  failing: 'replication fails',
  'not-proven': 'not proven',
  'dangling-destination': 'the destination bucket does not exist',
  'destination-taken-over': 'another account owns the destination bucket',
  'foreign-destination': 'the destination is outside the known accounts',
  unknown: 'unknown: replikey could not read or decide',
  unmanaged: 'nothing manages the replication',
  'v1-rules': 'V1 rules',
  'metrics-disabled': 'metrics are disabled',
  'no-alarm': 'no alarm',
  warning: 'other warnings',
} as const;

export type FleetCategory = keyof typeof FLEET_CATEGORIES;

/** The result of one survey of all buckets of some accounts, as plain data. Every renderer uses only this. */
export interface FleetReport {
  format: 1;
  /** ISO 8601, by the clock of AWS. A resumed run has the start of the interrupted one. */
  startedAt: string;
  endedAt: string;
  /** The only Regions that were surveyed; absent: all. */
  regions?: string[];
  /** Sorted by id. */
  accounts: FleetAccount[];
  /**
   * Every bucket with a replication configuration, and every bucket that could not be read; those with the most severe
   * finding first, then by account and name. Other buckets are only counted.
   */
  buckets: FleetBucket[];
  totals: FleetTotals;
  /** The comparison with the last complete run; absent: there is none. */
  diff?: FleetDiff;
  /**
   * Findings of earlier runs of which this run could not read whether they still exist. The next run compares with them as
   * well; absent: none.
   */
  unverified?: UnverifiedFinding[];
}

export interface FleetAccount {
  /** 12 digits. */
  id: string;
  /** Name in the specs, in the file or in the organization. */
  name?: string;
  /** How replikey reads the account: `ambient credentials`, `profile prod`, `role arn:aws:iam::…:role/…`. */
  access: string;
  /** Why the account could not be read, or not completely. The number of its buckets may be unknown then. */
  error?: string;
  totals: BucketTotals;
}

export interface FleetBucket {
  name: string;
  /** Account id (12 digits). */
  account: string;
  /** Absent: not known. */
  region?: string;
  /** `unknown` also for a bucket that could not be read; `off`: all rules are disabled. */
  verdict: Extract<Verdict, 'proven' | 'broken' | 'unknown' | 'off'>;
  /** Names of the specs that declare its rules; absent: none. */
  specs?: string[];
  /** Another tool that manages the bucket according to its tags: `Terraform`, `the CloudFormation stack web`. */
  manager?: string;
  /** Empty: the configuration could not be read. */
  rules: FleetRule[];
  /** The most severe first. */
  findings: FleetFinding[];
}

export interface FleetRule {
  /** ID of the rule in S3; empty: it has none. */
  id: string;
  /** Name of the destination bucket. */
  destination: string;
  /** Owner of the destination (12 digits), as far as it is known. */
  destinationAccount?: string;
  verdict: FleetBucket['verdict'];
  /** Requests of S3, also those that depend on unread control policies; absent: the rule was not proven. */
  controlPolicies?: ControlPolicyTotals;
}

/** Numbers of requests that S3 makes. */
export interface ControlPolicyTotals {
  requests: number;
  /** Requests whose result depends on control policies that were not read. */
  dependent: number;
  /** Why they were not read: `account 111122223333: REASON`; absent: replikey did not try to read them. */
  unread?: string[];
}

export interface FleetFinding {
  category: FleetCategory;
  severity: FindingDefinition['severity'];
  code: FindingCode;
  title: string;
  /** The cause, as a sentence for the user. */
  message: string;
  /** ID of the rule; absent: the finding concerns the bucket. */
  rule?: string;
  /** Name of the destination bucket. */
  destination?: string;
  /** ISO 8601: the start of the first saved run with the finding, which no later run has found resolved. */
  since: string;
}

/** Numbers of buckets. `total` is the sum of `replicating`, `withoutReplication` and `unknown`. */
export interface BucketTotals {
  total: number;
  replicating: number;
  withoutReplication: number;
  /** Buckets that could not be read. */
  unknown: number;
}

export interface FleetTotals extends BucketTotals {
  accounts: number;
  /** Accounts that could not be read: the numbers of their buckets are not known. */
  unreadableAccounts: number;
  rules: number;
  /** Numbers of rules. */
  byVerdict: Record<FleetRule['verdict'], number>;
  /** Numbers of buckets with a finding of the category. */
  byCategory: Record<FleetCategory, number>;
  /** Numbers of unreadable buckets and accounts, by reason: `AccessDenied`. */
  unknownReasons: Record<string, number>;
  controlPolicies?: ControlPolicyTotals;
}

/** A finding of one of two runs, with its bucket. */
export interface LocatedFinding extends FleetFinding {
  account: string;
  bucket: string;
}

/** A finding of an earlier run whose bucket, rule or destination this run did not read completely. */
export interface UnverifiedFinding extends LocatedFinding {
  /** Region of the bucket; absent: not known. */
  region?: string;
}

export interface FleetDiff {
  /** ISO 8601: the start of the run that this one is compared with. */
  since: string;
  added: LocatedFinding[];
  /** Findings of earlier runs that no longer exist. What this run could not read is not resolved. */
  resolved: LocatedFinding[];
  /** Findings whose severity or message is different. */
  changed: { before: LocatedFinding; after: LocatedFinding }[];
}
