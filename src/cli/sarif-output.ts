import { existsSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import manifest from '../../package.json' with { type: 'json' };
import type { RuleVerdict } from '../proof/types.ts';
import { toSarif } from '../report/sarif.ts';
import type { BucketReplication } from '../spec/types.ts';
import { safeJson } from '../util/escape.ts';

/** Findings as SARIF, their paths relative to the root of the checkout, in whatever folder of it this runs. */
export function sarifText(proofs: readonly RuleVerdict[], pairs: readonly BucketReplication[]): string {
  const root = findCheckoutRoot(process.cwd()) ?? process.cwd();
  const context = { version: manifest.version, pairs, toUri: (file: string) => toSpecUri(file, root) };
  return safeJson(toSarif(proofs, context), 2);
}

/** The folder, or the nearest one above it, that is the root of a checkout. */
function findCheckoutRoot(folder: string): string | undefined {
  if (existsSync(path.join(folder, '.git'))) return folder;
  const parent = path.dirname(folder);
  return parent === folder ? undefined : findCheckoutRoot(parent);
}

function toSpecUri(file: string, root: string): string {
  const absolute = path.resolve(file);
  const relative = path.relative(root, absolute);
  const isInside = !path.isAbsolute(relative) && relative.split(path.sep)[0] !== '..';
  return isInside ? relative.split(path.sep).map(encodeURIComponent).join('/') : pathToFileURL(absolute).href;
}
