import { appendFile, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openSurveyJournal, type SurveyJournal } from '../../src/fleet/journal.ts';
import type { BucketResult } from '../../src/fleet/survey.ts';

const STARTED_AT = '2026-11-30T10:00:00.000Z';
const NOW_MS = Date.parse('2026-11-30T12:00:00.000Z');
const plain = (name: string): BucketResult => ({
  status: 'without replication',
  account: '111122223333',
  name,
});

let folder: string;
let file: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'replikey-journal-'));
  file = path.join(folder, 'fleet.json.partial');
});
const opened: SurveyJournal[] = [];
afterEach(async () => {
  await Promise.all(opened.splice(0).map((journal) => journal.close()));
  await rm(folder, { recursive: true });
});

async function openAt(nowMs = NOW_MS, scope = 'all'): Promise<SurveyJournal> {
  const journal = await openSurveyJournal(file, { scope, startedAt: new Date(nowMs).toISOString(), nowMs });
  opened.push(journal);
  return journal;
}

const doneNames = (journal: Awaited<ReturnType<typeof openAt>>): string[] =>
  [...journal.done.values()].flatMap((byName) => [...byName.keys()]);

async function writeRun(...names: string[]): Promise<void> {
  const journal = await openAt(Date.parse(STARTED_AT));
  for (const name of names) journal.add(plain(name));
  await journal.close();
}

test('journal: a run continues the results and the start of an interrupted one', async () => {
  await writeRun('a', 'b');
  const journal = await openAt();
  expect(journal.startedAt).toBe(STARTED_AT);
  expect(doneNames(journal)).toEqual(['a', 'b']);
  journal.add(plain('c'));
  await journal.close();
  expect(doneNames(await openAt())).toEqual(['a', 'b', 'c']);
});

test('journal: a bucket with something unknown is read again', async () => {
  const finding = {
    category: 'unknown',
    severity: 'unknown',
    code: 'RK1901',
    title: '',
    message: '',
  } as const;
  const report = { name: 'b', account: '111122223333', verdict: 'unknown', rules: [] } as const;
  const journal = await openAt();
  journal.add({
    status: 'unknown',
    account: '111122223333',
    name: 'b',
    report: { ...report, rules: [], findings: [finding] },
  });
  journal.add(plain('c'));
  await journal.close();
  expect(doneNames(await openAt())).toEqual(['c']);
});

test('journal: half a line after a crash is ignored, and results after it are kept', async () => {
  await writeRun('a');
  await appendFile(file, '{"status":"without repl');
  const journal = await openAt();
  expect(doneNames(journal)).toEqual(['a']);
  journal.add(plain('b'));
  await journal.close();
  expect(doneNames(await openAt())).toEqual(['a', 'b']);
});

test('journal: results of another scope, of another version and of an old run are discarded with the reason', async () => {
  await writeRun('a');
  const other = await openAt(NOW_MS, 'eu-west-1');
  expect(other).toMatchObject({
    discarded: expect.stringContaining('other accounts, Regions'),
    done: new Map(),
  });
  await other.close();
  await writeFile(file, '{"format":2}\n');
  expect((await openAt()).discarded).toContain('not a journal of this version');
  await rm(file);
  await writeRun('a');
  const late = await openAt(NOW_MS + 24 * 3_600_000);
  expect(late.discarded).toContain('more than 24 hours ago');
  expect(doneNames(late)).toEqual([]);
});

test('journal: the file of a running process is refused, that of an ended one is continued', async () => {
  const header = (pid: number) =>
    JSON.stringify({ format: 1, scope: 'all', startedAt: STARTED_AT, pid, host: hostname() });
  await writeFile(file, `${header(process.ppid)}\n${JSON.stringify(plain('a'))}\n`);
  await expect(openAt()).rejects.toThrow(`the running process ${process.ppid} writes`);
  // Larger than every process id of Linux.
  await writeFile(file, `${header(2 ** 22 + 1)}\n${JSON.stringify(plain('a'))}\n`);
  expect(doneNames(await openAt())).toEqual(['a']);
});

test('journal: a run whose file another run replaced continues, and adds nothing to that file', async () => {
  const first = await openAt();
  const second = await openAt(NOW_MS, 'eu-west-1');
  first.add(plain('a'));
  second.add(plain('b'));
  await first.close();
  await second.close();
  expect(doneNames(await openAt(NOW_MS, 'eu-west-1'))).toEqual(['b']);
});

test('journal: a run whose file was deleted continues, and does not create it again', async () => {
  const journal = await openAt();
  await rm(file);
  journal.add(plain('a'));
  await journal.close();
  await expect(readFile(file)).rejects.toThrow('ENOENT');
});

test('journal: a complete run removes the file; only its owner can read it before', async () => {
  const journal = await openAt();
  const { mode } = await stat(file);
  expect(mode & 0o777).toBe(0o600);
  await journal.remove();
  await expect(readFile(file)).rejects.toThrow('ENOENT');
});

test('journal: a folder that does not exist is reported with the file', async () => {
  file = path.join(folder, 'none', 'fleet.json.partial');
  await expect(openAt()).rejects.toThrow(`cannot write ${file}: no such file or directory`);
});
