import { runMatrix } from './run-matrix.ts';
import { CREATION } from './scenarios.ts';

runMatrix(CREATION);
