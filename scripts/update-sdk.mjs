#!/usr/bin/env node
/**
 * Sets each package of the AWS SDK to its newest release that supports the oldest Node of replikey: `npm run update:sdk`.
 *
 * AWS publishes a package only when it changes, so the newest releases have different versions. They share one copy of the
 * core packages, in the newest versions that all clients accept.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

const CORE_PACKAGES = ['@aws-sdk/core', '@smithy/core'];

const npm = (args, options = {}) => execFileSync('npm', args, { encoding: 'utf8', ...options });
const view = (spec, ...fields) => JSON.parse(npm(['view', spec, ...fields, '--json']));
const readJson = (file) => JSON.parse(readFileSync(file, 'utf8'));

const manifest = readJson('package.json');
const oldestNode = toNumbers(manifest.engines.node.replace('>=', ''));
const clientPackages = Object.keys(manifest.devDependencies).filter(
  (name) => name.startsWith('@aws-sdk/') && !CORE_PACKAGES.includes(name),
);

const versions = Object.fromEntries(clientPackages.map((name) => [name, newestSupported(name)]));
for (const name of CORE_PACKAGES) versions[name] = newestAcceptedByClients(name);
for (const [name, version] of Object.entries(versions)) {
  const current = manifest.devDependencies[name];
  console.log(`${name} ${current === version ? version : `${current} -> ${version}`}`);
}
const specs = Object.entries(versions).map(([name, version]) => `${name}@${version}`);
const quiet = ['--ignore-scripts', '--no-audit', '--no-fund'];
npm(['install', '--save-dev', '--save-exact', ...quiet, ...specs], { stdio: 'inherit' });
npm(['update', ...quiet, ...lockedSdkPackages().map(({ name }) => name)], { stdio: 'inherit' });
checkLockFile();

/** Returns the newest version of a client or of the credential providers that supports the oldest Node. */
function newestSupported(name) {
  const version = releasesOf(view(name, 'versions')).find((candidate) =>
    supportsOldestNode(view(`${name}@${candidate}`, 'engines')),
  );
  if (version === undefined) throw new Error(`no version of ${name} supports Node ${oldestNode.join('.')}`);
  return version;
}

/** Returns the newest version of a core package that satisfies the dependencies of all clients. */
function newestAcceptedByClients(name) {
  // lib-storage depends on a core package through its client only.
  const ranges = clientPackages
    .map((client) => view(`${client}@${versions[client]}`, 'dependencies')[name])
    .filter((range) => range !== undefined);
  const accepted = ranges.map((range) => [view(`${name}@${range}`, 'version')].flat());
  const version = releasesOf(accepted[0]).find(
    (candidate) =>
      accepted.every((all) => all.includes(candidate)) &&
      supportsOldestNode(view(`${name}@${candidate}`, 'engines')),
  );
  if (version === undefined) throw new Error(`no version of ${name} satisfies ${ranges.join(', ')}`);
  return version;
}

/** Returns the versions without prereleases, newest first. */
function releasesOf(all) {
  return all.filter((version) => /^\d+\.\d+\.\d+$/.test(version)).sort((a, b) => compareVersions(b, a));
}

function compareVersions(a, b) {
  const [left, right] = [toNumbers(a), toNumbers(b)];
  const index = left.findIndex((number, i) => number !== right[i]);
  return index === -1 ? 0 : left[index] - right[index];
}

function toNumbers(version) {
  const [major = 0, minor = 0, patch = 0] = version.split('.').map(Number);
  return [major, minor, patch];
}

/** Whether a package supports the oldest Node of replikey. Understands `>=20.0.0`, `^20.19.0` and alternatives of these. */
function supportsOldestNode(engines) {
  const range = engines?.node;
  if (range === undefined) return true;
  return range.split('||').some((alternative) => {
    const [, operator, version] = /^\s*(>=|\^)\s*([\d.]+)\s*$/.exec(alternative) ?? [];
    if (version === undefined) return false;
    if (operator === '^' && toNumbers(version)[0] !== oldestNode[0]) return false;
    return compareVersions(version, oldestNode.join('.')) <= 0;
  });
}

function lockedSdkPackages() {
  return Object.entries(readJson('package-lock.json').packages)
    .map(([folder, entry]) => ({ name: folder.split('node_modules/').at(-1), folder, ...entry }))
    .filter(({ name }) => /^@(aws|aws-sdk|smithy)\//.test(name));
}

/** Fails if a package has several copies, which would not share their schemas, or does not support the oldest Node. */
function checkLockFile() {
  const locked = lockedSdkPackages();
  const problems = locked.flatMap(({ name, version, folder, engines }) => [
    ...(folder === `node_modules/${name}` ? [] : [`a second copy of ${name}: ${folder}`]),
    ...(supportsOldestNode(engines) ? [] : [`${name} ${version} requires Node ${engines.node}`]),
  ]);
  if (problems.length > 0) throw new Error(problems.join('\n'));
}
