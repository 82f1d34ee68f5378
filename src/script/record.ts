import { commandInfo, isReadOperation, requestBodyOf, type Service } from '../aws/command.ts';
import { ownerKey } from '../core/adoption.ts';
import { pairsWithChangingRules } from '../core/housekeeping.ts';
import type { Change, Kind, Retention } from '../core/kind.ts';
import { createRefResolver, renderFrom, requireKind } from '../core/plan.ts';
import { ref, resolveRefs } from '../core/ref.ts';
import {
  type ActualState,
  type Aws,
  type Command,
  type Current,
  currentOf,
  type Id,
  type Location,
  type Plan,
  type Ref,
  type Resource,
  type Step,
} from '../core/resource.ts';
import { EXIT, UserError } from '../errors.ts';
import { partitionOfRegion } from '../util/arn.ts';
import { isJsonEqual } from '../util/canonical-json.ts';
import { GUARDED_OPERATIONS, type GuardedOperation, POLICY_MEMBERS } from './operations.ts';

/** A call that writes, as a kind sends it. */
export interface RecordedCall {
  service: Service;
  operation: string;
  /** Policies in it are documents, not JSON text. */
  input: Record<string, unknown>;
  /** The setting when the script was made; null: none. Absent: any, because AWS sets a default, or the call changes a part. */
  before?: unknown;
  /** The setting after phase `narrow`. */
  later?: unknown;
}

/** The calls of one step of a plan. */
export interface RecordedStep {
  id: Id;
  /** What the plan does: `create`, `update`, or the removal of expired permissions. */
  what: string;
  why: readonly string[];
  /** Account id, twelve digits. */
  account: string;
  region: string;
  calls: RecordedCall[];
  /** Errors after which a call is repeated, with a regular expression for the message. */
  transientErrors: { code: string; message?: string }[];
  /** Rules of an existing bucket will depend on permissions that this plan changes. */
  waitsForPermissions: boolean;
}

/** A part of a plan that a script cannot make. */
export interface OmittedStep {
  id: Id;
  reason: string;
}

/** A key that the script creates. Its ARN is a placeholder of a variable. */
export interface NewKey {
  id: Id;
  alias: string;
  variable: string;
  placeholder: string;
  account: string;
  region: string;
}

export interface Recording {
  steps: RecordedStep[];
  /** Writes that remove the permissions that `steps` retain. */
  narrowing: RecordedStep[];
  newKeys: NewKey[];
  omitted: OmittedStep[];
}

export interface RecordInputs {
  plan: Plan;
  resources: readonly Resource[];
  actual: ActualState;
  kinds: ReadonlyMap<string, Kind>;
  /** Reads only. */
  aws: Aws;
  /** The time from which replaced permissions stay for their drain, in milliseconds since 1970. */
  retainFromMs: number;
}

/**
 * Records the calls of a plan, in its order, without sending a call that writes. Each kind sends its change to a client that
 * records it. Also reads each setting that the calls change, to guard them.
 *
 * @throws UserError when AWS has changed since the plan was made
 */
