import { NormalizedSchema } from '@smithy/core/schema';

/** Documents that are put as a whole: what is not known of them must not be lost. */
const WHOLE_DOCUMENT_READS = new Set(['GetBucketReplication', 'GetBucketEncryption']);

/** An answer with elements that the SDK does not know: it would drop them, and a put of the rest would take them away. */
export class UnknownElementsError extends Error {
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
export function rejectUnknownElements(operation: string, outputSchema: unknown, body: Uint8Array): void {
  if (!WHOLE_DOCUMENT_READS.has(operation)) return;
  const elements = unknownElementsIn(outputSchema, Buffer.from(body).toString());
  if (elements.length > 0) throw new UnknownElementsError(elements);
}

/** Names of elements in an answer that its schema does not have. */
function unknownElementsIn(outputSchema: unknown, xml: string): string[] {
  const schemaNames = elementNamesOf(
    typeof outputSchema === 'function' ? (outputSchema as () => unknown)() : outputSchema,
  );
  const elementNames = [...xml.matchAll(/<([A-Za-z][\w.-]*)/g)].map(([, name = '']) => name);
  // The outermost is the document's own, which the schema calls by the name of its member.
  return [...new Set(elementNames.slice(1))].filter((name) => !schemaNames.has(name));
}

const elementNamesBySchema = new Map<unknown, Set<string>>();

function elementNamesOf(schema: unknown): Set<string> {
  const elementNames =
    elementNamesBySchema.get(schema) ?? collectElementNames(NormalizedSchema.of(schema as never), new Set());
  elementNamesBySchema.set(schema, elementNames);
  return elementNames;
}

function collectElementNames(schema: NormalizedSchema, names: Set<string>): Set<string> {
  const { xmlName } = schema.getMergedTraits();
  if (xmlName !== undefined) names.add(xmlName);
  if (schema.isListSchema()) collectElementNames(schema.getValueSchema(), names);
  if (!schema.isStructSchema()) return names;
  for (const [name, member] of schema.structIterator()) {
    // A schema that holds itself ends here: its names are known by then.
    const isNew = !names.has(name);
    names.add(name);
    if (isNew || member.isStructSchema() || member.isListSchema()) collectElementNames(member, names);
  }
  return names;
}
