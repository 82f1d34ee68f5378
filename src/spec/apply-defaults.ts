import { suggestionHint } from './did-you-mean.ts';
import {
  formatPath,
  type ParsedDocument,
  type Path,
  pathsOverlap,
  problemAtPath,
  valueAtPath,
} from './document.ts';
import { MAX_DEFAULTED_VALUES } from './limits.ts';
import { checkKeyReference } from './patterns.ts';
import type { Problem } from './types.ts';
import type { CheckedDocument } from './validate.ts';

/** Defaults by name; undefined where they are so wrong that nothing can be taken from them. */
type DefaultsByName = ReadonlyMap<string, ParsedDocument | undefined>;

/** Pairs with what they take from the Defaults that they name. `valid`: what is known of these. */
export function applyDefaults(
  documents: readonly ParsedDocument[],
  defaults: readonly ParsedDocument[],
  checkedDocuments: readonly CheckedDocument[],
): { documents: ParsedDocument[]; problems: Problem[] } {
  const defaultsByName = indexDefaults(defaults, checkedDocuments);
  const problems: Problem[] = [];
  const results: ParsedDocument[] = [];
  let defaultedValues = 0;
  for (const parsed of documents) {
    const { document, documentProblems } = applyNamedDefaults(parsed, defaultsByName);
    results.push(document);
    problems.push(...documentProblems);
    defaultedValues += document.spans.size - parsed.spans.size;
    if (defaultedValues <= MAX_DEFAULTED_VALUES) continue;
    const message = `all specs together take more than ${MAX_DEFAULTED_VALUES.toLocaleString('en')} values from Defaults`;
    const hint = 'leave less to Defaults, or give fewer specs at once';
    problems.push(problemAtPath(parsed, DEFAULTS_PATH, message, hint));
    return { documents: documents.map((document) => ({ ...document, isPartial: true })), problems };
  }
  return { documents: results, problems };
}

const DEFAULTS_PATH: Path = ['spec', 'defaults'];

function applyNamedDefaults(
  parsed: ParsedDocument,
  defaultsByName: DefaultsByName,
): { document: ParsedDocument; documentProblems: Problem[] } {
  const name = valueAtPath(parsed.value, DEFAULTS_PATH);
  if (valueAtPath(parsed.value, ['kind']) !== 'BucketReplication' || name === undefined)
    return { document: parsed, documentProblems: [] };
  const partialDocument: ParsedDocument = { ...parsed, isPartial: true };
  const isReported =
    typeof name !== 'string' || parsed.invalidPaths.some((path) => pathsOverlap(path, DEFAULTS_PATH));
  if (isReported) return { document: partialDocument, documentProblems: [] };
  if (!defaultsByName.has(name))
    return {
      document: partialDocument,
      documentProblems: [unknownDefaultsProblem(parsed, name, defaultsByName)],
    };
  const defaults = defaultsByName.get(name);
  return { document: defaults ? mergeDefaults(parsed, defaults) : partialDocument, documentProblems: [] };
}

/** The first of a name counts; that there is another is told elsewhere. */
function indexDefaults(
  defaults: readonly ParsedDocument[],
  checkedDocuments: readonly CheckedDocument[],
): DefaultsByName {
  const invalidPathsByDocument = new Map(
    checkedDocuments.map(({ parsed, invalidPaths }) => [parsed, invalidPaths]),
  );
  const defaultsByName = new Map<string, ParsedDocument | undefined>();
  for (const parsed of defaults) {
    const name = valueAtPath(parsed.value, ['metadata', 'name']);
    if (typeof name !== 'string' || defaultsByName.has(name)) continue;
    const invalidPaths = invalidPathsByDocument.get(parsed);
    defaultsByName.set(name, invalidPaths && { ...parsed, invalidPaths });
  }
  return defaultsByName;
}

function unknownDefaultsProblem(
  parsed: ParsedDocument,
  name: string,
  defaultsByName: DefaultsByName,
): Problem {
  const hint = suggestionHint(
    name,
    [...defaultsByName.keys()],
    'add one: kind: Defaults with metadata.name and spec, and name its file too',
  );
  return problemAtPath(parsed, DEFAULTS_PATH, `there is no Defaults document named ${name}`, hint);
}

