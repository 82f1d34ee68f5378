export interface StructureCheck {
  name: string;
  limit: number;
  actual: number;
  details?: string[];
}
export function structureChecks(sources: ReadonlyMap<string, string>): StructureCheck[];
export function repeatedReads(sources: ReadonlyMap<string, string>): string[];
