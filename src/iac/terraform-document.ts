import { EXIT, UserError } from '../errors.ts';
import { isRecord, isUnknown, listOf, Unknown } from './unknown.ts';

/**
 * A plan or a state of Terraform or OpenTofu, from `terraform show -json` (Terraform documentation, "JSON Output
 * Format").
 */
export interface TerraformDocument {
  type: 'plan' | 'state';
  terraformVersion: string;
  /** The resources after apply, with those that data sources read. */
  resources: TerraformResource[];
  /** Resources that the plan deletes or changes, with their values before. */
  previous: TerraformResource[];
  /** Absent in a state. */
  configuration?: Record<string, unknown>;
  /** Values of the variables of the root module. */
  variables: Record<string, unknown>;
}

export interface TerraformResource {
  /** `module.pair["tax"].aws_s3_bucket.source` */
  address: string;
  mode: 'managed' | 'data';
  type: string;
  name: string;
  /** Key of the instance, for `count` and `for_each`. */
  index?: string | number;
  /** Address of the module, with the keys of its instances; empty for the root module. */
  module: string;
  values: Record<string, unknown>;
  /** Whether the plan creates the resource, so that AWS has no other settings of it. */
  isNew: boolean;
  /** The values that are known only after apply, as `after_unknown` marks them. */
  unknownValues: unknown;
  /** The sensitive values, as `sensitive_values` marks them. */
  sensitiveValues: unknown;
}

/** Major versions of the format. Plans of Terraform before 1.1 have the version 0.2, and the same form. */
const SUPPORTED_VERSIONS = /^(0\.[12]|1\.\d+)$/;

/**
 * Reads a plan or a state.
 *
 * @param file for messages
 *
 * @throws UserError if the JSON has another form, or a version of the format that replikey does not know.
 */
export function toTerraformDocument(value: unknown, file: string): TerraformDocument {
  const fail = (reason: string): never => {
    throw new UserError(EXIT.usage, `cannot use ${file}: ${reason}`);
  };
  if (!isRecord(value)) return fail(`not a JSON object; ${HOW_TO_WRITE}`);
  const { format_version: version } = value;
  if (typeof version !== 'string') return fail(reasonWithoutVersion(value));
  if (!SUPPORTED_VERSIONS.test(version))
    return fail(
      `format version ${JSON.stringify(version)} is not supported; use a newer version of replikey`,
    );
  const terraformVersion = typeof value.terraform_version === 'string' ? value.terraform_version : '';
  if (isRecord(value.planned_values)) {
    if (value.errored === true)
      return fail('the plan ended with an error, and is incomplete; fix the error and plan again');
    return { terraformVersion, ...readPlan(value, fail) };
  }
  if (value.planned_values !== undefined) return fail('planned_values is not an object');
  if (value.values !== undefined && !isRecord(value.values)) return fail('values is not an object');
  return {
    type: 'state',
    terraformVersion,
    resources: isRecord(value.values) ? readModules(value.values.root_module, fail) : [],
    previous: [],
    variables: {},
  };
}

const HOW_TO_WRITE =
  'write it with `terraform show -json plan.bin > plan.json`, after `terraform plan -out plan.bin`';

function reasonWithoutVersion(value: Record<string, unknown>): string {
  if ('serial' in value && 'lineage' in value)
    return 'this is a state file, whose form is internal to Terraform; write `terraform show -json > state.json` and use that file';
  if ('@level' in value)
    return `this is the log of \`terraform plan -json\`, which does not contain the plan; ${HOW_TO_WRITE}`;
  if ('Resources' in value || 'AWSTemplateFormatVersion' in value)
    return 'this is a CloudFormation template; use --cloudformation';
  return `it has no format_version; ${HOW_TO_WRITE}`;
}

/** Ends with the reason why the JSON is not that of a plan or a state. */
type Fail = (reason: string) => never;

