/** Objects by what became of them, in all runs of a change under one disturbance. */
export interface Tally {
  runs: number;
  written: number;
  failed: number;
  passedOver: number;
  pending: number;
}

export type DisturbanceName = 'undisturbed' | 'denied' | 'killed';

/** The results of a change, in all topologies that allow it. */
export type ChangeResult = { change: string; topologies: string[] } & Record<DisturbanceName, Tally>;

/** Joins the results of several processes: one entry for each change, in the order of their first occurrence. */
export function mergeResults(results: readonly ChangeResult[]): ChangeResult[];

/** Returns the results as a Markdown table. */
export function transitionTable(results: readonly ChangeResult[]): string;

/** Replaces the generated table of a page. */
export function replaceTable(page: string, table: string): string;

/** Returns the generated table of a page, as rows of cells. */
export function tableRows(page: string): string[][];
