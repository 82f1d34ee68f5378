import { createColors, type Paint } from './paint.ts';

/** How a plan is shown. */
export interface PlanStyle {
  paint: Paint;
  /** Columns after which lines are broken; names that are longer stand on lines of their own. */
  width: number;
  /** Whether to name the API calls that make each change. */
  explain: boolean;
}

/** Without colours, for files and comments. */
export const PLAIN_STYLE: PlanStyle = { paint: createColors(false), width: 80, explain: false };
