import { CHANGE } from './lives.ts';
import { suffering } from './suffering.ts';

suffering(CHANGE);
