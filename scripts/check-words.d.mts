export interface WordRule {
  word: string;
  /** A regular expression for words that are separated by one space; `word` itself where it is absent. */
  pattern?: string;
  /** A regular expression for the text as it is. */
  code?: string;
  use: string;
}
export interface Words {
  never: WordRule[];
  avoid: WordRule[];
  excluded: { path: string; reason: string }[];
}
export interface WordUse {
  word: string;
  use: string;
  never: boolean;
  found: string;
  line: number;
  column: number;
}
export interface FileUse extends WordUse {
  file: string;
}
/** By file and word. */
export type AllowedWords = Record<string, Record<string, { count: number; reason: string }>>;
export function findWords(text: string, words: Words): WordUse[];
export function findInFiles(files: ReadonlyMap<string, string>, words: Words): FileUse[];
export function wordProblems(uses: readonly FileUse[], allowed: AllowedWords): string[];
export function updateAllowed(uses: readonly FileUse[], allowed: AllowedWords): AllowedWords;
export function countTable(uses: readonly FileUse[], words: Words): string;
