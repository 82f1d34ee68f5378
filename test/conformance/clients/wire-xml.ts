import { DOMParser, type Element, ParseError } from '@xmldom/xmldom';
import type { Scalar, Shape } from './wire-shapes.ts';

/** Returns an element with the encoded value. Members with the value undefined are omitted. */
export function encodeXml(name: string, shape: Shape, value: unknown, namespace?: string): string {
  const attributes = namespace === undefined ? '' : ` xmlns="${namespace}"`;
  return `<${name}${attributes}>${encodeContent(shape, value)}</${name}>`;
}

function encodeContent(shape: Shape, value: unknown): string {
  if (typeof shape === 'string') return escapeXml(String(value));
  if (shape.type === 'list')
    return (value as unknown[]).map((item) => encodeXml(shape.element, shape.item, item)).join('');
  return Object.entries(value as object)
    .filter(([, item]) => item !== undefined)
    .map(([name, item]) => {
      const member = shape.members[name];
      if (member === undefined) throw new Error(`the table of shapes lacks the member ${name}`);
      return typeof member === 'object' && member.type === 'list' && member.flattened
        ? encodeContent(member, item)
        : encodeXml(name, member, item);
    })
    .join('');
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

/** Returns the root element of a document. Adds a fault if it is not well-formed. */
export function parseXml(text: string, faults: string[]): Element | undefined {
  try {
    const parser = new DOMParser({
      onError: (_, message) => {
        throw new ParseError(message);
      },
    });
    return parser.parseFromString(text, 'text/xml').documentElement ?? undefined;
  } catch (error) {
    faults.push(`the body is no well-formed XML: ${(error as Error).message}`);
    return undefined;
  }
}

/** Returns the value of an element. Adds a fault for each element that the shape lacks, and for each malformed text. */
export function decodeXml(shape: Shape, element: Element, faults: string[]): unknown {
  if (typeof shape === 'string') return decodeScalar(shape, element, faults);
  const children = childElements(element, faults);
  if (shape.type === 'list') {
    for (const { localName } of children.filter((child) => child.localName !== shape.element))
      faults.push(`unknown element ${localName} in the list ${element.localName}`);
    return children
      .filter(({ localName }) => localName === shape.element)
      .map((child) => decodeXml(shape.item, child, faults));
  }
  const values: Record<string, unknown> = {};
  for (const child of children) {
    const [name, member] = memberOf(shape.members, child.localName ?? '') ?? [];
    if (name === undefined || member === undefined)
      faults.push(`unknown element ${child.localName} in ${element.localName}`);
    else if (typeof member === 'object' && member.type === 'list' && member.flattened) {
      values[name] = [...((values[name] as unknown[]) ?? []), decodeXml(member.item, child, faults)];
    } else if (name in values) faults.push(`a second element ${child.localName} in ${element.localName}`);
    else values[name] = decodeXml(member, child, faults);
  }
  return values;
}

/** Returns the member of an element. The element of a flattened list has the name of an item. */
function memberOf(members: Record<string, Shape>, element: string): [string, Shape] | undefined {
  return Object.entries(members).find(([name, shape]) =>
    typeof shape === 'object' && shape.type === 'list' && shape.flattened
      ? shape.element === element
      : name === element,
  );
}

/** Returns the elements in an element that contains no text of its own. */
export function childElements(element: Element, faults: string[]): Element[] {
  const children = [...element.childNodes];
  const text = children
    .filter(({ nodeType }) => nodeType === TEXT_NODE)
    .map(({ nodeValue }) => nodeValue ?? '');
  if (text.join('').trim() !== '') faults.push(`a text in ${element.localName}, which has elements`);
  return children.filter(({ nodeType }) => nodeType === ELEMENT_NODE) as Element[];
}

const ELEMENT_NODE = 1;
const TEXT_NODE = 3;

const FORMATS = {
  boolean: /^(?:true|false)$/,
  number: /^-?\d+(?:\.\d+)?$/,
  time: /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{3})?Z$/,
};

function decodeScalar(type: Scalar, element: Element, faults: string[]): unknown {
  const nested = [...element.childNodes].filter(({ nodeType }) => nodeType === ELEMENT_NODE);
  if (nested.length > 0) faults.push(`an element in ${element.localName}, which is a text`);
  const text = element.textContent ?? '';
  if (type !== 'text' && type !== 'blob' && !FORMATS[type].test(text))
    faults.push(`${element.localName} is no ${type}: ${text}`);
  return convertText(type, text);
}

export function convertText(type: Scalar, text: string): unknown {
  if (type === 'boolean') return text === 'true';
  if (type === 'number') return Number(text);
  if (type === 'time') return new Date(text);
  if (type === 'blob') return Buffer.from(text, 'base64');
  return text;
}
