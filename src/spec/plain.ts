import { isAlias, isMap, isScalar, isSeq, type Node, type Pair } from 'yaml';
import type { Parsed, Place } from './document.ts';
import { quoted } from './excerpt.ts';
import { MAX_ALIASES, MAX_DEPTH } from './limits.ts';
import { formatPath, type Path } from './path.ts';
import { type Finding, positionAt, problemAt, type Source } from './source.ts';
import { UNKNOWN_TAG } from './syntax.ts';
import type { Problem } from './types.ts';

/**
 * Plain data from nodes, with the place of each. Keys that are written twice, merge keys and aliases beyond reason are
 * problems; a document that has any is not to be used.
 */
export function toPlain(source: Source, root: Node): { document: Parsed; problems: Problem[] } {
  const places = new Map<string, Place>();
  const problems: Problem[] = [];
  const anchors = new Map<string, Node>();
  let aliases = 0;

  const complain = (offset: number, finding: Finding) => {
    problems.push(problemAt(source, offset, finding));
  };

  /** `alias`: where the alias stands that the value is read for; what it stands for is elsewhere. */
  function read(node: Node | null, path: Path, key: number | undefined, alias: number | undefined): unknown {
    const value = alias ?? node?.range?.[0] ?? key ?? 0;
    places.set(formatPath(path), placeOf(node, value, key, alias !== undefined));
    if (path.length > MAX_DEPTH) {
      complain(value, { message: 'aliases nest too deep here', hint: 'write the value out' });
      return null;
    }
    if (node?.tag !== undefined && !PLAIN_TAGS.test(node.tag)) complain(value, UNKNOWN_TAG);
    if (isAlias(node)) return readAlias(node.source, path, key, value);
    const result = isMap(node)
      ? readMap(node.items as Pair<Node, Node | null>[], path, alias)
      : isSeq(node)
        ? node.items.map((item, index) => read(item as Node | null, [...path, index], undefined, alias))
        : isScalar(node)
          ? node.value
          : null;
    // Only now: an anchor stands for its node after it, not inside it.
    if (node?.anchor) anchors.set(node.anchor, node);
    return result;
  }

  function readMap(items: readonly Pair<Node, Node | null>[], path: Path, alias: number | undefined): object {
    const map: Record<string, unknown> = {};
    const first = new Map<string, number>();
    for (const { key, value } of items) {
      const name = isScalar(key) ? String(key.value) : '';
      const offset = alias ?? key.range?.[0] ?? 0;
      const before = first.get(name);
      const wrong = before === undefined ? REFUSED_KEYS.get(name) : writtenTwice(name, before);
      if (wrong) {
        complain(offset, { path: formatPath([...path, name]), ...wrong });
        continue;
      }
      first.set(name, offset);
      map[name] = read(value, [...path, name], offset, alias);
    }
    return map;
  }

  function writtenTwice(name: string, before: number): Finding {
    const { line, column } = positionAt(source, before);
    return {
      message: `the key ${quoted(name)} is written twice, first at ${source.file}:${line}:${column}`,
      hint: 'keep one of the two',
    };
  }

  function readAlias(name: string, path: Path, key: number | undefined, offset: number): unknown {
    const node = anchors.get(name);
    if (!node) {
      complain(offset, {
        message: `there is no anchor &${name} before this alias`,
        hint: `write the value out; a text that starts with * needs quotes: "*${name}"`,
      });
      return null;
    }
    aliases += 1;
    if (aliases === MAX_ALIASES + 1) {
      complain(offset, {
        message: `aliases stand for more than ${MAX_ALIASES} values here`,
        hint: 'write the values out instead of aliases',
      });
    }
    return aliases > MAX_ALIASES ? null : read(node, path, key, offset);
  }

  const value = read(root, [], undefined, undefined);
  return { document: { source, value, places, wrong: [] }, problems };
}

function placeOf(node: Node | null, value: number, key: number | undefined, isAliased: boolean): Place {
  return {
    value,
    ...(key === undefined ? {} : { key }),
    isBlock: !isAliased && (isMap(node) || isSeq(node)) && node.flow !== true,
    ...(isScalar(node) && node.type === 'PLAIN' && node.source !== undefined ? { written: node.source } : {}),
  };
}

/** The tags of plain data; `!!binary` and `!!set` stand for what no field of a spec is. */
const PLAIN_TAGS = /^tag:yaml\.org,2002:(str|int|float|bool|null|map|seq)$/;

const REFUSED_KEYS: ReadonlyMap<string, Finding> = new Map([
  [
    '<<',
    {
      message: 'merge keys (<<) are no part of YAML 1.2 and are not read',
      hint: 'write the fields out; an alias can stand for a whole value',
    },
  ],
  ['__proto__', { message: '__proto__ cannot be a key', hint: 'remove it' }],
]);
