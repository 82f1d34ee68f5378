import { type CollectionTag, parseDocument, type ScalarTag } from 'yaml';
import { EXIT, UserError } from '../errors.ts';
import { partitionOfRegion } from '../util/arn.ts';
import { placeholderOf } from './stack.ts';
import { isRecord, isUnknown, listOf, textOf, Unknown } from './unknown.ts';

/** A template of CloudFormation whose functions are evaluated as far as their arguments are known. */
export interface CloudFormationTemplate {
  resources: TemplateResource[];
  /** Returns what `Ref` or an attribute of a resource returns. */
  attribute(logicalId: string, attribute: string): unknown;
  region: string | Unknown;
  /** 12 digits; `Unknown` without a description of the stack. */
  account: string;
}

export interface TemplateResource {
  logicalId: string;
  type: string;
  /** Evaluated, with `Unknown` in place of values that are not known. */
  properties: Record<string, unknown>;
  /** Why it is not known whether the stack has the resource. */
  uncertain?: string;
}

interface TemplateInput {
  /** Parsed template. */
  template: unknown;
  /** Output of `aws cloudformation describe-stacks`. */
  description?: unknown;
  /** Region of the stack, if the description does not contain it. */
  region?: string | undefined;
  /** Account to use where it is not known. */
  unknownAccount: string;
  file: string;
}

/** The short forms of intrinsic functions: `!Ref`, `!GetAtt`, … (CloudFormation, "Intrinsic function reference"). */
const INTRINSIC_FUNCTIONS = [
  'Base64',
  'Cidr',
  'FindInMap',
  'GetAtt',
  'GetAZs',
  'ImportValue',
  'Join',
  'Select',
  'Split',
  'Sub',
  'Transform',
  'And',
  'Equals',
  'If',
  'Not',
  'Or',
  'ToJsonString',
  'Length',
  'ForEach',
];

const CUSTOM_TAGS = [
  ...[...INTRINSIC_FUNCTIONS, 'Ref', 'Condition'].flatMap((name): (ScalarTag | CollectionTag)[] => {
    const key = name === 'Ref' || name === 'Condition' ? name : `Fn::${name}`;
    return [
      {
        tag: `!${name}`,
        resolve: (text: string) => ({ [key]: name === 'GetAtt' ? splitAttribute(text) : text }),
      },
      {
        tag: `!${name}`,
        collection: 'seq',
        resolve: (node) => ({ [key]: (node as { toJSON(): unknown }).toJSON() }),
      },
      {
        tag: `!${name}`,
        collection: 'map',
        resolve: (node) => ({ [key]: (node as { toJSON(): unknown }).toJSON() }),
      },
    ] as (ScalarTag | CollectionTag)[];
  }),
];

const splitAttribute = (text: string): string[] => {
  const dot = text.indexOf('.');
  return dot < 0 ? [text] : [text.slice(0, dot), text.slice(dot + 1)];
};

/**
 * Parses a template in JSON or YAML.
 *
 * @throws UserError if the text is neither, or no template.
 */
export function parseTemplate(text: string, file: string): Record<string, unknown> {
  const document = parseDocument(text, { customTags: CUSTOM_TAGS, logLevel: 'silent', uniqueKeys: false });
  const [problem] = document.errors;
  if (problem) throw new UserError(EXIT.usage, `cannot use ${file}: ${problem.message.split('\n')[0]}`);
  const template: unknown = document.toJS({ maxAliasCount: 100 });
  if (!isRecord(template) || !isRecord(template.Resources))
    throw new UserError(
      EXIT.usage,
      `cannot use ${file}: it has no Resources; give a template of CloudFormation`,
    );
  return template;
}

