import { MANAGED_BY_TAG, SPEC_TAG } from '../core/ids.ts';

/** The tags that mark what we created, and for which spec. */
export function ownershipTags(specNames: readonly string[]): { Key: string; Value: string }[] {
  return [
    { Key: MANAGED_BY_TAG, Value: 'replikey' },
    // 256 characters is what every service allows a value; the first names tell enough.
    { Key: SPEC_TAG, Value: specNames.join(' ').slice(0, 256) },
  ];
}

/** Tags as a map, as S3 and IAM list them. */
export const toTagMap = (
  tags: readonly { Key?: string | undefined; Value?: string | undefined }[] = [],
): Record<string, string> => Object.fromEntries(tags.map(({ Key = '', Value = '' }) => [Key, Value]));
