import picocolors from 'picocolors';

export const { createColors } = picocolors;

export type Paint = ReturnType<typeof picocolors.createColors>;

/** Colours for one stream: NO_COLOR wins, then FORCE_COLOR, then whether a person sees it. */
export function paintFor(stream: { isTTY?: boolean }, env: Record<string, string | undefined>): Paint {
  return picocolors.createColors(wantsColour(stream, env));
}

export function wantsColour(stream: { isTTY?: boolean }, env: Record<string, string | undefined>): boolean {
  if (env.NO_COLOR) return false;
  if (env.FORCE_COLOR) return env.FORCE_COLOR !== '0' && env.FORCE_COLOR !== 'false';
  return (stream.isTTY ?? false) && env.TERM !== 'dumb';
}
