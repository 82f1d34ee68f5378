import { MANAGED_BY, SPEC } from '../core/names.ts';

/** The tags that mark what we created, and for which spec. */
export function ownTags(pairs: readonly string[]): { Key: string; Value: string }[] {
  return [
    { Key: MANAGED_BY, Value: 'replikey' },
    // 256 characters is what every service allows a value; the first names tell enough.
    { Key: SPEC, Value: pairs.join(' ').slice(0, 256) },
  ];
}

/** Tags as a map, as S3 and IAM list them. */
export const tagMap = (
  tags: readonly { Key?: string | undefined; Value?: string | undefined }[] = [],
): Record<string, string> => Object.fromEntries(tags.map(({ Key = '', Value = '' }) => [Key, Value]));
