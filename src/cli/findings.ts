import { existsSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import manifest from '../../package.json' with { type: 'json' };
import type { RuleVerdict } from '../proof/types.ts';
import { jsonText } from '../report/json-text.ts';
import { sarif } from '../report/sarif.ts';
import type { BucketReplication } from '../spec/types.ts';

/** Findings as SARIF, their paths relative to the root of the checkout, in whatever folder of it this runs. */
export function findings(proofs: readonly RuleVerdict[], pairs: readonly BucketReplication[]): string {
  const root = checkoutAround(process.cwd()) ?? process.cwd();
  const around = { version: manifest.version, pairs, uriOf: (file: string) => uriOf(file, root) };
  return jsonText(sarif(proofs, around), 2);
}

/** The folder, or the nearest one above it, that is the root of a checkout. */
function checkoutAround(folder: string): string | undefined {
  if (existsSync(path.join(folder, '.git'))) return folder;
  const above = path.dirname(folder);
  return above === folder ? undefined : checkoutAround(above);
}

function uriOf(file: string, root: string): string {
  const whole = path.resolve(file);
  const relative = path.relative(root, whole);
  const isInside = !path.isAbsolute(relative) && relative.split(path.sep)[0] !== '..';
  return isInside ? relative.split(path.sep).map(encodeURIComponent).join('/') : pathToFileURL(whole).href;
}
