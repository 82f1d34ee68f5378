import { javascriptClient } from './clients/javascript-sdk.ts';
import { compareFacts } from './compare-facts.ts';

compareFacts('JavaScript SDK', javascriptClient);
