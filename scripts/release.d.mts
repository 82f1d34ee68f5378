export interface VersionedFile {
  file: string;
  pattern: RegExp;
  count: number;
}
export const VERSIONED_FILES: readonly VersionedFile[];
export function releaseChangelog(changelog: string, version: string, date: string): string;
export function setVersion(text: string, file: VersionedFile, version: string): string;
