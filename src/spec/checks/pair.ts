import { partition, ROLE_ARN } from '../names.ts';
import type { CheckedReplication } from '../validate.ts';
import type { Accounts, Finding, Rule } from './finding.ts';
import { SIDES } from './finding.ts';

/** What is declared of the two buckets, their accounts and the role between them. */
export const pairRules: readonly Rule[] = [
  oneRole,
  roleByArnIsLeftAlone,
  roleOfSource,
  twoBuckets,
  onePartition,
  bothAccounts,
  ownerAcrossAccounts,
  roleEachWay,
  oneManaged,
];

function oneRole({ written }: CheckedReplication): Finding[] {
  const { role } = written.spec;
  if (role === undefined) return [];
  if (role.name !== undefined && role.arn !== undefined) {
    const hint = 'keep one: a name is created when absent, an ARN must exist';
    return [[['spec', 'role'], 'both a name and an ARN are given', hint]];
  }
  if (Object.keys(role).length > 0) return [];
  return [
    [['spec', 'role'], 'nothing is declared of the role', 'add name:, or remove role for a derived one'],
  ];
}

function roleByArnIsLeftAlone({ written }: CheckedReplication): Finding[] {
  const { role } = written.spec;
  if (role?.arn === undefined) return [];
  return (['path', 'permissionsBoundary', 'tags'] as const)
    .filter((name) => role[name] !== undefined)
    .map((name) => {
      const hint = `remove ${name}, or declare the role by its name`;
      return [['spec', 'role', name], 'a role that is given by ARN is never altered', hint];
    });
}

function roleOfSource({ written }: CheckedReplication, accounts: Accounts): Finding[] {
  const { role, source } = written.spec;
  const [, , owner] = ROLE_ARN.exec(role?.arn ?? '') ?? [];
  const account = accounts.get(source.account ?? '')?.id;
  if (owner === undefined || account === undefined || owner === account) return [];
  const message = `the role belongs to the account ${owner}, but the source bucket to ${account}`;
  const hint = 'S3 assumes a role of the account that owns the source bucket';
  return [[['spec', 'role', 'arn'], message, hint, ['spec', 'source', 'account']]];
}

function twoBuckets({ written }: CheckedReplication): Finding[] {
  const { source, destination } = written.spec;
  if (source.bucket !== destination.bucket) return [];
  const path = ['spec', 'destination', 'bucket'];
  const message = 'a bucket cannot replicate to itself';
  return [[path, message, 'name another destination', ['spec', 'source', 'bucket']]];
}

function onePartition({ written }: CheckedReplication): Finding[] {
  const { source, destination } = written.spec;
  const [from, to] = [partition(source.region), partition(destination.region)];
  if (from === to) return [];
  const message = `${source.region} is in ${from} and ${destination.region} in ${to}`;
  const hint = 'S3 does not replicate from one partition to another';
  return [[['spec', 'destination', 'region'], message, hint, ['spec', 'source', 'region']]];
}

function bothAccounts({ written }: CheckedReplication): Finding[] {
  const { source, destination } = written.spec;
  if ((source.account === undefined) === (destination.account === undefined)) return [];
  const [named, other] = source.account === undefined ? (['destination', 'source'] as const) : SIDES;
  const message = `only one side names an account; ${other} would use the ambient credentials, whose account is not known`;
  const hint = 'name an account on both sides, the same one or another';
  return [[['spec', named, 'account'], message, hint, ['spec', other, 'account']]];
}

function ownerAcrossAccounts({ written }: CheckedReplication, accounts: Accounts): Finding[] {
  const { source, destination } = written.spec;
  if (destination.objectOwner === undefined) return [];
  const [from, to] = [source.account, destination.account].map(
    (name) => accounts.get(name ?? '')?.id ?? name,
  );
  if (from !== to) return [];
  const message = 'both sides belong to one account, which owns the replicas anyway';
  const path = ['spec', 'destination', 'objectOwner'];
  return [
    [path, message, 'remove objectOwner', ['spec', 'source', 'account'], ['spec', 'destination', 'account']],
  ];
}

function roleEachWay({ written: { spec } }: CheckedReplication): Finding[] {
  if (spec.direction !== 'both' || spec.role?.arn === undefined) return [];
  if (spec.source.account === spec.destination.account) return [];
  const message = 'across accounts each way needs a role of its own, and an ARN names one only';
  const hint = 'name the role, or write two specs, one for each way';
  return [[['spec', 'role', 'arn'], message, hint, ['spec', 'direction']]];
}

function oneManaged({ written: { spec } }: CheckedReplication, accounts: Accounts): Finding[] {
  const isManaged = (name: string | undefined) => accounts.get(name ?? '')?.managed ?? true;
  if (isManaged(spec.source.account) || isManaged(spec.destination.account)) return [];
  const message = 'neither account is managed, so that there is nothing to do here';
  return [[['spec', 'source', 'account'], message, 'remove the spec, or managed: false from one account']];
}
