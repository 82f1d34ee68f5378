import { REMOVAL } from './lives.ts';
import { suffering } from './suffering.ts';

suffering(REMOVAL);
