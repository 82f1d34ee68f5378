import type { Fact } from '../core/facts.ts';
import { PolicyError } from '../iam/parse.ts';
import type { Policy, Statement } from '../iam/types.ts';
import { parsePolicyDocument } from '../kinds/policy-document.ts';
import type { TerraformContext } from './terraform-context.ts';
import {
  type AttributePath,
  attributeOf,
  blockCount,
  readValue,
  readWholeValue,
  type TerraformResource,
} from './terraform-document.ts';
import { isUnknown, listOf, textOf } from './unknown.ts';

/**
 * Returns the policy at an attribute; null for the empty text. A policy that is known only after apply is unread; if a
 * data source `aws_iam_policy_document` renders it, the fact has what the policy allows at most.
 */
export function policyAt(
  context: TerraformContext,
  resource: TerraformResource,
  path: AttributePath,
): Fact<Policy> {
  const value = readValue(resource, path);
  if (isUnknown(value)) {
    const atMost = context.document.type === 'plan' ? upperBoundAt(context, resource, path) : undefined;
    return { unread: value.reason, ...(atMost && { atMost }) };
  }
  return toPolicyFact(value, attributeOf(resource.address, path));
}

/** Parses the text of a policy. `name`: the attribute, for messages. */
export function toPolicyFact(value: unknown, name: string): Fact<Policy> {
  const text = textOf(value);
  if (text === undefined) return null;
  try {
    return parsePolicyDocument(text);
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error;
    return { unread: `${name} is not a valid policy: ${error.message}` };
  }
}

/**
 * Returns a policy that allows at least what the rendered policy will allow, from a data source that Terraform reads
 * during apply. Terraform knows most of its arguments before: usually all but the ARNs of new resources.
 */
function upperBoundAt(
  context: TerraformContext,
  resource: TerraformResource,
  path: AttributePath,
): Policy | undefined {
  const { references: index } = context;
  if (!index.isSet(resource, String(path[0])) || !index.isResolved(resource, path)) return undefined;
  const references = context.references.of(resource, path);
  const [reference] = references;
  // With other references, the expression may be more than the rendered document.
  if (references.length !== 1 || reference?.attribute !== 'json') return undefined;
  const document = reference.resource;
  if (document.mode !== 'data' || document.type !== 'aws_iam_policy_document') return undefined;
  for (const attribute of [
    'source_policy_documents',
    'override_policy_documents',
    'source_json',
    'override_json',
  ]) {
    const value = readValue(document, [attribute]);
    if (isUnknown(value) || listOf(value).length > 0 || textOf(value) !== undefined) return undefined;
  }
  const count = blockCount(document, ['statement']);
  if (isUnknown(count)) return undefined;
  const statements = Array.from({ length: count }, (_, index) =>
    upperBoundOfStatement(document, ['statement', index]),
  );
  return { Version: textOf(readValue(document, ['version'])) ?? '2012-10-17', Statement: statements.flat() };
}

/**
 * Returns a statement with each unknown part replaced by one that matches everything. A Deny with unknown parts may
 * match nothing, and is left out.
 */
function upperBoundOfStatement(document: TerraformResource, path: AttributePath): Statement[] {
  const unknownParts: string[] = [];
  const read = (...steps: (string | number)[]) => {
    const value = readValue(document, [...path, ...steps]);
    if (isUnknown(value)) unknownParts.push(steps.join('.'));
    return value;
  };
  /** Returns the texts of a list; undefined if the list is not set, or if a text is not known. */
  const readTexts = (...steps: (string | number)[]): string[] | undefined | 'unknown' => {
    const value = read(...steps);
    if (isUnknown(value)) return 'unknown';
    const texts = listOf(value).map((_, index) => read(...steps, index));
    if (texts.length === 0) return undefined;
    // The data source writes policy variables as `&{aws:username}`, because Terraform would interpolate `${…}`.
    return texts.every((text) => typeof text === 'string')
      ? texts.map((text) => String(text).replaceAll('&{', '${'))
      : 'unknown';
  };
  const effect = read('effect');
  const condition: NonNullable<Statement['Condition']> = {};
  const conditions = listOf(read('condition'));
  for (const index of conditions.keys()) {
    const [test, variable] = [
      textOf(read('condition', index, 'test')),
      textOf(read('condition', index, 'variable')),
    ];
    const values = readTexts('condition', index, 'values');
    if (test === undefined || variable === undefined || values === 'unknown' || values === undefined)
      continue;
    condition[test] = { ...condition[test], [variable]: values };
  }
  const elements = (name: string, element: string, whenUnknown: string): Partial<Statement> => {
    const [positive, negative] = [readTexts(name), readTexts(`not_${name}`)];
    if (positive === 'unknown' || negative === 'unknown') return { [element]: whenUnknown };
    if (positive !== undefined) return { [element]: positive };
    return negative === undefined ? {} : { [`Not${element}`]: negative };
  };
  const statement: Statement = {
    ...(textOf(read('sid')) !== undefined && { Sid: String(read('sid')) }),
    Effect: effect === 'Deny' ? 'Deny' : 'Allow',
    ...elements('actions', 'Action', '*'),
    ...elements('resources', 'Resource', '*'),
    ...principalsOfStatement(document, path, unknownParts),
    ...(Object.keys(condition).length > 0 && { Condition: condition }),
  };
  if (statement.Effect === 'Deny' && (unknownParts.length > 0 || hasNull(document, path))) return [];
  return [statement];
}

function principalsOfStatement(
  document: TerraformResource,
  path: AttributePath,
  unknownParts: string[],
): Partial<Statement> {
  const principals: Record<string, string[]> = {};
  const blocks = readValue(document, [...path, 'principals']);
  if (isUnknown(blocks) || blockCount(document, [...path, 'not_principals']) !== 0) {
    unknownParts.push('principals');
    return { Principal: '*' };
  }
  for (const index of listOf(blocks).keys()) {
    const type = readValue(document, [...path, 'principals', index, 'type']);
    const identifiers = readWholeValue(document, [...path, 'principals', index, 'identifiers']);
    const texts = listOf(identifiers);
    if (
      typeof type !== 'string' ||
      isUnknown(identifiers) ||
      !texts.every((text) => typeof text === 'string')
    ) {
      unknownParts.push('principals');
      return { Principal: '*' };
    }
    if (type === '*') return { Principal: '*' };
    principals[type] = [...(principals[type] ?? []), ...(texts as string[])];
  }
  return Object.keys(principals).length === 0 ? {} : { Principal: principals };
}

/** Returns whether a statement contains an element that is not known: Terraform writes null in its place. */
const hasNull = (document: TerraformResource, path: AttributePath): boolean =>
  ['actions', 'resources', 'not_actions', 'not_resources'].some((name) =>
    listOf(readValue(document, [...path, name])).includes(null),
  );
