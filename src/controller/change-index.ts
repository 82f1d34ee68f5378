import type { Kind } from '../core/kind.ts';
import type { Location, Resource } from '../core/resource.ts';
import { accountOfArn } from '../iam/context.ts';
import { auditSubjects } from '../kinds/index.ts';
import type { ProofBasis } from '../proof/types.ts';
import { nameInArn, regionOfArn } from '../util/arn.ts';
import { auditedCallOf } from './audit-record.ts';
import type { ChangeEvent } from './change-events.ts';

/** A resource to which events may refer. */
export interface ChangeSubject {
  /** `s3.amazonaws.com` */
  source: string;
  /** The Region that records its events. */
  region: string;
  /** In the form of the kind's `normalizeName`. */
  name: string;
  /** The account by its id; by the name of its Account document; absent: the account of the ambient credentials. */
  account?: { id: string } | { name: string | undefined };
}

/** Finds the pairs that an event concerns. An event costs a lookup for each name in it, for any number of pairs. */
export interface ChangeIndex {
  /** Returns the keys of all pairs that declare or use a resource of an event, whichever process handles them. */
  pairsOf(event: ChangeEvent): string[];
  /** Replaces the resources that the documents of a pair's proof add. Returns those that the pair did not have before. */
  setProven(pair: string, subjects: readonly ChangeSubject[]): ChangeSubject[];
  /** Returns the resources of a pair. */
  subjectsOf(pair: string): ChangeSubject[];
  /** Returns the subjects that an event names. */
  namesOf(event: ChangeEvent): string[];
}

export interface ChangeIndexOptions {
  kinds: ReadonlyMap<string, Kind>;
  resources: readonly Resource[];
  /** Returns the key of the work item of a spec. */
  keyOf(spec: string): string | undefined;
  /** Returns the id of an account by the name of its Account document; undefined while it is not known. */
  accountIdOf(name: string | undefined): string | undefined;
}

/** Returns the functions that find names in the events of a source. Several kinds have the same one. */
function groupBySource(kinds: Iterable<Kind>): Map<string, Kind['auditEvents']['namesIn'][]> {
  const bySource = new Map<string, Kind['auditEvents']['namesIn'][]>();
  for (const { auditEvents } of kinds)
    bySource.set(auditEvents.source, [...(bySource.get(auditEvents.source) ?? []), auditEvents.namesIn]);
  return bySource;
}

export function createChangeIndex({ kinds, resources, keyOf, accountIdOf }: ChangeIndexOptions): ChangeIndex {
  const namesInBySource = groupBySource(kinds.values());
  /** By source, Region and name: the pairs, each with its resource. */
  const usesBySubject = new Map<string, { pair: string; subject: ChangeSubject }[]>();
  const declaredByPair = new Map<string, ChangeSubject[]>();
  const provenByPair = new Map<string, ChangeSubject[]>();

  function add(pair: string, subject: ChangeSubject): void {
    const uses = usesBySubject.get(subjectKey(subject));
    if (uses) uses.push({ pair, subject });
    else usesBySubject.set(subjectKey(subject), [{ pair, subject }]);
  }

  function remove(pair: string, subject: ChangeSubject): void {
    const uses = usesBySubject.get(subjectKey(subject)) ?? [];
    usesBySubject.set(
      subjectKey(subject),
      uses.filter((use) => use.pair !== pair || !isSameSubject(use.subject, subject)),
    );
  }

  for (const resource of resources) {
    const subject = declaredSubject(resource, kinds);
    if (!subject) continue;
    for (const pair of new Set(resource.declaredBy.flatMap((spec) => keyOf(spec) ?? []))) {
      const declared = declaredByPair.get(pair) ?? [];
      if (declared.some((other) => isSameSubject(other, subject))) continue;
      declaredByPair.set(pair, [...declared, subject]);
      add(pair, subject);
    }
  }

  const isAccountOf = ({ account }: ChangeSubject, id: string): boolean => {
    const ownerId = account && 'id' in account ? account.id : accountIdOf(account?.name);
    return ownerId === undefined || ownerId === id;
  };
  const namesOf = (event: ChangeEvent): string[] => {
    const call = auditedCallOf(event);
    return [...new Set((namesInBySource.get(event.eventSource) ?? []).flatMap((namesIn) => namesIn(call)))];
  };

  return {
    namesOf,
    pairsOf(event) {
      const pairs = namesOf(event).flatMap((name) => {
        const key = subjectKey({ source: event.eventSource, region: event.awsRegion, name });
        return (usesBySubject.get(key) ?? []).flatMap(({ pair, subject }) =>
          isAccountOf(subject, event.recipientAccountId) ? pair : [],
        );
      });
      return [...new Set(pairs)];
    },
    setProven(pair, subjects) {
      const before = provenByPair.get(pair) ?? [];
      const added: ChangeSubject[] = [];
      for (const subject of subjects)
        if (![...before, ...added].some((other) => isSameSubject(other, subject))) added.push(subject);
      const removed = before.filter((subject) => !subjects.some((other) => isSameSubject(other, subject)));
      for (const subject of removed) remove(pair, subject);
      for (const subject of added) add(pair, subject);
      provenByPair.set(pair, [...before.filter((subject) => !removed.includes(subject)), ...added]);
      return added;
    },
    subjectsOf: (pair) => [...(declaredByPair.get(pair) ?? []), ...(provenByPair.get(pair) ?? [])],
  };
}

export const subjectKey = ({
  source,
  region,
  name,
}: Pick<ChangeSubject, 'source' | 'region' | 'name'>): string => `${source} ${region} ${name}`;

const isSameSubject = (first: ChangeSubject, second: ChangeSubject): boolean =>
  subjectKey(first) === subjectKey(second) &&
  JSON.stringify(first.account) === JSON.stringify(second.account);

function declaredSubject(
  { kind, name, location }: Pick<Resource, 'kind' | 'name' | 'location'>,
  kinds: ReadonlyMap<string, Kind>,
): ChangeSubject | undefined {
  const auditEvents = kinds.get(kind)?.auditEvents;
  return (
    auditEvents && {
      source: auditEvents.source,
      region: eventRegionOf(auditEvents, location),
      name: auditEvents.normalizeName(name),
      account: { name: location.account },
    }
  );
}

const eventRegionOf = (
  { eventRegion }: Pick<Kind['auditEvents'], 'eventRegion'>,
  { region }: Location,
): string => eventRegion?.(region) ?? region;

/**
 * Returns the resources of a proof: the keys, which events name by their ids, and the managed policies of the roles. They
 * are known only after a pass.
 *
 * @param region a Region of the partition, which determines the Region of IAM
 */
export function provenSubjects(
  bases: readonly Pick<ProofBasis, 'keys' | 'roles' | 'policies'>[],
  region: string,
): ChangeSubject[] {
  const { key, role } = auditSubjects;
  return bases.flatMap(({ keys, roles, policies = [] }) => [
    ...keys.map((arn) => ({
      source: key.source,
      region: regionOfArn(arn),
      name: key.normalizeName(arn),
      account: { id: accountOfArn(arn) },
    })),
    ...[
      ...roles.map((arn) => ({ arn, name: nameInArn(arn) })),
      ...policies.map((arn) => ({ arn, name: arn })),
    ].map(({ arn, name }) => ({
      source: role.source,
      region: eventRegionOf(role, { region }),
      name: role.normalizeName(name),
      account: { id: accountOfArn(arn) },
    })),
  ]);
}
