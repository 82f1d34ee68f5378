import type { AttributePath, TerraformDocument, TerraformResource } from './terraform-document.ts';
import { isRecord, listOf } from './unknown.ts';

/** A resource that an expression refers to, with the attribute that it uses. */
export interface Reference {
  resource: TerraformResource;
  /** `arn`; empty for the whole resource. */
  attribute: string;
}

/** Answers which resources the expressions of a configuration refer to. */
export interface References {
  /**
   * Returns the resources that an attribute refers to. The JSON of a plan has the references of an expression, not the
   * expression itself, and it has none for blocks that Terraform generates (`dynamic`): for these, returns the references
   * of the whole resource.
   */
  of(resource: TerraformResource, path: AttributePath): Reference[];
  /**
   * Returns whether an attribute refers only to resources of the plan. A local value, or a resource of another
   * provider, may decide what the attribute is: `coalesce(local.key_arn, aws_kms_key.this.arn)`.
   */
  isResolved(resource: TerraformResource, path: AttributePath): boolean;
  /** Returns whether the configuration sets an attribute. */
  isSet(resource: TerraformResource, attribute: string): boolean;
  /** Returns the key of the provider configuration of a resource, `aws.replica`; undefined in a state. */
  providerOf(resource: TerraformResource): string | undefined;
  /** Returns an argument of a provider configuration, if it is a constant or a variable. */
  providerArgument(provider: string, path: AttributePath): unknown;
  /** Returns an argument or block of a provider configuration as a value to compare: constants, or the expression. */
  providerArgumentOrReferences(provider: string, argument: string): unknown;
}

type JsonRecord = Record<string, unknown>;

/** The calling module: its address, its configuration, and the arguments of the call. */
interface ModuleScope {
  module: JsonRecord;
  /** Address with the keys of instances. */
  address: string;
  /** Key of the instance of the module. */
  index?: string | number | undefined;
  parent?: { scope: ModuleScope; call: JsonRecord };
}

/** What an expression refers to: a resource, or the text of a reference whose value is not in the plan. */
type Target = Reference | string;

/** Maximum number of variables and outputs in a row. Terraform allows no cycles; a file that was edited may have some. */
const MAX_DEPTH = 32;

