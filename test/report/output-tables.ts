/** The part of a JSON Schema that the tables need. */
export interface Schema {
  type?: string | string[];
  description?: string;
  enum?: string[];
  const?: unknown;
  format?: string;
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: Schema | boolean;
  items?: Schema;
  anyOf?: Schema[];
  allOf?: Schema[];
  $ref?: string;
  definitions?: Record<string, Schema>;
}

/** Matches an anchor, `<a id="Step"></a>`, with the generated table below it. */
const ANCHOR = /^<a id="(\w+)"><\/a>\n(?:\n?.*\n\n(?:\|.*\n)+)?/gm;

/**
 * Returns docs/reference/output.md with a table of fields at each anchor. Links to a definition with an anchor; shows the fields of
 * any other definition inline: `summary.create`.
 */
export function withTables(markdown: string, { definitions = {} }: Schema): string {
  const anchors = new Set([...markdown.matchAll(ANCHOR)].map(([, name = '']) => name));

  const definitionOf = (schema: Schema): Schema | undefined => definitions[nameOf(schema)];

  function rows(schema: Schema, path = ''): string[] {
    const variants = schema.anyOf ?? [schema];
    const names = new Set(variants.flatMap(({ properties = {} }) => Object.keys(properties)));
    return [...names].flatMap((name) => {
      const forms = variants.flatMap(({ properties = {} }) => properties[name] ?? []);
      const always = variants.every(({ required = [] }) => required.includes(name));
      const [field = {}] = forms;
      const types = [...new Set(forms.map((form) => typeText(form)))].join(' or ');
      const description = [...new Set(forms.map((form) => form.description ?? ''))].join(' ');
      const at = `${path}${name}${always ? '' : '?'}`;
      return [`| \`${at}\` | ${types} | ${description} |`, ...innerRows(field, at)];
    });
  }

  /** Returns the fields of a definition without an anchor. */
  function innerRows(field: Schema, at: string): string[] {
    if (field.items) return innerRows(field.items, `${at}[]`);
    const target = definitionOf(field);
    return target && !anchors.has(nameOf(field)) ? rows(target, `${at}.`) : [];
  }

  function typeText(schema: Schema): string {
    const name = nameOf(schema);
    if (anchors.has(name)) return `[${name}](#${name})`;
    if (schema.const !== undefined) return `\`${schema.const}\``;
    if (schema.enum) return schema.enum.map((value) => `\`${value}\``).join(', ');
    if (schema.items) return `list of ${typeText(schema.items)}`.replace(/of (list|mapping)/, 'of $1s');
    if (schema.format === 'date-time') return 'time (ISO 8601)';
    if (name !== '') return typeText(definitionOf(schema) ?? {});
    if (schema.additionalProperties || schema.properties || schema.anyOf) return 'mapping';
    const types = [schema.type ?? 'any value'].flat();
    return types.map((type) => ({ string: 'text', integer: 'number' })[type] ?? type).join(' or ');
  }

  return markdown.replace(ANCHOR, (_, name: string) => {
    const schema = definitions[name];
    if (!schema)
      throw new Error(`docs/reference/output.md has the anchor ${name}, which the schema does not define`);
    const table = ['| field | type | meaning |', '| --- | --- | --- |', ...rows(schema)];
    return `<a id="${name}"></a>\n\n**${name}**: ${schema.description}\n\n${table.join('\n')}\n`;
  });
}

/** Returns the name of a referenced definition. The reference is plain, or in `allOf` beside a description. */
export function nameOf({ $ref, allOf }: Schema): string {
  return ($ref ?? allOf?.[0]?.$ref ?? '').replace('#/definitions/', '');
}