function readPlan(plan: Record<string, unknown>, fail: Fail): Omit<TerraformDocument, 'terraformVersion'> {
  if (plan.resource_changes !== undefined && !Array.isArray(plan.resource_changes))
    return fail('resource_changes is not a list');
  const changes = new Map<string, Record<string, unknown>>();
  const previous: TerraformResource[] = [];
  const forgotten = new Set<string>();
  for (const change of listOf(plan.resource_changes)) {
    // A deposed object is the rest of a replacement that failed: its settings are not those of the resource.
    if (!isRecord(change) || typeof change.address !== 'string' || change.deposed !== undefined) continue;
    if (!isRecord(change.change)) continue;
    const { actions, before, after_unknown: unknownValues, after_sensitive: sensitiveValues } = change.change;
    changes.set(change.address, { actions, unknownValues, sensitiveValues });
    const verbs = listOf(actions);
    if (verbs.includes('forget')) forgotten.add(change.address);
    else if (isRecord(before) && (verbs.includes('delete') || verbs.includes('update')))
      previous.push(
        ...readResource({ ...change, values: before }, String(change.module_address ?? ''), fail),
      );
  }
  const planned = readModules(
    isRecord(plan.planned_values) ? plan.planned_values.root_module : undefined,
    fail,
  );
  const plannedAddresses = new Set(planned.map(({ address }) => address));
  const prior =
    isRecord(plan.prior_state) && isRecord(plan.prior_state.values) ? plan.prior_state.values : {};
  // The planned values have no data sources that were read before, and no resources that leave the state but not AWS.
  const additional = readModules(prior.root_module, fail).filter(
    ({ address, mode }) => !plannedAddresses.has(address) && (mode === 'data' || forgotten.has(address)),
  );
  const resources = [...planned, ...additional].map((resource) => {
    const change = changes.get(resource.address);
    if (!change) return resource;
    return {
      ...resource,
      isNew: listOf(change.actions).includes('create'),
      unknownValues: change.unknownValues ?? {},
      sensitiveValues: [resource.sensitiveValues, change.sensitiveValues],
    };
  });
  const variables = isRecord(plan.variables) ? plan.variables : {};
  return {
    type: 'plan',
    resources: withDeferredReads(resources, plan.resource_changes, fail),
    previous,
    ...(isRecord(plan.configuration) && { configuration: plan.configuration }),
    variables: Object.fromEntries(
      Object.entries(variables).map(([name, variable]) => [
        name,
        isRecord(variable) ? variable.value : undefined,
      ]),
    ),
  };
}

/** Adds the data sources that Terraform reads during apply, with the arguments that are known. */
function withDeferredReads(
  resources: TerraformResource[],
  changes: unknown,
  fail: Fail,
): TerraformResource[] {
  const byAddress = new Map(resources.map((resource) => [resource.address, resource]));
  for (const change of listOf(changes)) {
    if (!isRecord(change) || change.mode !== 'data' || !isRecord(change.change)) continue;
    const { after, after_unknown: unknownValues, after_sensitive: sensitiveValues } = change.change;
    if (!isRecord(after)) continue;
    for (const resource of readResource(
      { ...change, values: after },
      String(change.module_address ?? ''),
      fail,
    ))
      byAddress.set(resource.address, { ...resource, unknownValues, sensitiveValues });
  }
  return [...byAddress.values()];
}

function readModules(root: unknown, fail: Fail): TerraformResource[] {
  const resources: TerraformResource[] = [];
  const modules: unknown[] = [root];
  for (let module = modules.shift(); module !== undefined; module = modules.shift()) {
    if (!isRecord(module)) return fail('a module is not an object');
    const address = typeof module.address === 'string' ? module.address : '';
    for (const list of ['resources', 'child_modules'])
      if (module[list] !== undefined && !Array.isArray(module[list]))
        return fail(`${list} of ${address || 'the root module'} is not a list`);
    for (const resource of listOf(module.resources)) resources.push(...readResource(resource, address, fail));
    modules.unshift(...listOf(module.child_modules));
  }
  return resources;
}

