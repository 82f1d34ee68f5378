import { runMatrix } from './run-matrix.ts';
import { ADOPTION } from './scenarios.ts';

runMatrix(ADOPTION);
