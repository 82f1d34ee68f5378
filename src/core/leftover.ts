import { NOWHERE } from './names.ts';
import type { Place, Resource } from './resource.ts';

/**
 * What is left of a spec that is not given any more, as the policy of its role tells it. The role is where it is found,
 * so it is what goes last.
 */
export interface Leftover {
  /** The name of the spec as Sids have it. */
  name: string;
  /** The name itself, as far as it can be told. */
  spec: string;
  role: { name: string; arn: string; at: Place };
  /** Whether the role goes too: it is ours, and nothing else is in it. */
  roleGoes: boolean;
  sources: BucketAt[];
  /** Those of other accounts: within one, the policy of the bucket is not asked. */
  destinations: BucketAt[];
  keys: { arn: string; at: Place }[];
}

export interface BucketAt {
  bucket: string;
  at: Place;
}

/** A resource that no spec wants, to be pruned of what is left of one. */
export const unwanted = <S>(
  of: Leftover,
  resource: Pick<Resource<S>, 'id' | 'kind' | 'at' | 'spec' | 'after'>,
): Resource<S> => ({ ...resource, pairs: [of.spec], from: NOWHERE, prune: [of.name], gone: true });
