import { isAlias, isMap, isScalar, isSeq, type Node, type Pair } from 'yaml';
import { quoteValue } from './code-frame.ts';
import type { ParsedDocument, Span } from './document.ts';
import { UNKNOWN_TAG } from './explain-syntax.ts';
import { MAX_ALIASES, MAX_YAML_DEPTH } from './limits.ts';
import { formatPath, type Path } from './path.ts';
import { type ProblemDetails, positionAt, problemAtOffset, type SourceFile } from './source-file.ts';
import type { Problem } from './types.ts';

/**
 * Plain data from nodes, with the place of each. Keys that are written twice, merge keys and aliases beyond reason are
 * problems; a document that has any is not to be used.
 */
export function toPlain(source: SourceFile, root: Node): { document: ParsedDocument; problems: Problem[] } {
  const spans = new Map<string, Span>();
  const problems: Problem[] = [];
  const anchors = new Map<string, Node>();
  let aliasCount = 0;

  const addProblem = (offset: number, details: ProblemDetails) => {
    problems.push(problemAtOffset(source, offset, details));
  };

  /** `alias`: where the alias stands that the value is read for; what it stands for is elsewhere. */
  function readNode(
    node: Node | null,
    path: Path,
    keyOffset: number | undefined,
    aliasOffset: number | undefined,
  ): unknown {
    const valueOffset = aliasOffset ?? node?.range?.[0] ?? keyOffset ?? 0;
    spans.set(formatPath(path), spanOfNode(node, valueOffset, keyOffset, aliasOffset !== undefined));
    if (path.length > MAX_YAML_DEPTH) {
      addProblem(valueOffset, { message: 'aliases nest too deep here', hint: 'write the value out' });
      return null;
    }
    if (node?.tag !== undefined && !PLAIN_TAGS.test(node.tag)) addProblem(valueOffset, UNKNOWN_TAG);
    if (isAlias(node)) return readAlias(node.source, path, keyOffset, valueOffset);
    const result = isMap(node)
      ? readMap(node.items as Pair<Node, Node | null>[], path, aliasOffset)
      : isSeq(node)
        ? node.items.map((item, index) =>
            readNode(item as Node | null, [...path, index], undefined, aliasOffset),
          )
        : isScalar(node)
          ? node.value
          : null;
    // Only now: an anchor stands for its node after it, not inside it.
    if (node?.anchor) anchors.set(node.anchor, node);
    return result;
  }

  function readMap(
    items: readonly Pair<Node, Node | null>[],
    path: Path,
    aliasOffset: number | undefined,
  ): object {
    const map: Record<string, unknown> = {};
    const firstOffsets = new Map<string, number>();
    for (const { key, value } of items) {
      const name = isScalar(key) ? String(key.value) : '';
      const keyOffset = aliasOffset ?? key.range?.[0] ?? 0;
      const firstOffset = firstOffsets.get(name);
      const details =
        firstOffset === undefined ? FORBIDDEN_KEYS.get(name) : duplicateKeyDetails(name, firstOffset);
      if (details) {
        addProblem(keyOffset, { path: formatPath([...path, name]), ...details });
        continue;
      }
      firstOffsets.set(name, keyOffset);
      map[name] = readNode(value, [...path, name], keyOffset, aliasOffset);
    }
    return map;
  }

  function duplicateKeyDetails(name: string, firstOffset: number): ProblemDetails {
    const { line, column } = positionAt(source, firstOffset);
    return {
      message: `the key ${quoteValue(name)} is written twice, first at ${source.file}:${line}:${column}`,
      hint: 'keep one of the two',
    };
  }

  function readAlias(name: string, path: Path, keyOffset: number | undefined, aliasOffset: number): unknown {
    const node = anchors.get(name);
    if (!node) {
      addProblem(aliasOffset, {
        message: `there is no anchor &${name} before this alias`,
        hint: `write the value out; a text that starts with * needs quotes: "*${name}"`,
      });
      return null;
    }
    aliasCount += 1;
    if (aliasCount === MAX_ALIASES + 1) {
      addProblem(aliasOffset, {
        message: `aliases stand for more than ${MAX_ALIASES} values here`,
        hint: 'write the values out instead of aliases',
      });
    }
    return aliasCount > MAX_ALIASES ? null : readNode(node, path, keyOffset, aliasOffset);
  }

  const value = readNode(root, [], undefined, undefined);
  return { document: { source, value, spans, invalidPaths: [] }, problems };
}

function spanOfNode(
  node: Node | null,
  valueOffset: number,
  keyOffset: number | undefined,
  isAliased: boolean,
): Span {
  return {
    valueOffset,
    ...(keyOffset === undefined ? {} : { keyOffset }),
    isBlock: !isAliased && (isMap(node) || isSeq(node)) && node.flow !== true,
    ...(isScalar(node) && node.type === 'PLAIN' && node.source !== undefined ? { rawText: node.source } : {}),
  };
}

/** The tags of plain data; `!!binary` and `!!set` stand for what no field of a spec is. */
const PLAIN_TAGS = /^tag:yaml\.org,2002:(str|int|float|bool|null|map|seq)$/;

const FORBIDDEN_KEYS: ReadonlyMap<string, ProblemDetails> = new Map([
  [
    '<<',
    {
      message: 'merge keys (<<) are no part of YAML 1.2 and are not read',
      hint: 'write the fields out; an alias can stand for a whole value',
    },
  ],
  ['__proto__', { message: '__proto__ cannot be a key', hint: 'remove it' }],
]);
