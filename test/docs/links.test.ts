import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';

const inside = async (folder: string): Promise<string[]> =>
  (await readdir(folder, { recursive: true })).map((file) => path.join(folder, file));
const pages = [...(await readdir('.')), ...(await inside('docs'))].filter((file) => file.endsWith('.md'));

/** Without what is shown as it stands. */
const prose = async (page: string): Promise<string> =>
  (await readFile(page, 'utf8')).replace(/^```[\s\S]*?^```$/gm, '').replace(/`[^`\n]*`/g, 'code');

/** Headings, as GitHub names them in addresses, and what has an id. */
async function anchorsOf(page: string): Promise<string[]> {
  const text = await readFile(page, 'utf8');
  const headings = [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) => heading.toLowerCase());
  return [
    ...headings.map((heading) => heading.replace(/[^\p{L}\p{N}\s_-]/gu, '').replace(/\s/g, '-')),
    ...[...text.matchAll(/ id="([^"]+)"/g)].map(([, id = '']) => id),
  ];
}

test('every link within the documentation leads to something', async () => {
  const broken: string[] = [];
  let count = 0;
  for (const page of pages) {
    for (const [, target = ''] of (await prose(page)).matchAll(/\]\(([^)\s]+)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      count += 1;
      const [file = '', anchor] = target.split('#');
      const there = file === '' ? page : path.join(path.dirname(page), file);
      const isThere = existsSync(there) && (!anchor || (await anchorsOf(there)).includes(anchor));
      if (!isThere) broken.push(`${page}: ${target}`);
    }
  }
  expect(pages).toContain('docs/explanation/security.md');
  expect(count).toBeGreaterThan(150);
  expect(broken).toEqual([]);
});

test('every file that the documentation names in backticks is there', async () => {
  const named = /`((?:test|src|scripts|deploy|docs|schema|specs)\/[\w./-]+)`/g;
  const missing: string[] = [];
  for (const page of pages)
    for (const [, file = ''] of (await readFile(page, 'utf8')).matchAll(named))
      if (!existsSync(file) && !file.includes('CODE')) missing.push(`${page}: ${file}`);
  expect(missing).toEqual([]);
});
