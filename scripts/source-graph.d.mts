export interface FileImports {
  local: string[];
  types: string[];
  dynamic: string[];
  packages: string[];
}
export interface FolderImports {
  code: string[];
  types: string[];
}
export function readSources(root: string): Map<string, string>;
export function importsOf(file: string, text: string): FileImports;
export function importsByFile(sources: ReadonlyMap<string, string>): Map<string, FileImports>;
export function allLocal(imports: FileImports): string[];
export function topFolderOf(file: string): string;
export function folderImports(imports: ReadonlyMap<string, FileImports>): Map<string, FolderImports>;
export function cyclesOf(nodes: Iterable<string>, targetsOf: (node: string) => readonly string[]): string[][];
