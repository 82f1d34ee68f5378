import type { BucketReplication } from '../spec/types.ts';
import { MANAGED_BY, SPEC } from './names.ts';
import type { Id, Note, Plan, Resource, Risk, Step } from './resource.ts';

/** The tags of things that a plan would change and that were there before; undefined where they cannot be read. */
export type TagsOf = ReadonlyMap<Id, Record<string, string> | undefined>;

/** The bucket, key or role that a resource is about: the same for `s3.versioning/x` and `s3.bucket/x`. */
export const aboutOf = ({ id }: { id: Id }): string =>
  `${id.slice(0, id.indexOf('.'))} ${id.slice(id.indexOf('/') + 1)}`;

/**
 * A plan with what there is to say of things that were there before: a risk where another manager seems to look after
 * them, or where the spec wants nothing taken over; a note otherwise.
 */
export function withAdoption(
  plan: Plan,
  resources: readonly Resource[],
  pairs: readonly BucketReplication[],
  tagsOf: TagsOf,
): Plan {
  const notes: Note[] = [];
  const risks = new Map<Id, Risk[]>();
  const byId = new Map(resources.map((resource) => [resource.id, resource]));
  const firsts = new Map([...plan.waves.flat()].reverse().map((step) => [aboutOf(step), step]));
  for (const [id, tags] of tagsOf) {
    const thing = byId.get(id);
    const first = thing && firsts.get(aboutOf(thing));
    if (!thing || !first) continue;
    const verdict = judge(thing, tags, strictest(thing, pairs));
    if (verdict.risk) risks.set(first.id, [...(risks.get(first.id) ?? []), verdict.risk]);
    if (verdict.note) notes.push({ id, message: verdict.note, pairs: thing.pairs });
  }
  const atRisk = (step: Step): Step => ({ ...step, risks: [...step.risks, ...(risks.get(step.id) ?? [])] });
  return {
    ...plan,
    waves: plan.waves.map((wave) => wave.map(atRisk)),
    notes: [...plan.notes, ...notes],
  };
}

function judge(
  { id, pairs }: Resource,
  tags: Record<string, string> | undefined,
  adopt: BucketReplication['policy']['adopt'],
): { risk?: Risk; note?: string } {
  if (tags === undefined)
    return { note: 'its tags cannot be read, so that nobody can say who else looks after it' };
  const made = tags[SPEC]?.split(' ') ?? [];
  if (MANAGED_BY in tags) {
    if (made.some((name) => pairs.includes(name))) return {};
    return {
      note: `was made for the spec ${made.join(', ') || '(unnamed)'}, which is not among those that want it here`,
    };
  }
  const manager = managerOf(tags);
  if (adopt === 'Never') {
    const message = `${id} was there before and is not ours, and the spec says adopt: Never`;
    return { risk: { id: 'adopt', message } };
  }
  if (manager !== undefined && adopt === 'IfCompatible') {
    const message = `${id} seems to be looked after by ${manager}, which may undo what is changed here, or be undone`;
    return { risk: { id: 'other-manager', message } };
  }
  const by = manager === undefined ? '' : ` and seems to be looked after by ${manager}`;
  return { note: `was there before${by}: what is shown here is changed, all else is left as it is` };
}

/** Who tags what it manages, and how. */
const SIGNS: readonly [pattern: RegExp, manager: (value: string) => string][] = [
  [/^aws:cloudformation:stack-name$/, (stack) => `the CloudFormation stack ${stack}`],
  [/^services\.k8s\.aws\/controller-version$/, (version) => `an ACK controller (${version})`],
  [/^crossplane-(name|kind|providerconfig)$/, (value) => `Crossplane (${value})`],
  [/^pulumi:(project|stack)$/, (value) => `Pulumi (${value})`],
  [/^(terraform|tf[-_:].*|terraform[-_:].*)$/i, () => 'Terraform'],
  [/^managed[-_ ]?by$/i, (value) => value],
];

function managerOf(tags: Record<string, string>): string | undefined {
  for (const [key, value] of Object.entries(tags)) {
    const sign = SIGNS.find(([pattern]) => pattern.test(key));
    if (sign) return sign[1](value);
  }
  return undefined;
}

function strictest(
  { pairs: names }: Resource,
  pairs: readonly BucketReplication[],
): BucketReplication['policy']['adopt'] {
  const said = pairs.filter(({ name }) => names.includes(name)).map(({ policy }) => policy.adopt);
  return (['Never', 'IfCompatible'] as const).find((one) => said.includes(one)) ?? 'Always';
}
