/** The tags that mark what we created, and for which spec. */
export function ownTags(pairs: readonly string[]): { Key: string; Value: string }[] {
  return [
    { Key: 'replikey:managed-by', Value: 'replikey' },
    // 256 characters is what every service allows a value; the first names tell enough.
    { Key: 'replikey:spec', Value: pairs.join(' ').slice(0, 256) },
  ];
}
