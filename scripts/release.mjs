#!/usr/bin/env node
/**
 * The part of a release that npm does not do. `npm version X.Y.Z` runs it after it has set the version in package.json:
 * moves the unreleased changes of CHANGELOG.md to the new version, and sets the version in the manifests of deploy/.
 *
 * `--check` changes nothing and fails where a release would fail. `--next-steps` changes nothing and prints what to do after the
 * commit and the tag.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** Places that contain the version, other than the files that npm and `npm run generate` write. */
export const VERSIONED_FILES = [
  { file: 'deploy/helm/replikey/Chart.yaml', pattern: /(?<=^(?:version|appVersion): ).*$/gm, count: 2 },
  { file: 'deploy/helm/replikey/values.yaml', pattern: /(?<=^ {2}tag: ).*$/gm, count: 1 },
  { file: 'deploy/kubernetes/base/deployment.yaml', pattern: /(?<=\bimage: replikey:)\S+$/gm, count: 1 },
];

const UNRELEASED = '## [Unreleased]\n';

/**
 * The changelog with the unreleased changes under the version and date, below an empty section for the next ones.
 *
 * @throws Error when there are no unreleased changes, or the version already has a section.
 */
export function releaseChangelog(changelog, version, date) {
  const start = changelog.indexOf(UNRELEASED);
  if (start < 0) throw new Error('CHANGELOG.md has no section [Unreleased]: add it');
  if (changelog.includes(`\n## [${version}]`))
    throw new Error(`CHANGELOG.md already has a section [${version}]`);
  const [before, after] = [changelog.slice(0, start), changelog.slice(start + UNRELEASED.length)];
  const [changes] = after.split(/^## /m);
  if (!/^- /m.test(changes))
    throw new Error(
      'CHANGELOG.md has no unreleased changes: add an entry for each change since the last release',
    );
  return `${before}${UNRELEASED}\n## [${version}] - ${date}\n${after}`;
}

/**
 * The text with the version in each place that the pattern matches.
 *
 * @throws Error when the number of places is not the expected one.
 */
export function setVersion(text, { file, pattern, count }, version) {
  const actual = text.match(pattern)?.length ?? 0;
  if (actual !== count)
    throw new Error(
      `${file} contains the version in ${actual} places instead of ${count}: update scripts/release.mjs`,
    );
  return text.replace(pattern, version);
}

const nextSteps = (version) => `
Created the commit and the tag v${version}. Next steps (docs/how-to/release.md):

  npm pack                                    # replikey-${version}.tgz; test/security/supply-chain.test.ts lists its files
  npm run --silent sbom > replikey-${version}.cdx.json
  docker build --build-arg VERSION=${version} --build-arg REVISION="$(git rev-parse HEAD)" --tag replikey:${version} .
  git push origin main v${version}
`;

/** Paths and texts of the files that a release changes. */
function releasedFiles(root, version, date) {
  const edit = (file, change) => {
    const location = path.join(root, file);
    return [location, change(readFileSync(location, 'utf8'))];
  };
  return [
    edit('CHANGELOG.md', (text) => releaseChangelog(text, version, date)),
    ...VERSIONED_FILES.map((entry) => edit(entry.file, (text) => setVersion(text, entry, version))),
  ];
}

if (process.argv[1] === import.meta.filename) {
  const root = path.join(import.meta.dirname, '..');
  const { version } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
  try {
    if (process.argv.includes('--next-steps')) console.log(nextSteps(version));
    else if (process.argv.includes('--check')) releasedFiles(root, 'next', '');
    else
      for (const [location, text] of releasedFiles(root, version, new Date().toISOString().slice(0, 10)))
        writeFileSync(location, text);
  } catch (error) {
    console.error(`release failed: ${error.message}`);
    process.exitCode = 1;
  }
}
