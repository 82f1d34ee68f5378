import { mkdtemp, writeFile } from 'node:fs/promises';
import { ACCOUNT, numbered, specOf } from './support/pairs.ts';
import { recordOne } from './support/recorded.ts';
import { startThin } from './support/thin.ts';

const n = Number(process.env.N ?? 1000);
const thin = await startThin();
const recorded = await recordOne((process.env.KEYS ?? 'shared') as 'shared');
const folder = `/tmp/pairs-${process.env.KEYS ?? 'shared'}-${n}`;

import { mkdirSync } from 'node:fs';

mkdirSync(folder, { recursive: true });
for (let i = 0; i < n; i++) await writeFile(`${folder}/${numbered(i)}.yaml`, specOf(i, recorded.sharedKeys));
await thin.serve(recorded, { delayMs: Number(process.env.DELAY ?? 50), roles: n });
console.log(thin.endpoint, folder);
await new Promise(() => {
  setInterval(() => {}, 1e6);
});
