import { type Document, isMap, isNode, isSeq, type Node } from 'yaml';
import type { AwsClient } from '../aws/client.ts';
import { fieldChangesOf } from '../core/diff.ts';
import { MISSING_REASON } from '../core/plan.ts';
import type { Plan, Step } from '../core/resource.ts';
import { type ImportedSpecs, toYaml } from '../import/render-yaml.ts';
import { kinds } from '../kinds/index.ts';
import { reconcile } from '../reconcile/reconcile.ts';
import { changeText } from '../report/change-text.ts';
import { PLAIN_STYLE } from '../report/style.ts';
import { loadSpecs } from '../spec/load.ts';
import type { BucketReplication, Position, Problem, Specs } from '../spec/types.ts';
import { escapeUnprintable } from '../util/escape.ts';

/**
 * Plans imported specs against AWS, and states at each line of a spec what a run would change there. A spec that is not
 * valid states its problems instead, and does not keep the others from being planned.
 */
export async function verifyImport(imported: ImportedSpecs, aws: AwsClient): Promise<ImportedSpecs> {
  const { specs, problems } = await loadDocuments(imported.documents);
  const plan = specs && (await planSpecs(specs, aws));
  const remarks = [
    ...problems.map(([document, { path = '', message, hint }]) => ({
      spec: nameOf(document),
      path,
      message: `not valid: ${message}${hint === undefined ? '' : `; ${hint}`}`,
    })),
    ...(plan ? remarksOf(plan, specs.pairs) : []),
  ];
  for (const document of imported.documents) {
    if (document.get('kind') !== 'BucketReplication') continue;
    const name = nameOf(document);
    const own = remarks.filter(({ spec }) => spec === name);
    for (const { path, message } of own) addComment(document, path, ` ! ${escapeUnprintable(message)}`);
    const isInvalid = problems.some(([invalid]) => invalid === document);
    const unmanaged = specs?.pairs.find((pair) => pair.name === name && !pair.destination.managed);
    addVerdict(document, verdictOf(own.length, isInvalid, unmanaged));
  }
  return {
    documents: imported.documents,
    warnings: [...imported.warnings, ...remarks.map(({ spec, message }) => ({ spec, message }))],
  };
}

async function planSpecs(specs: Specs, aws: AwsClient): Promise<Plan> {
  const options = { kinds, aws, allowedRisks: [], dryRun: true, propagationTimeoutMs: 0 };
  return (await reconcile(specs, options)).plan;
}

/** Loads the valid ones of some documents, and returns the problems of the others. */
async function loadDocuments(
  documents: readonly Document[],
): Promise<{ specs?: Specs; problems: [Document, Problem][] }> {
  const problems: [Document, Problem][] = [];
  let valid = documents;
  for (;;) {
    const text = toYaml({ documents: [...valid], warnings: [] });
    const loaded = await loadSpecs(['-'], async () => text);
    if (loaded.specs) return { specs: loaded.specs, problems };
    const located = loaded.problems.map((problem): [Document | undefined, Problem] => [
      documentAt(valid, problem.position),
      problem,
    ]);
    problems.push(...located.filter((entry): entry is [Document, Problem] => entry[0] !== undefined));
    const remaining = valid.filter((document) => located.every(([invalid]) => invalid !== document));
    if (remaining.length === valid.length) return { problems };
    valid = remaining;
  }
}

/** Returns the document at a line of the documents as `toYaml` joins them. */
function documentAt(documents: readonly Document[], { line }: Position): Document | undefined {
  let nextLine = 1;
  return documents.find((document) => {
    // The separator takes a line.
    nextLine += String(document).split('\n').length;
    return line < nextLine;
  });
}

interface Remark {
  spec: string;
  /** Path in the spec: `spec.source.key`. */
  path: string;
  message: string;
}

/** Returns what a run would change, and what it could not change, at the paths of the specs that declare it. */
function remarksOf({ waves, blocked, withheld }: Plan, pairs: readonly BucketReplication[]): Remark[] {
  const remarkAt = (names: readonly string[], from: Position | undefined, message: string): Remark => {
    const pair = pairs.find(({ name }) => names.includes(name));
    const path = Object.entries(pair?.positions ?? {}).find(
      ([, { line, column }]) => line === from?.line && column === from.column,
    )?.[0];
    return { spec: pair?.name ?? '', path: path ?? '', message };
  };
  return [
    ...waves
      .flat()
      .flatMap((step) => [
        remarkAt(step.pairs, step.from, stepText(step)),
        ...step.risks.map(({ id, message }) => remarkAt(step.pairs, step.from, `risk ${id}: ${message}`)),
      ]),
    ...blocked.map(({ id, why, pairs: names, from }) => remarkAt(names, from, `blocked: ${id}: ${why}`)),
    ...withheld.map(({ id, action, pairs: names }) =>
      remarkAt(names, undefined, `${MARKS[action]} ${id}, after what blocks the spec is resolved`),
    ),
  ];
}

const MARKS = { create: '+', update: '~', delete: '-' } as const;

/** Returns a change on one line, without the contents of statements. */
function stepText(step: Step): string {
  const { id, action, why } = step;
  if (action === 'create') {
    const reasons = why.filter((reason) => reason !== MISSING_REASON);
    return [`${MARKS.create} ${id}`, ...(reasons.length > 0 ? [reasons.join(', ')] : [])].join(': ');
  }
  const fields = fieldChangesOf(step).map((change) => {
    const [head = '', ...more] = changeText(change, { ...PLAIN_STYLE, width: Number.POSITIVE_INFINITY });
    const text =
      change.type === 'elements' ? [head, ...more].map((line) => line.trim()).join(' ') : head.trim();
    return text.replace(/^~ |:$/g, '');
  });
  return `${MARKS[action]} ${id}: ${fields.join(', ')}`;
}

function verdictOf(count: number, isInvalid: boolean, unmanaged: BucketReplication | undefined): string {
  const scope =
    unmanaged === undefined ? '' : `; account ${unmanaged.destination.accountId ?? ''} was not read`;
  if (isInvalid) return 'not planned: complete the lines with !';
  return count === 0 ? `plan: no changes${scope}` : `plan: changes, which the lines with ! name${scope}`;
}

const nameOf = (document: Document): string => String(document.getIn(['metadata', 'name']));

/** Adds the result of the plan after the title of a document. */
function addVerdict(document: Document, verdict: string): void {
  const [title = '', ...warnings] = (document.commentBefore ?? '').split('\n');
  document.commentBefore = [`${title}; ${verdict}`, ...warnings].join('\n');
}

/** Adds a comment before the field at a path, or before its nearest parent. */
function addComment(document: Document, path: string, comment: string): void {
  let node: unknown = document.contents;
  let anchor: Node | undefined;
  for (const key of path.match(/[^.[\]]+/g) ?? []) {
    if (isMap(node)) {
      const pair = node.items.find((item) => String(item.key) === key);
      if (!isNode(pair?.key)) break;
      anchor = pair.key;
      node = pair.value;
    } else if (isSeq(node)) {
      const item: unknown = node.items[Number(key)];
      if (!isNode(item)) break;
      anchor = item;
      node = item;
    } else break;
  }
  const target = anchor ?? document;
  target.commentBefore = [target.commentBefore, comment].filter(Boolean).join('\n');
}
