import { rawHttpClient } from './clients/raw-http.ts';
import { compareFacts } from './compare-facts.ts';

compareFacts('raw HTTP', rawHttpClient);
