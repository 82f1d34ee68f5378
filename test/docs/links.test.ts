import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';

const filesBelow = async (folder: string): Promise<string[]> =>
  (await readdir(folder, { recursive: true })).map((file) => path.join(folder, file));
const pages = [...(await readdir('.')), ...(await filesBelow('docs'))].filter((file) => file.endsWith('.md'));

/** Returns the text of a page without code. */
const prose = async (page: string): Promise<string> =>
  (await readFile(page, 'utf8')).replace(/^```[\s\S]*?^```$/gm, '').replace(/`[^`\n]*`/g, 'code');

/** Returns the anchors of a page: its headings as GitHub writes them, and its ids. */
async function anchorsOf(page: string): Promise<string[]> {
  const text = await readFile(page, 'utf8');
  const headings = [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) => heading.toLowerCase());
  return [
    ...headings.map((heading) => heading.replace(/[^\p{L}\p{N}\s_-]/gu, '').replace(/\s/g, '-')),
    ...[...text.matchAll(/ id="([^"]+)"/g)].map(([, id = '']) => id),
  ];
}

test('documentation: the target of each relative link exists, with its anchor', async () => {
  const broken: string[] = [];
  let count = 0;
  for (const page of pages) {
    for (const [, target = ''] of (await prose(page)).matchAll(/\]\(([^)\s]+)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      count += 1;
      const [file = '', anchor] = target.split('#');
      const targetFile = file === '' ? page : path.join(path.dirname(page), file);
      const isValid = existsSync(targetFile) && (!anchor || (await anchorsOf(targetFile)).includes(anchor));
      if (!isValid) broken.push(`${page}: ${target}`);
    }
  }
  expect(pages).toContain('docs/explanation/security.md');
  expect(count).toBeGreaterThan(150);
  expect(broken).toEqual([]);
});

test('documentation: each file in backticks exists', async () => {
  const pathsInBackticks = /`((?:test|src|scripts|deploy|docs|schema|specs)\/[\w./-]+)`/g;
  const missing: string[] = [];
  for (const page of pages)
    for (const [, file = ''] of (await readFile(page, 'utf8')).matchAll(pathsInBackticks))
      if (!existsSync(file) && !/CODE|NAME/.test(file)) missing.push(`${page}: ${file}`);
  expect(missing).toEqual([]);
});