/** Evaluates a template. Pure. */
export function evaluateTemplate(input: TemplateInput): CloudFormationTemplate {
  const template = isRecord(input.template) ? input.template : {};
  const description = stackOf(input.description, input.file);
  const [, partitionName, , regionOfStack, accountOfStack] = (textOf(description.StackId) ?? '').split(':');
  const region =
    textOf(regionOfStack) ?? input.region ?? new Unknown('AWS::Region is not known: use --stack or --region');
  const account = textOf(accountOfStack) ?? input.unknownAccount;
  const parameters = templateParameters(template, description);
  const conditions = isRecord(template.Conditions) ? template.Conditions : {};
  const mappings = isRecord(template.Mappings) ? template.Mappings : {};
  const definitions = isRecord(template.Resources) ? template.Resources : {};
  const stackName = textOf(description.StackName);
  const pseudo: Record<string, unknown> = {
    'AWS::AccountId': account,
    'AWS::Region': region,
    'AWS::Partition': textOf(partitionName) ?? (isUnknown(region) ? region : partitionOfRegion(region)),
    'AWS::URLSuffix': 'amazonaws.com',
    'AWS::StackName': stackName ?? new Unknown('AWS::StackName is not known: use --stack'),
    'AWS::StackId': textOf(description.StackId) ?? new Unknown('AWS::StackId is not known: use --stack'),
    'AWS::NoValue': undefined,
  };
  const conditionValues = new Map<string, boolean | Unknown>();
  const outputs = new Map<string, string>();

  /** Returns a value with its functions evaluated. Unknown parts stay `Unknown` in place. */
  const evaluate = (value: unknown, depth = 0): unknown => {
    if (depth > MAX_TEMPLATE_DEPTH) return new Unknown('the template is nested too deeply');
    if (typeof value === 'string')
      return value.includes('{{resolve:')
        ? new Unknown(`the dynamic reference ${value} is not in the template`)
        : value;
    if (Array.isArray(value))
      return value.map((item) => evaluate(item, depth + 1)).filter((item) => item !== undefined);
    if (!isRecord(value)) return value;
    const [[name = '', argument] = [], ...others] = Object.entries(value);
    if (others.length === 0 && (name === 'Ref' || name.startsWith('Fn::')))
      return applyFunction(name, argument, depth + 1);
    const entries = Object.entries(value).map(([key, item]) => [key, evaluate(item, depth + 1)] as const);
    return Object.fromEntries(entries.filter(([, item]) => item !== undefined));
  };

  const applyFunction = (name: string, argument: unknown, depth: number): unknown => {
    const expression = JSON.stringify({ [name]: argument });
    const output = outputs.get(expression);
    if (output !== undefined) return output;
    if (name === 'Ref') return reference(String(argument));
    if (name === 'Fn::GetAtt') {
      const [logicalId, attribute] = Array.isArray(argument) ? argument : splitAttribute(String(argument));
      return attributeOfResource(String(logicalId), String(attribute));
    }
    if (name === 'Fn::Sub') return substitute(argument, depth);
    if (name === 'Fn::If') {
      const [condition, whenTrue, whenFalse] = listOf(argument);
      const result = conditionOf(String(condition));
      return isUnknown(result) ? result : evaluate(result ? whenTrue : whenFalse, depth);
    }
    const evaluated = evaluate(argument, depth);
    const unknown = firstUnknown(evaluated);
    if (unknown) return unknown;
    const list = listOf(evaluated);
    if (name === 'Fn::Join') return listOf(list[1]).map(String).join(String(list[0]));
    if (name === 'Fn::Select')
      return listOf(list[1])[Number(list[0])] ?? new Unknown(`${expression} selects nothing`);
    if (name === 'Fn::Split') return String(list[1]).split(String(list[0]));
    if (name === 'Fn::FindInMap') {
      const [map, first, second] = list.map(String);
      const level = isRecord(mappings[map ?? ''])
        ? (mappings[map ?? ''] as Record<string, unknown>)[first ?? '']
        : undefined;
      return (
        (isRecord(level) ? level[second ?? ''] : undefined) ?? new Unknown(`${expression} is in no mapping`)
      );
    }
    if (name === 'Fn::ToJsonString') return JSON.stringify(evaluated);
    if (name === 'Fn::ImportValue')
      return new Unknown(`the export ${String(evaluated)} of another stack is not in the template`);
    return new Unknown(`${name} is not evaluated`);
  };

  const reference = (name: string): unknown => {
    if (name in pseudo) return pseudo[name];
    if (name in parameters) return parameters[name];
    return attributeOfResource(name, 'Ref');
  };

  const attributeOfResource = (logicalId: string, attribute: string): unknown => {
    const definition = definitions[logicalId];
    if (!isRecord(definition)) return new Unknown(`${logicalId} is not in the template`);
    const { type, properties } = resourceOf(logicalId, definition);
    const arn = outputs.get(JSON.stringify({ 'Fn::GetAtt': [logicalId, 'Arn'] }));
    // An output with the ARN gives the name as well.
    if (arn !== undefined)
      return attribute === 'Arn' ? arn : arn.slice(Math.max(arn.lastIndexOf('/'), arn.lastIndexOf(':')) + 1);
    const name = outputs.get(JSON.stringify({ Ref: logicalId }));
    if (name !== undefined && NAME_PROPERTY[type] !== undefined) properties[NAME_PROPERTY[type]] = name;
    return (
      referenceValueOf(type, attribute, logicalId, properties, {
        region,
        account,
        partition: pseudo['AWS::Partition'],
      }) ?? new Unknown(`${logicalId}.${attribute} is known after the stack is created`)
    );
  };

  const substitute = (argument: unknown, depth: number): unknown => {
    const [text, variables] = Array.isArray(argument) ? argument : [argument, {}];
    let unknown: Unknown | undefined;
    const result = String(text).replace(/\$\{(!?)([^}]+)\}/g, (match, literal: string, name: string) => {
      if (literal !== '') return `\${${name}}`;
      const key = name.trim();
      const own = isRecord(variables) && key in variables ? evaluate(variables[key], depth) : undefined;
      const [logicalId = '', attribute] = splitAttribute(key);
      const value =
        own ?? (attribute === undefined ? reference(key) : attributeOfResource(logicalId, attribute));
      unknown ??= firstUnknown(value);
      return value === undefined ? match : String(value);
    });
    return unknown ?? result;
  };

  const conditionOf = (name: string): boolean | Unknown => {
    const existing = conditionValues.get(name);
    if (existing !== undefined) return existing;
    conditionValues.set(name, new Unknown(`the condition ${name} refers to itself`));
    const result = evaluateCondition(conditions[name]);
    const named = isUnknown(result)
      ? new Unknown(`the condition ${name} is not known: ${result.reason}`)
      : result;
    conditionValues.set(name, named);
    return named;
  };

  const evaluateCondition = (value: unknown): boolean | Unknown => {
    if (typeof value === 'boolean') return value;
    const [[name = '', argument] = []] = Object.entries(isRecord(value) ? value : {});
    if (name === 'Condition') return conditionOf(String(argument));
    if (name === 'Fn::Not') {
      const result = evaluateCondition(listOf(argument)[0]);
      return isUnknown(result) ? result : !result;
    }
    if (name === 'Fn::And' || name === 'Fn::Or') {
      const results = listOf(argument).map(evaluateCondition);
      const decisive = name === 'Fn::Or';
      if (results.includes(decisive)) return decisive;
      return results.find(isUnknown) ?? !decisive;
    }
    if (name !== 'Fn::Equals') return new Unknown(`${name === '' ? 'the condition' : name} is not evaluated`);
    const [left, right] = listOf(argument).map((side) => evaluate(side));
    return firstUnknown([left, right]) ?? String(left) === String(right);
  };

  /** Guards against resources that refer to each other, which CloudFormation refuses. */
  const inProgress = new Set<string>();
  const evaluatedResources = new Map<string, TemplateResource>();
  const resourceOf = (logicalId: string, definition: Record<string, unknown>): TemplateResource => {
    const existing = evaluatedResources.get(logicalId);
    if (existing) return existing;
    const type = String(definition.Type);
    if (inProgress.has(logicalId)) return { logicalId, type, properties: {} };
    inProgress.add(logicalId);
    const properties = evaluate(namingProperties(type, definition.Properties));
    inProgress.delete(logicalId);
    return { logicalId, type, properties: isRecord(properties) ? properties : {} };
  };

  for (const [expression, value] of knownOutputs(template, description)) outputs.set(expression, value);
  const resources = Object.entries(definitions).flatMap(([logicalId, definition]): TemplateResource[] => {
    if (!isRecord(definition)) return [];
    const exists = definition.Condition === undefined ? true : conditionOf(String(definition.Condition));
    if (exists === false) return [];
    const properties = evaluate(definition.Properties ?? {});
    const resource = {
      logicalId,
      type: String(definition.Type),
      properties: isRecord(properties) ? properties : {},
      ...(isUnknown(exists) && { uncertain: exists.reason }),
    };
    return [resource];
  });
  return { resources, attribute: attributeOfResource, region, account };
}

