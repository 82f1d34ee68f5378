export interface FolderRules {
  /** Index of the layer, from the top. */
  layer: number;
  holds: string;
  io: 'none' | 'AWS client' | 'any';
  ioFiles: string[];
}
export const LAYERS: { title: string; folders: Record<string, Pick<FolderRules, 'holds' | 'io'>> }[];
export const FOLDERS: ReadonlyMap<string, FolderRules>;
export function renderArchitecture(document: string, sources: ReadonlyMap<string, string>): string;
