import { CREATION } from './lives.ts';
import { suffering } from './suffering.ts';

suffering(CREATION);