export async function recordPlan(inputs: RecordInputs): Promise<Recording> {
  const { plan, resources, actual, kinds, aws, retainFromMs } = inputs;
  const resourcesById = new Map(resources.map((resource) => [resource.id, resource]));
  const created = new Set(
    resources
      .filter(({ id, kind }) => kinds.get(kind)?.fetchTags && actual.get(id)?.state === 'absent')
      .map(ownerKey),
  );
  const changingPairs = pairsWithChangingRules(plan.waves.flat(), kinds);
  const resolveActual = createRefResolver(actual);
  /** Values of the documents that the script writes, for the references of later steps. */
  const writtenAttrs = new Map<Id, Current['attrs']>();
  const newKeys: NewKey[] = [];
  const recording: Recording = { steps: [], narrowing: [], newKeys, omitted: [] };
  const skipped = new Set<Id>(plan.blocked.map(({ id }) => id));

  const accountIds = new Map<string | undefined, string>();
  for (const { location } of resources)
    if (!accountIds.has(location.account))
      accountIds.set(location.account, await aws.accountId(location.account));
  const accountOf = ({ account }: Location) => accountIds.get(account) ?? '';

  function resolve(reference: Ref): string | undefined {
    const target = resourcesById.get(reference.$ref);
    const value =
      resolveActual(reference) ?? (writtenAttrs.get(reference.$ref)?.[reference.attr] || undefined);
    if (value !== undefined || !target || reference.attr !== ref(target.id).attr) return value;
    const { scope } = requireKind(kinds, target);
    return scope.type === 'key'
      ? newKeyOf(target).placeholder
      : scope.arn(target, accountOf(target.location));
  }

  function newKeyOf({ id, name, location }: Resource): NewKey {
    const existing = newKeys.find((key) => key.id === id);
    if (existing) return existing;
    const number = newKeys.length + 1;
    const [account, { region }] = [accountOf(location), location];
    const placeholder = `arn:${partitionOfRegion(region)}:kms:${region}:${account}:key/00000000-0000-0000-0000-${String(number).padStart(12, '0')}`;
    const key = { id, alias: name, variable: `key_${number}`, placeholder, account, region };
    newKeys.push(key);
    return key;
  }

  async function recordWrite(step: Pick<Step, 'id' | 'why'> & { what: string }, mode: Retention['mode']) {
    const resource = resourcesById.get(step.id);
    if (!resource) throw new Error(`the plan contains ${step.id}, which no spec declares`);
    const kind = requireKind(kinds, resource);
    const isNew = created.has(ownerKey(resource));
    const current = currentOf(actual, resource.id) ?? initialState(resource, kind, isNew);
    const retention = { mode, nowMs: mode === 'narrow' ? aws.now() : retainFromMs };
    const change = renderFrom(resource, current, kind, resolve, retention);
    if (change.doc === undefined) {
      omit(step.id, 'it deletes a document, which a script never does');
      return;
    }
    writtenAttrs.set(step.id, kind.parse(change.doc, change.resource).attrs);
    const calls = await recordSend(resource, kind, change);
    const unsupported = calls.find(({ operation }) => !isSupported(operation));
    if (unsupported) {
      omit(step.id, `the AWS CLI cannot send this ${unsupported.operation}`);
      return;
    }
    if (isNew) addInitial(calls);
    else await addBefore(calls, resource, kind);
    const recorded: RecordedStep = {
      id: step.id,
      what: step.what,
      why: step.why,
      account: accountOf(resource.location),
      region: resource.location.region,
      calls,
      transientErrors: (kind.transientErrors ?? []).map(({ code, message }) => ({
        code: code.replace(/Exception$/, ''),
        ...(message && { message: message.source }),
      })),
      waitsForPermissions: !isNew && kind.check?.(change).widensUse === true,
    };
    recording.steps.push(recorded);
    if (change.retained.length > 0 && kind.scope.stage === 'permissions')
      await recordNarrowing(recorded, change, kind);
  }

  /** Records the write that removes what a change retains, from the document that the change leaves. */
  async function recordNarrowing(step: RecordedStep, { resource, doc }: Change, kind: Kind): Promise<void> {
    const current = kind.parse(doc, resource);
    const nowMs = Math.max(...(current.retained ?? []).map(({ expiresAtMs }) => expiresAtMs));
    const change = renderFrom(resource, current, kind, resolve, { mode: 'narrow', nowMs });
    if (change.doc === undefined) return;
    const calls = await recordSend(resource, kind, change);
    for (const [index, call] of calls.entries()) {
      const earlier = step.calls[index];
      const guarded = GUARDED_OPERATIONS.get(call.operation);
      if (!earlier || !guarded || guarded.isPartial) continue;
      call.before = settingAt(earlier.input, guarded.desired);
      earlier.later = settingAt(call.input, guarded.desired);
    }
    recording.narrowing.push({
      ...step,
      calls,
      what: 'remove expired permissions',
      why: [],
      waitsForPermissions: false,
    });
  }

  /** The state of a document that AWS fills when the script creates its bucket or key. */
  function initialState(resource: Resource, kind: Kind, isNew: boolean): Current | undefined {
    if (!isNew || !kind.response.initialContent) return undefined;
    const owner = resourcesById.get(kind.scope.ownerId(resource.id));
    const arn = (owner && resolve(ref(owner.id))) ?? '';
    return { spec: resolveRefs(resource.spec, resolve), attrs: { arn } };
  }

  async function recordSend(resource: Resource, kind: Kind, change: Change): Promise<RecordedCall[]> {
    const calls: RecordedCall[] = [];
    const recorder: Aws = {
      accountId: (account) => aws.accountId(account),
      now: () => aws.now(),
      async send<O>(location: Location, command: Command<O>): Promise<O> {
        const { service, operation, input } = commandInfo(command);
        if (isReadOperation(operation)) return aws.send(location, command);
        const isComplete = isInInput(requestBodyOf(command), input);
        calls.push({
          service,
          operation: isComplete ? operation : `${operation} with all elements of its document`,
          input: withDocuments(input as Record<string, unknown>),
        });
        const { placeholder = '' } = operation === 'CreateKey' ? newKeyOf(resource) : {};
        return { KeyMetadata: { Arn: placeholder } } as O;
      },
    };
    await kind.send(recorder, change);
    return calls;
  }

  /** Adds what the settings are now, from the responses to the reads of the document. */
  async function addBefore(calls: readonly RecordedCall[], resource: Resource, kind: Kind): Promise<void> {
    const guarded = calls.flatMap((call) => {
      const operation = GUARDED_OPERATIONS.get(call.operation);
      return operation && !operation.isPartial ? [{ call, operation }] : [];
    });
    if (guarded.length === 0) return;
    const responses = new Map<string, object | undefined>();
    const recorder: Aws = {
      accountId: (account) => aws.accountId(account),
      now: () => aws.now(),
      async send<O>(location: Location, command: Command<O>): Promise<O> {
        const { operation } = commandInfo(command);
        responses.set(operation, undefined);
        const response = await aws.send(location, command);
        responses.set(operation, response as object);
        return response;
      },
    };
    const doc = await kind.fetch(recorder, resource.location, resource.name, resource.details);
    const planned = currentOf(actual, resource.id);
    const current = doc === undefined ? undefined : kind.parse(doc, resource);
    if (!isJsonEqual(current?.spec, planned?.spec) || !isJsonEqual(current?.foreign, planned?.foreign))
      throw new UserError(
        EXIT.failed,
        `${resource.id} changed while the script was made: another caller writes it; run again`,
      );
    for (const { call, operation } of guarded) {
      if (!responses.has(operation.readOperation))
        throw new Error(`${operation.readOperation} is not among the reads of ${resource.id}`);
      const response = withDocuments(
        (responses.get(operation.readOperation) ?? {}) as Record<string, unknown>,
      );
      const setting = settingAt(response, operation.actual) ?? null;
      call.before = operation.comparison === 'matches' ? pickKeysOf(call.input, setting) : setting;
    }
  }

  function omit(id: Id, reason: string): void {
    skipped.add(id);
    recording.omitted.push({ id, reason });
  }

  const modeOf = ({ pairs }: Pick<Step, 'pairs'>): Retention['mode'] =>
    pairs.some((pair) => changingPairs.has(pair)) ? 'renew' : 'keep';
  for (const { id, action } of plan.housekeeping)
    if (action !== 'expire')
      await recordWrite({ id, what: `${action} retained permissions`, why: [] }, 'renew');
  for (const step of plan.waves.flat()) {
    const blockedBy = step.needs.find((need) => skipped.has(need));
    if (blockedBy !== undefined) omit(step.id, `it needs ${blockedBy}`);
    else if (kinds.get(step.kind)?.scope.stage === 'jobs')
      omit(step.id, 'replikey itself creates and observes batch jobs');
    else await recordWrite({ ...step, what: step.action }, modeOf(step));
  }
  for (const { id, action, needs } of plan.housekeeping)
    if (action === 'expire' && !needs.some((need) => skipped.has(need)))
      await recordWrite({ id, what: 'remove expired permissions', why: [] }, 'narrow');
  return recording;
}

