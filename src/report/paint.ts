import picocolors from 'picocolors';

export const { createColors } = picocolors;

export type Paint = ReturnType<typeof picocolors.createColors>;

/** Colours for one stream: NO_COLOR wins, then FORCE_COLOR, then whether a person sees it. */
export function createPaint(stream: { isTTY?: boolean }, env: Record<string, string | undefined>): Paint {
  return picocolors.createColors(isColourEnabled(stream, env));
}

export function isColourEnabled(
  stream: { isTTY?: boolean },
  env: Record<string, string | undefined>,
): boolean {
  if (env.NO_COLOR) return false;
  if (env.FORCE_COLOR) return env.FORCE_COLOR !== '0' && env.FORCE_COLOR !== 'false';
  return (stream.isTTY ?? false) && env.TERM !== 'dumb';
}
