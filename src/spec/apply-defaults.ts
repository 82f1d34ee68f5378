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
import { checkDestinationKeyReference } from './patterns.ts';
import type { Problem } from './types.ts';
import type { CheckedDocument } from './validate.ts';

/** Defaults by name; undefined when a document is too invalid to supply any value. */
type DefaultsByName = ReadonlyMap<string, ParsedDocument | undefined>;

/**
 * Merges into each pair the values of the Defaults document that it names.
 *
 * @param checkedDocuments The checked Defaults documents, with their invalid paths.
 */
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
    const message = `the specs inherit more than ${MAX_DEFAULTED_VALUES.toLocaleString('en')} values from Defaults in total`;
    const hint = 'move fewer values to Defaults, or use fewer specs in one run';
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

/** Indexes Defaults by name. The first document of a name wins; another check reports duplicates. */
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
    'add a document of kind: Defaults with this metadata.name, and include its file in the paths',
  );
  return problemAtPath(parsed, DEFAULTS_PATH, `no Defaults document is named ${name}`, hint);
}

/**
 * Mutually exclusive fields: if a pair sets one of them, it inherits none of them. The short form of a key is an alias
 * or an ARN only. A pair with `key: alias/its-own` therefore still inherits the rotation from Defaults.
 */
const EXCLUSIVE_FIELDS: ReadonlyMap<string, readonly string[]> = new Map([
  ['spec.source.key', ['alias', 'arn']],
  ['spec.destination.key', ['alias', 'arn']],
  ['spec.role', ['name', 'arn']],
  ['spec.source.objectLock', ['days', 'years']],
  ['spec.destination.objectLock', ['days', 'years']],
]);

type Mapping = Readonly<Record<string, unknown>>;

/**
 * Merges mappings recursively, down to the values that the pair sets. Lists and single values of the pair replace those
 * of Defaults as a whole.
 */
function mergeDefaults(pair: ParsedDocument, defaults: ParsedDocument): ParsedDocument {
  const spans = new Map(pair.spans);

  /** Copies the span of an inherited value, and of everything inside it. */
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

  /** Returns the short form of a key as a mapping. Its only field gets the span of the text. */
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
        // The field of a short form has no span, so the span of the key is used.
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

/**
 * Returns whether a value is a valid short form of a key. Any other value stays as written, and the schema check
 * reports it.
 */
const isShortKey = (value: unknown): value is string =>
  typeof value === 'string' && checkDestinationKeyReference(value) === undefined;

const longKeyField = (key: string): string => (key.startsWith('alias/') ? 'alias' : 'arn');
const isMapping = (value: unknown): value is Mapping =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