/** Maximum depth of functions and values. */
const MAX_TEMPLATE_DEPTH = 100;

/** Properties that name a resource, by type. A reference to the resource depends on these alone. */
const NAMING_PROPERTIES: Record<string, readonly string[]> = {
  'AWS::S3::Bucket': ['BucketName'],
  'AWS::IAM::Role': ['RoleName', 'Path'],
  'AWS::IAM::ManagedPolicy': ['ManagedPolicyName', 'Path'],
  'AWS::KMS::Key': ['MultiRegion'],
  'AWS::KMS::ReplicaKey': [],
  'AWS::KMS::Alias': ['AliasName'],
};

/** The property that an output with `Ref` gives. */
const NAME_PROPERTY: Record<string, string> = {
  'AWS::S3::Bucket': 'BucketName',
  'AWS::IAM::Role': 'RoleName',
};

const namingProperties = (type: string, properties: unknown): unknown =>
  isRecord(properties)
    ? Object.fromEntries(
        Object.entries(properties).filter(([name]) => NAMING_PROPERTIES[type]?.includes(name)),
      )
    : {};

/**
 * Returns what `Ref` or an attribute of a resource returns; undefined if it is not modelled. Names and ids that
 * CloudFormation or KMS generates are placeholders, which no document that exists before can contain.
 */