export function referencesOf({ configuration, resources, variables }: TerraformDocument): References {
  const root = asRecord(configuration?.root_module);
  const providers = asRecord(configuration?.provider_config);
  const byName = groupResources(resources);
  const rootScope: ModuleScope = { module: root, address: '' };

  const scopeOf = cacheByKey((address: string): ModuleScope | undefined => {
    let scope: ModuleScope = rootScope;
    for (const { name, text, index } of moduleSteps(address)) {
      const call = asRecord(asRecord(scope.module.module_calls)[name]);
      if (!isRecord(call.module)) return undefined;
      scope = { module: call.module, address: join(scope.address, text), index, parent: { scope, call } };
    }
    return scope;
  });

  /** The configurations of the resources of a module, by mode, type and name. */
  const configurationsIn = cacheByKey((module: JsonRecord) => {
    const entries = listOf(module.resources).filter(isRecord);
    return new Map(entries.map((entry) => [`${entry.mode} ${entry.type}.${entry.name}`, entry]));
  });

  const configurationOf = (
    resource: TerraformResource,
  ): { scope: ModuleScope; config: JsonRecord } | undefined => {
    const scope = scopeOf(resource.module);
    const { mode, type, name } = resource;
    const config = scope && configurationsIn(scope.module).get(`${mode} ${type}.${name}`);
    return scope && config && { scope, config };
  };

  const instancesOf = cacheByKey((module: string) => moduleInstances(resources, module));

  /** Resolves references in a scope. `index`: the key of the instance that has the expression. */
  const resolve = (
    references: readonly string[],
    scope: ModuleScope,
    from: { index?: string | number | undefined; forEach?: unknown },
    depth: number,
  ): Target[] => {
    if (depth > MAX_DEPTH) return [references[0] ?? ''];
    const usesKey = references.some((text) => /^(each|count)\./.test(text));
    return mostSpecific(references).flatMap((text): Target[] => {
      const [first = '', second = ''] = text.split(/[.[]/);
      if (first === 'var') return resolveVariable(second, scope, depth);
      if (first === 'module') return resolveOutput(text, scope, usesKey ? from.index : undefined, depth);
      if (text.startsWith('each.value'))
        return resolve(expressionReferences(from.forEach), scope, { index: from.index }, depth + 1).filter(
          (target) =>
            typeof target === 'string' || from.index === undefined || target.resource.index === from.index,
        );
      if (first === 'local') return [text];
      if (['each', 'count', 'path', 'terraform', 'self'].includes(first)) return [];
      if (!(first === 'data' ? second : first).startsWith('aws_')) return [text];
      return resolveResource(text, scope.address, usesKey ? from.index : undefined);
    });
  };

  const resolveVariable = (name: string, { index, parent }: ModuleScope, depth: number): Target[] =>
    parent === undefined
      ? []
      : resolve(
          expressionReferences(asRecord(parent.call.expressions)[name]),
          parent.scope,
          { index, forEach: parent.call.for_each_expression },
          depth + 1,
        );

  const resolveOutput = (
    text: string,
    scope: ModuleScope,
    index: string | number | undefined,
    depth: number,
  ): Target[] => {
    const [, name = '', key, output = ''] = /^module\.([^.[]+)(\[[^\]]*\])?\.([^.[]+)/.exec(text) ?? [];
    const call = asRecord(asRecord(scope.module.module_calls)[name]);
    if (!isRecord(call.module)) return [];
    const expression = asRecord(asRecord(call.module.outputs)[output]).expression;
    const instances = instancesOf(join(scope.address, `module.${name}`));
    const wanted = key ?? (index === undefined ? undefined : keyText(index));
    const selected = instances.filter(
      (address) => wanted === undefined || address.endsWith(`module.${name}${wanted}`),
    );
    return (selected.length > 0 ? selected : instances).flatMap((address) => {
      const inner = scopeOf(address);
      return inner ? resolve(expressionReferences(expression), inner, {}, depth + 1) : [];
    });
  };

  const resolveResource = (text: string, module: string, index: string | number | undefined): Reference[] => {
    const match = /^((?:data\.)?[^.[]+\.[^.[]+)(\[(?:"(?:[^"\\]|\\.)*"|[^\]]*)\])?(?:\.([^.[]+))?/.exec(text);
    if (!match) return [];
    const [, name = '', key, attribute = ''] = match;
    const instances = byName.get(`${module} ${name}`) ?? [];
    const wanted = key ?? (index === undefined ? undefined : keyText(index));
    const selected = instances.filter(
      (instance) =>
        wanted === undefined || (instance.index !== undefined && keyText(instance.index) === wanted),
    );
    return (selected.length > 0 ? selected : instances).map((resource) => ({ resource, attribute }));
  };

  const targetsAt = (resource: TerraformResource, path: AttributePath): Target[] => {
    const configured = configurationOf(resource);
    if (!configured) return [];
    const { scope, config } = configured;
    const expression = expressionAt(asRecord(config.expressions), path) ?? config.expressions;
    return resolve(
      expressionReferences(expression),
      scope,
      { index: resource.index, forEach: config.for_each_expression },
      0,
    );
  };

  return {
    of: (resource, path) =>
      targetsAt(resource, path).flatMap((target) =>
        typeof target === 'string' || target.resource.address === resource.address ? [] : target,
      ),
    isResolved: (resource, path) => targetsAt(resource, path).every((target) => typeof target !== 'string'),
    isSet(resource, attribute) {
      return asRecord(configurationOf(resource)?.config.expressions)[attribute] !== undefined;
    },
    providerOf(resource) {
      const key = configurationOf(resource)?.config.provider_config_key;
      return typeof key === 'string' ? key : undefined;
    },
    providerArgument(provider, path) {
      const config = asRecord(providers[provider]);
      const scope = scopeOf(typeof config.module_address === 'string' ? config.module_address : '');
      return constantOf(expressionAt(asRecord(config.expressions), path), scope, variables);
    },
    providerArgumentOrReferences(provider, argument) {
      return (
        this.providerArgument(provider, [argument]) ??
        asRecord(asRecord(providers[provider]).expressions)[argument]
      );
    },
  };
}

const asRecord = (value: unknown): JsonRecord => (isRecord(value) ? value : {});

const join = (module: string, step: string): string => (module === '' ? step : `${module}.${step}`);

const keyText = (index: string | number): string =>
  typeof index === 'number' ? `[${index}]` : `[${JSON.stringify(index)}]`;

/** Returns the steps of the address of a module: `module.a["x"].module.b` has two. */
function moduleSteps(address: string): { name: string; text: string; index?: string | number }[] {
  const steps = address.matchAll(/module\.([^.[]+)(?:\[("(?:[^"\\]|\\.)*"|\d+)\])?/g);
  return [...steps].map(([text, name = '', key]) => ({
    name,
    text,
    ...(key !== undefined && { index: JSON.parse(key) as string | number }),
  }));
}

const cacheByKey = <K, V>(compute: (key: K) => V): ((key: K) => V) => {
  const values = new Map<K, V>();
  return (key) => {
    if (!values.has(key)) values.set(key, compute(key));
    return values.get(key) as V;
  };
};

/** Returns the resources by the address of their module and their name. */
function groupResources(resources: readonly TerraformResource[]): Map<string, TerraformResource[]> {
  const groups = new Map<string, TerraformResource[]>();
  for (const resource of resources) {
    const { mode, type, name, module } = resource;
    const key = `${module} ${mode === 'data' ? 'data.' : ''}${type}.${name}`;
    groups.set(key, [...(groups.get(key) ?? []), resource]);
  }
  return groups;
}

/** Returns the addresses of the instances of a module that have resources. */
function moduleInstances(resources: readonly TerraformResource[], module: string): string[] {
  const addresses = resources.flatMap(({ module: address }) => {
    if (!address.startsWith(module)) return [];
    const key = /^(\[(?:"(?:[^"\\]|\\.)*"|\d+)\])?(?:\.|$)/.exec(address.slice(module.length));
    return key ? [`${module}${key[1] ?? ''}`] : [];
  });
  return [...new Set(addresses)];
}

/** Returns the expression of an attribute; undefined if the configuration does not show it. */
function expressionAt(expressions: JsonRecord, path: AttributePath): unknown {
  let value: unknown = expressions;
  for (const step of path) value = typeof step === 'number' ? listOf(value)[step] : asRecord(value)[step];
  return value;
}

/** Returns all references in an expression, or in a block of expressions. */
function expressionReferences(expression: unknown): string[] {
  if (Array.isArray(expression)) return expression.flatMap(expressionReferences);
  if (!isRecord(expression)) return [];
  const { references } = expression;
  if (Array.isArray(references)) return references.filter((text) => typeof text === 'string');
  return Object.values(expression).flatMap(expressionReferences);
}

/** Removes the references that Terraform adds for each prefix of another: `aws_kms_key.a` beside `aws_kms_key.a.arn`. */
const mostSpecific = (references: readonly string[]): string[] =>
  [...new Set(references)].filter(
    (text) =>
      !references.some(
        (other) => other !== text && (other.startsWith(`${text}.`) || other.startsWith(`${text}[`)),
      ),
  );

/** Returns the value of an expression that is a constant or a variable. */
function constantOf(expression: unknown, scope: ModuleScope | undefined, variables: JsonRecord): unknown {
  const { constant_value: constant } = asRecord(expression);
  if (constant !== undefined) return constant;
  const references = mostSpecific(expressionReferences(expression));
  const [reference = ''] = references;
  const name = /^var\.([^.[]+)$/.exec(reference)?.[1];
  if (references.length !== 1 || name === undefined || !scope) return undefined;
  if (!scope.parent) return variables[name] ?? asRecord(asRecord(scope.module.variables)[name]).default;
  return constantOf(asRecord(scope.parent.call.expressions)[name], scope.parent.scope, variables);
}
