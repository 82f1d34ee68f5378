import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { releaseChangelog, setVersion } from '../scripts/release.mjs';

const CHANGELOG = `# Changelog

## [Unreleased]

### Added

- plan: a change

## [0.1.0] - 2026-01-01

- first
`;

test('releaseChangelog: moves the unreleased changes to the version', () => {
  expect(releaseChangelog(CHANGELOG, '0.2.0', '2026-12-01')).toBe(
    CHANGELOG.replace('## [Unreleased]\n', '## [Unreleased]\n\n## [0.2.0] - 2026-12-01\n'),
  );
});

test.each([
  ['no section', '# Changelog\n', '0.2.0', 'CHANGELOG.md has no section [Unreleased]: add it'],
  ['a released version', CHANGELOG, '0.1.0', 'CHANGELOG.md already has a section [0.1.0]'],
  [
    'no unreleased changes',
    CHANGELOG.replace('- plan: a change\n', ''),
    '0.2.0',
    'CHANGELOG.md has no unreleased changes: add an entry for each change since the last release',
  ],
])('releaseChangelog: refuses %s', (_, changelog, version, message) => {
  expect(() => releaseChangelog(changelog, version, '2026-12-01')).toThrow(message);
});

test('setVersion: refuses a file that contains the version in another number of places', () => {
  const entry = { file: 'a.yaml', pattern: /(?<=^tag: ).*$/gm, count: 1 };
  expect(setVersion('tag: 1\n', entry, '2')).toBe('tag: 2\n');
  expect(() => setVersion('tag: 1\ntag: 1\n', entry, '2')).toThrow('in 2 places instead of 1');
});

describe('npm version', () => {
  const root = path.resolve('.');
  const present = JSON.parse(readFileSync('package.json', 'utf8')).version as string;
  let clone: string;
  const run = (command: string, ...args: string[]): string =>
    execFileSync(command, args, { cwd: clone, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

  beforeAll(() => {
    clone = mkdtempSync(path.join(tmpdir(), 'replikey-release-'));
    for (const name of ['.npmrc', 'CHANGELOG.md', 'package.json', 'package-lock.json', 'deploy', 'scripts'])
      cpSync(path.join(root, name), path.join(clone, name), { recursive: true });
    run('git', 'init', '--quiet', '--initial-branch=main');
    run('git', 'config', 'user.name', 'test');
    run('git', 'config', 'user.email', 'test@example.com');
    // The checks, and generate, run in this repository: tests and sources are not copied.
    run('npm', 'pkg', 'set', 'scripts.check=true', 'scripts.generate=true');
    run('git', 'add', '--all');
    run('git', 'commit', '--quiet', '--message', 'before');
  });
  afterAll(() => rmSync(clone, { recursive: true }));

  test('commits and tags the new version in every file that contains the version', () => {
    const output = run('npm', 'version', '9.8.7');
    expect(output).toContain('git push origin main v9.8.7');
    expect(run('git', 'log', '-1', '--format=%s')).toBe('release: 9.8.7\n');
    expect(run('git', 'tag', '--points-at', 'HEAD')).toBe('v9.8.7\n');
    expect(run('git', 'status', '--short')).toBe('');
    expect(run('git', 'diff', '--stat', '--name-only', 'HEAD~').split('\n').filter(Boolean)).toEqual([
      'CHANGELOG.md',
      'deploy/helm/replikey/Chart.yaml',
      'deploy/helm/replikey/values.yaml',
      'deploy/kubernetes/base/deployment.yaml',
      'package-lock.json',
      'package.json',
    ]);
    expect(run('git', 'grep', '--files-with-matches', '--fixed-strings', '9.8.7', 'deploy')).toBe(
      'deploy/helm/replikey/Chart.yaml\ndeploy/helm/replikey/values.yaml\ndeploy/kubernetes/base/deployment.yaml\n',
    );
    expect(() =>
      run('git', 'grep', '--quiet', '--word-regexp', '--fixed-strings', present, 'deploy'),
    ).toThrow();
  });

  test('changes nothing when there are no unreleased changes', () => {
    expect(() => run('npm', 'version', '9.8.8')).toThrow('no unreleased changes');
    expect(run('git', 'log', '-1', '--format=%s')).toBe('release: 9.8.7\n');
    expect(run('git', 'tag')).toBe('v9.8.7\n');
    expect(run('git', 'status', '--short')).toBe('');
  });
});