function referenceValueOf(
  type: string,
  attribute: string,
  logicalId: string,
  properties: Record<string, unknown>,
  { region, account, partition }: { region: string | Unknown; account: string | Unknown; partition: unknown },
): unknown {
  const placeholder = placeholderOf(logicalId);
  const unknown = [partition, account].find(isUnknown);
  const nameOf = (property: string) => properties[property] ?? placeholder;
  const path = textOf(properties.Path) ?? '/';
  if (type === 'AWS::S3::Bucket') {
    const name = nameOf('BucketName');
    if (attribute === 'Ref' || isUnknown(name)) return name;
    return attribute === 'Arn' ? (unknown ?? `arn:${partition}:s3:::${name}`) : undefined;
  }
  if (type === 'AWS::IAM::Role') {
    const name = nameOf('RoleName');
    if (attribute === 'Ref' || isUnknown(name)) return name;
    return attribute === 'Arn'
      ? (unknown ?? `arn:${partition}:iam::${account}:role${path}${name}`)
      : undefined;
  }
  if (type === 'AWS::IAM::ManagedPolicy') {
    const name = nameOf('ManagedPolicyName');
    return isUnknown(name) ? name : (unknown ?? `arn:${partition}:iam::${account}:policy${path}${name}`);
  }
  if (type === 'AWS::KMS::Key' || type === 'AWS::KMS::ReplicaKey') {
    const id = `${properties.MultiRegion === true || type === 'AWS::KMS::ReplicaKey' ? 'mrk-' : ''}${placeholder}`;
    if (attribute === 'Arn')
      return unknown ?? (isUnknown(region) ? region : `arn:${partition}:kms:${region}:${account}:key/${id}`);
    return attribute === 'Ref' || attribute === 'KeyId' ? id : undefined;
  }
  return type === 'AWS::KMS::Alias' && attribute === 'Ref' ? nameOf('AliasName') : undefined;
}

/** Returns the first unknown value in a value. */
export function firstUnknown(value: unknown): Unknown | undefined {
  if (isUnknown(value)) return value;
  if (typeof value !== 'object' || value === null) return undefined;
  for (const part of Object.values(value)) {
    const unknown = firstUnknown(part);
    if (unknown) return unknown;
  }
  return undefined;
}

/** Returns the stack in the output of `describe-stacks`. */
function stackOf(description: unknown, file: string): Record<string, unknown> {
  if (description === undefined) return {};
  const stacks = isRecord(description) ? listOf(description.Stacks) : [];
  const [stack] = stacks;
  if (stacks.length !== 1 || !isRecord(stack))
    throw new UserError(
      EXIT.usage,
      `cannot use the description of the stack of ${file}: it has ${stacks.length} stacks; write it with \`aws cloudformation describe-stacks --stack-name NAME\``,
    );
  return stack;
}

/** Returns the values of parameters: those of the stack, or the defaults. */
function templateParameters(
  template: Record<string, unknown>,
  description: Record<string, unknown>,
): Record<string, unknown> {
  const values = new Map(
    listOf(description.Parameters).flatMap((parameter) =>
      isRecord(parameter)
        ? [[String(parameter.ParameterKey), parameter.ResolvedValue ?? parameter.ParameterValue] as const]
        : [],
    ),
  );
  return Object.fromEntries(
    Object.entries(isRecord(template.Parameters) ? template.Parameters : {}).map(([name, definition]) => {
      const { Type: type, Default: defaultValue, NoEcho: isSecret } = isRecord(definition) ? definition : {};
      if (isSecret === true || isSecret === 'true')
        return [name, new Unknown(`the parameter ${name} has NoEcho, and replikey does not read it`)];
      const value = values.get(name) ?? defaultValue;
      const isFromStore = String(type).startsWith('AWS::SSM::Parameter::Value') && !values.has(name);
      if (value === undefined || isFromStore)
        return [name, new Unknown(`the parameter ${name} has no value: use --stack`)];
      const isList = String(type).startsWith('List<') || type === 'CommaDelimitedList';
      return [
        name,
        isList
          ? String(value)
              .split(',')
              .map((item) => item.trim())
          : value,
      ];
    }),
  );
}

/** Returns the values that the outputs of a stack give to references: `{"Ref":"Bucket"}` and the like. */
function knownOutputs(
  template: Record<string, unknown>,
  description: Record<string, unknown>,
): [expression: string, value: string][] {
  const definitions = isRecord(template.Outputs) ? template.Outputs : {};
  return listOf(description.Outputs).flatMap((output): [string, string][] => {
    if (!isRecord(output)) return [];
    const definition = definitions[String(output.OutputKey)];
    const value = isRecord(definition) ? definition.Value : undefined;
    const [name = ''] = Object.keys(isRecord(value) ? value : {});
    return name === 'Ref' || name === 'Fn::GetAtt'
      ? [[JSON.stringify(value), String(output.OutputValue)]]
      : [];
  });
}
