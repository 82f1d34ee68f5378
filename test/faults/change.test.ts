import { runMatrix } from './run-matrix.ts';
import { CHANGE } from './scenarios.ts';

runMatrix(CHANGE);
