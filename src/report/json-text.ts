/**
 * A value as JSON that steers no terminal either: JSON itself lets through what C1, marks of direction and what has no
 * width do there, and `##[` is a command to pipelines of GitHub. The same JSON, written otherwise.
 */
export const jsonText = (value: unknown, indent?: number): string =>
  JSON.stringify(value, null, indent).replace(UNPRINTABLE, (found) =>
    [...Array(found.length).keys()]
      .map((at) => `\\u${found.charCodeAt(at).toString(16).padStart(4, '0')}`)
      .join(''),
  );

const UNPRINTABLE = /[\u007f-\u009f\p{Cf}\p{Zl}\p{Zp}]|#(?=#\[)/gu;
