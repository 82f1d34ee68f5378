import { runMatrix } from './run-matrix.ts';
import { REMOVAL, REMOVAL_WITHOUT_DRAIN } from './scenarios.ts';

runMatrix(REMOVAL);
runMatrix(REMOVAL_WITHOUT_DRAIN);