/**
 * Fields of which one says the other: where a pair has one, the other is not taken. A text is short for the first two
 * of a key, so that what Defaults say of its rotation is not lost where a pair writes `key: alias/its-own`.
 */
const EXCLUSIVE_FIELDS: ReadonlyMap<string, readonly string[]> = new Map([
  ['spec.source.key', ['alias', 'arn']],
  ['spec.destination.key', ['alias', 'arn']],
  ['spec.role', ['name', 'arn']],
]);

type Mapping = Readonly<Record<string, unknown>>;

/** Mappings field by field, down to what the pair writes itself; of lists and single values, its own count as a whole. */
function mergeDefaults(pair: ParsedDocument, defaults: ParsedDocument): ParsedDocument {
  const spans = new Map(pair.spans);

  /** The place of something that is taken, and of all that is in it. */
  const copySpans = (value: unknown, path: Path, sourcePath = formatPath(path)): unknown => {
    const span = defaults.spans.get(sourcePath);
    if (span) spans.set(formatPath(path), { ...span, defaultsFile: defaults.source });
    if (typeof value === 'object' && value !== null) {
      for (const [key, item] of Object.entries(value))
        copySpans(item, [...path, Array.isArray(value) ? Number(key) : key]);
    }
    return value;
  };

  const mergeValues = (pairValue: unknown, defaultsValue: unknown, path: Path): unknown => {
    if (KEY_PATH.test(formatPath(path))) {
      if (isShortKey(pairValue) && isMapping(defaultsValue))
        return mergeMappings(toLongKey(pairValue, path), defaultsValue, path);
      if (isMapping(pairValue) && isShortKey(defaultsValue))
        return mergeMappings(pairValue, { [longKeyField(defaultsValue)]: defaultsValue }, path);
    }
    return isMapping(pairValue) && isMapping(defaultsValue)
      ? mergeMappings(pairValue, defaultsValue, path)
      : pairValue;
  };

  /** A key in its short form as a mapping, whose one field stands where the text does. */
  const toLongKey = (key: string, path: Path): Mapping => {
    const span = pair.spans.get(formatPath(path));
    if (span) spans.set(formatPath([...path, longKeyField(key)]), span);
    return { [longKeyField(key)]: key };
  };

  const mergeMappings = (pairMapping: Mapping, defaultsMapping: Mapping, path: Path): Mapping => {
    const pathText = formatPath(path);
    const exclusiveFields = EXCLUSIVE_FIELDS.get(pathText) ?? [];
    const isSet = exclusiveFields.some((key) => Object.hasOwn(pairMapping, key));
    const pairFields = Object.entries(pairMapping).map(([key, value]) => [
      key,
      Object.hasOwn(defaultsMapping, key) ? mergeValues(value, defaultsMapping[key], [...path, key]) : value,
    ]);
    const inheritedFields = Object.entries(defaultsMapping)
      .filter(([key]) => !Object.hasOwn(pairMapping, key) && !(isSet && exclusiveFields.includes(key)))
      .map(([key, value]) => {
        const fieldPath = [...path, key];
        // The field of a short form has no place of its own.
        return [
          key,
          copySpans(value, fieldPath, defaults.spans.has(formatPath(fieldPath)) ? undefined : pathText),
        ];
      });
    return Object.fromEntries([...pairFields, ...inheritedFields]) as Mapping;
  };

  const spec = mergeValues(valueAtPath(pair.value, ['spec']), valueAtPath(defaults.value, ['spec']), [
    'spec',
  ]);
  const invalidPaths = defaults.invalidPaths.filter(([first]) => first === 'spec');
  return {
    ...pair,
    value: { ...(pair.value as Mapping), spec },
    spans,
    invalidPaths: [...pair.invalidPaths, ...invalidPaths.filter((path) => !pair.spans.has(formatPath(path)))],
  };
}

const KEY_PATH = /^spec\.(source|destination)\.key$/;

/** A key in its short form, if it is one: what is not stays as it is written, and is judged as such. */
const isShortKey = (value: unknown): value is string =>
  typeof value === 'string' && checkKeyReference(value) === undefined;

const longKeyField = (key: string): string => (key.startsWith('alias/') ? 'alias' : 'arn');
const isMapping = (value: unknown): value is Mapping =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
