/**
 * A value as JSON that steers no terminal either: JSON itself lets through what C1, marks of direction and what has no
 * width do there, and `##[` is a command to pipelines of GitHub. The same JSON, written otherwise.
 */
export const safeJson = (value: unknown, indent?: number): string =>
  JSON.stringify(value, null, indent).replace(UNSAFE_CHARACTERS, (match) =>
    [...Array(match.length).keys()]
      .map((index) => `\\u${match.charCodeAt(index).toString(16).padStart(4, '0')}`)
      .join(''),
  );

const UNSAFE_CHARACTERS = /[\u007f-\u009f\p{Cf}\p{Zl}\p{Zp}]|#(?=#\[)/gu;