/** Returns a resource of a provider for AWS; nothing for resources of another provider. */
function readResource(value: unknown, module: string, fail: Fail): TerraformResource[] {
  if (!isRecord(value)) return fail(`a resource of ${module || 'the root module'} is not an object`);
  // Terraform omits the values of a resource of which none is known.
  const { address, mode, type, name, index, values = {}, sensitive_values: sensitiveValues } = value;
  if (typeof address !== 'string' || typeof type !== 'string' || typeof name !== 'string')
    return fail(`a resource of ${module || 'the root module'} has no address, type or name`);
  if (!type.startsWith('aws_')) return [];
  if (!isRecord(values)) return fail(`the values of ${address} are not an object`);
  return [
    {
      address,
      mode: mode === 'data' ? 'data' : 'managed',
      type,
      name,
      ...((typeof index === 'string' || typeof index === 'number') && { index }),
      module,
      values,
      isNew: false,
      unknownValues: {},
      sensitiveValues,
    },
  ];
}

/** Names of attributes, and positions in lists. */
export type AttributePath = readonly (string | number)[];

/**
 * Returns a value of a resource; `Unknown` if it is known only after apply, or sensitive. replikey never reads sensitive
 * values, because messages quote the values that decide.
 */
export function readValue(resource: TerraformResource, path: AttributePath): unknown {
  const { address, values, unknownValues, sensitiveValues } = resource;
  const unknownPath = markedPath(unknownValues, path);
  if (unknownPath) return new Unknown(`${attributeOf(address, unknownPath)} is known after apply`);
  const [sensitivePath] = [sensitiveValues].flat().flatMap((marks) => {
    const marked = markedPath(marks, path);
    return marked ? [marked] : [];
  });
  if (sensitivePath)
    return new Unknown(`${attributeOf(address, sensitivePath)} is sensitive, and replikey does not read it`);
  return path.reduce<unknown>(
    (value, step) =>
      typeof step === 'number' ? listOf(value)[step] : isRecord(value) ? value[step] : undefined,
    values,
  );
}

/**
 * Returns a list or map of a resource; `Unknown` if any part of it is known only after apply, or sensitive. Terraform
 * omits unknown entries of maps.
 */
export function readWholeValue(resource: TerraformResource, path: AttributePath): unknown {
  const value = readValue(resource, path);
  if (isUnknown(value)) return value;
  const { address, unknownValues, sensitiveValues } = resource;
  if (hasMark(markAt(unknownValues, path)))
    return new Unknown(`${attributeOf(address, path)} is known after apply`);
  if ([sensitiveValues].flat().some((marks) => hasMark(markAt(marks, path))))
    return new Unknown(`${attributeOf(address, path)} is sensitive, and replikey does not read it`);
  return value;
}

/** Returns the first part of a path at which a tree of marks has `true`; undefined if there is none. */
const markedPath = (marks: unknown, path: AttributePath): AttributePath | undefined => {
  if (markAt(marks, path) !== true) return undefined;
  const length = path.findIndex((_, index) => markAt(marks, path.slice(0, index)) === true);
  return length < 0 ? path : path.slice(0, length);
};

/** Returns the part of a tree of marks at a path; true if a mark is above it. */
function markAt(marks: unknown, path: AttributePath): unknown {
  let mark = marks;
  for (const step of path) {
    if (mark === true) return true;
    mark = typeof step === 'number' ? listOf(mark)[step] : isRecord(mark) ? mark[step] : undefined;
  }
  return mark;
}

const hasMark = (mark: unknown): boolean =>
  mark === true || (typeof mark === 'object' && mark !== null && Object.values(mark).some(hasMark));

/** Returns an attribute as Terraform writes it: `aws_s3_bucket.this.rule[0].id`. */
export const attributeOf = (address: string, path: AttributePath): string =>
  path.reduce<string>(
    (text, step) => (typeof step === 'number' ? `${text}[${step}]` : `${text}.${step}`),
    address,
  );

/**
 * Returns the length of a list of blocks; 0 if there are none, and `Unknown` if the list is not known.
 *
 * @throws UserError if the value is not a list.
 */
export function blockCount(resource: TerraformResource, path: AttributePath): number | Unknown {
  const value = readValue(resource, path);
  if (isUnknown(value)) return value;
  if (Array.isArray(value)) return value.length;
  if (value === undefined || value === null) return 0;
  throw new UserError(
    EXIT.usage,
    `cannot use the plan or state: ${attributeOf(resource.address, path)} is not a list of blocks; ${HOW_TO_WRITE}`,
  );
}