/** Adds that AWS has no such settings yet, because the script creates the bucket or role. */
function addInitial(calls: readonly RecordedCall[]): void {
  for (const call of calls) {
    const operation = GUARDED_OPERATIONS.get(call.operation);
    if (operation && !operation.isPartial && !operation.hasDefault && !operation.addition) call.before = null;
  }
}

/** Calls that create a resource. The script has a function for each. */
export const CREATING_OPERATIONS: ReadonlySet<string> = new Set([
  'CreateKey',
  'CreateAlias',
  'CreateBucket',
  'CreateRole',
]);

/** Whether the input contains all elements of a request body. The AWS CLI sends only an input. */
const isInInput = (body = '', input: unknown): boolean =>
  [...body.matchAll(/<([A-Za-z]\w*)/g)].every(([, name]) => JSON.stringify(input).includes(`"${name}":`));

const isSupported = (operation: string): boolean =>
  CREATING_OPERATIONS.has(operation) || GUARDED_OPERATIONS.has(operation);

/** Returns an input or response with its policies as documents. IAM returns them percent-encoded. */
function withDocuments(value: Record<string, unknown>): Record<string, unknown> {
  return JSON.parse(
    JSON.stringify(value, (name, member) => (POLICY_MEMBERS.has(name) ? toDocument(member) : member)),
  );
}

function toDocument(text: unknown): unknown {
  if (typeof text !== 'string') return text;
  const decoded = text.startsWith('%7B') ? decodeURIComponent(text) : text;
  return decoded.startsWith('{') ? JSON.parse(decoded) : decoded;
}

/** Returns the members of a setting that an input has, too. */
const pickKeysOf = (input: Record<string, unknown>, setting: unknown): unknown =>
  setting === null
    ? null
    : Object.fromEntries(Object.entries(setting as object).filter(([name]) => name in input));

/** Returns the value at a path of jq: `.Role.Tags`, `.Rules[0]`. */
function settingAt(value: unknown, path: GuardedOperation['actual']): unknown {
  return path
    .split(/[.[\]]+/)
    .filter(Boolean)
    .reduce<unknown>((parent, name) => (parent as Record<string, unknown> | undefined)?.[name], value);
}
