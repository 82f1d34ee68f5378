import { NormalizedSchema } from '@smithy/core/schema';

/** Documents that are put as a whole: what is not known of them must not be lost. */
const WHOLE = new Set(['GetBucketReplication', 'GetBucketEncryption']);

/** An answer with elements that the SDK does not know: it would drop them, and a put of the rest would take them away. */
export class UnknownElements extends Error {
  constructor(elements: string[]) {
    super(
      `the answer has elements that this version does not know (${elements.join(', ')}); a write of the whole document would drop them, so nothing is written: use a newer version`,
    );
    this.name = 'UnknownElements';
  }
}

/**
 * Refuse an answer that would be cut.
 *
 * @throws UnknownElements
 */
export function refuseUnknownElements(operation: string, output: unknown, body: Uint8Array): void {
  if (!WHOLE.has(operation)) return;
  const unknown = unknownElements(output, Buffer.from(body).toString());
  if (unknown.length > 0) throw new UnknownElements(unknown);
}

/** Names of elements in an answer that its schema does not have. */
function unknownElements(output: unknown, xml: string): string[] {
  const known = knownOf(typeof output === 'function' ? (output as () => unknown)() : output);
  const found = [...xml.matchAll(/<([A-Za-z][\w.-]*)/g)].map(([, name = '']) => name);
  // The outermost is the document's own, which the schema calls by the name of its member.
  return [...new Set(found.slice(1))].filter((name) => !known.has(name));
}

const knownBySchema = new Map<unknown, Set<string>>();

function knownOf(schema: unknown): Set<string> {
  const known = knownBySchema.get(schema) ?? elementsOf(NormalizedSchema.of(schema as never), new Set());
  knownBySchema.set(schema, known);
  return known;
}

function elementsOf(schema: NormalizedSchema, known: Set<string>): Set<string> {
  const { xmlName } = schema.getMergedTraits();
  if (xmlName !== undefined) known.add(xmlName);
  if (schema.isListSchema()) elementsOf(schema.getValueSchema(), known);
  if (!schema.isStructSchema()) return known;
  for (const [name, member] of schema.structIterator()) {
    // A schema that holds itself ends here: its names are known by then.
    const isNew = !known.has(name);
    known.add(name);
    if (isNew || member.isStructSchema() || member.isListSchema()) elementsOf(member, known);
  }
  return known;
}
