import { runMatrix } from './run-matrix.ts';
import { REMOVAL } from './scenarios.ts';

runMatrix(REMOVAL);
