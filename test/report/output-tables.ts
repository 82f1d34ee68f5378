/** A part of the JSON Schema of what is printed, as far as tables need it. */
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

/** `<a id="Step"></a>`, and what was written under it. */
const PLACE = /^<a id="(\w+)"><\/a>\n(?:\n?.*\n\n(?:\|.*\n)+)?/gm;

/**
 * docs/reference/output.md with a table of fields at each of its anchors. What has an anchor of its own is linked to; what has
 * none is told where it is used: `summary.create`.
 */
export function withTables(markdown: string, { definitions = {} }: Schema): string {
  const anchors = new Set([...markdown.matchAll(PLACE)].map(([, name = '']) => name));

  const meant = (schema: Schema): Schema | undefined => definitions[nameOf(schema)];

  function rows(schema: Schema, path = ''): string[] {
    const variants = schema.anyOf ?? [schema];
    const names = new Set(variants.flatMap(({ properties = {} }) => Object.keys(properties)));
    return [...names].flatMap((name) => {
      const forms = variants.flatMap(({ properties = {} }) => properties[name] ?? []);
      const always = variants.every(({ required = [] }) => required.includes(name));
      const [field = {}] = forms;
      const types = [...new Set(forms.map((form) => words(form)))].join(' or ');
      const told = [...new Set(forms.map(({ description = '' }) => description))].join(' ');
      const at = `${path}${name}${always ? '' : '?'}`;
      return [`| \`${at}\` | ${types} | ${told} |`, ...inner(field, at)];
    });
  }

  /** The fields of what has no table of its own. */
  function inner(field: Schema, at: string): string[] {
    if (field.items) return inner(field.items, `${at}[]`);
    const target = meant(field);
    return target && !anchors.has(nameOf(field)) ? rows(target, `${at}.`) : [];
  }

  function words(schema: Schema): string {
    const name = nameOf(schema);
    if (anchors.has(name)) return `[${name}](#${name})`;
    if (schema.const !== undefined) return `\`${schema.const}\``;
    if (schema.enum) return schema.enum.map((one) => `\`${one}\``).join(', ');
    if (schema.items) return `list of ${words(schema.items)}`.replace(/of (list|mapping)/, 'of $1s');
    if (schema.format === 'date-time') return 'time (ISO 8601)';
    if (name !== '') return words(meant(schema) ?? {});
    if (schema.additionalProperties || schema.properties || schema.anyOf) return 'mapping';
    const types = [schema.type ?? 'any value'].flat();
    return types.map((type) => ({ string: 'text', integer: 'number' })[type] ?? type).join(' or ');
  }

  return markdown.replace(PLACE, (_, name: string) => {
    const schema = definitions[name];
    if (!schema)
      throw new Error(`docs/reference/output.md has an anchor ${name}, which no part of the schema has`);
    const table = ['| field | what stands there | meaning |', '| --- | --- | --- |', ...rows(schema)];
    return `<a id="${name}"></a>\n\n**${name}**: ${schema.description}\n\n${table.join('\n')}\n`;
  });
}

/** A reference stands bare, or beside a description in `allOf`. */
export function nameOf({ $ref, allOf }: Schema): string {
  return ($ref ?? allOf?.[0]?.$ref ?? '').replace('#/definitions/', '');
}
