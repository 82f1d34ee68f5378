import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Pair } from './job.ts';

/** A tool that does the job. */
export interface Tool {
  name: string;
  /** The reason why the tool cannot be measured; absent if it can. */
  unavailableReason?: string;
  /** Writes the input of the tool into a folder. Returns the command of the first and later runs. */
  prepare(folder: string, pairs: readonly Pair[], endpoint: string): Promise<string[]>;
}

const INSTALL_DIR = path.resolve('.cache/python/rivals');
const SETUP = '`bench/rivals/setup.sh` installs it';
const RIVALS_DIR = path.resolve('bench/rivals');

/** Returns all tools in the order of the table, including unavailable ones. */
export function tools(): Tool[] {
  return [replikey, awsCli(), boto3(1), boto3(16), ansible(), terraform()];
}

/** PATH with the programs that setup.sh installed before those of the machine. */
export const toolPath = [path.join(INSTALL_DIR, 'bin'), process.env.PATH].join(path.delimiter);

const runQuietly = (program: string, ...args: string[]): string | undefined => {
  try {
    const env = { ...process.env, PATH: toolPath };
    return execFileSync(program, args, { env, stdio: ['ignore', 'pipe', 'ignore'] }).toString();
  } catch {
    return undefined;
  }
};

const replikey: Tool = {
  name: 'replikey',
  prepare: async (folder, pairs) => {
    const specs = path.join(folder, 'specs');
    await mkdir(specs);
    for (const pair of pairs) await writeFile(path.join(specs, `${pair.name}.yaml`), rivalPairYaml(pair));
    return [process.execPath, path.resolve('dist/main.js'), '--once', specs];
  },
};

const rivalPairYaml = ({ name, source, replica, sourceKey, replicaKey }: Pair) => `apiVersion: replikey.dev/v1
kind: BucketReplication
metadata: { name: ${name} }
spec:
  source: { bucket: ${source}, region: us-east-1, key: "${sourceKey}" }
  destination: { bucket: ${replica}, region: us-west-2, key: "${replicaKey}" }
  rules: [{ prefix: Data/ }]
`;

function awsCli(): Tool {
  const version = runQuietly('aws', '--version')?.split(' ')[0];
  return {
    name: version === undefined ? 'AWS CLI' : `AWS CLI (${version})`,
    ...(version === undefined ? { unavailableReason: `no \`aws\`; ${SETUP}` } : {}),
    prepare: async (folder, pairs) => {
      const lines = pairs.map((pair) =>
        [pair.name, pair.source, pair.replica, pair.sourceKey, pair.replicaKey].join('\t'),
      );
      const file = path.join(folder, 'pairs.tsv');
      await writeFile(file, lines.map((line) => `${line}\n`).join(''));
      return ['bash', path.join(RIVALS_DIR, 'walkthrough.sh'), file];
    },
  };
}

function boto3(threads: number): Tool {
  // The interpreter itself: on the PATH it may be a wrapper script, which costs time.
  const python = runQuietly('python3', '-c', 'import boto3, sys; print(sys.executable)')?.trim();
  return {
    name: threads === 1 ? 'boto3' : `boto3, ${threads} threads`,
    ...(python === undefined ? { unavailableReason: `no Python with boto3; ${SETUP}` } : {}),
    prepare: async (folder, pairs) => [
      python ?? 'python3',
      path.join(RIVALS_DIR, 'converge.py'),
      await pairsFile(folder, pairs),
      String(threads),
    ],
  };
}

function ansible(): Tool {
  const isInstalled = runQuietly('ansible-doc', '--type', 'module', '--list', 'amazon.aws')?.includes(
    's3_bucket',
  );
  return {
    name: 'Ansible, with the AWS CLI for replication',
    ...(isInstalled ? {} : { unavailableReason: `no \`ansible-playbook\` with amazon.aws; ${SETUP}` }),
    prepare: async (folder, pairs) => [
      'ansible-playbook',
      path.join(RIVALS_DIR, 'playbook.yml'),
      '--inventory=localhost,',
      `--extra-vars=pairs=${await pairsFile(folder, pairs)}`,
    ],
  };
}

/** Terraform on the PATH, or REPLIKEY_TERRAFORM, which also permits the download of its provider (several hundred MB). */
function terraform(): Tool {
  const configuredProgram = process.env.REPLIKEY_TERRAFORM;
  const program =
    configuredProgram ?? ['terraform', 'tofu'].find((name) => runQuietly(name, 'version') !== undefined);
  const unavailableReason =
    program === undefined
      ? 'neither `terraform` nor `tofu`'
      : configuredProgram === undefined && !existsSync(providerMirror)
        ? `\`${program}\` without its AWS provider; REPLIKEY_TERRAFORM=${program} permits its download`
        : undefined;
  return {
    name: 'Terraform',
    ...(unavailableReason === undefined ? {} : { unavailableReason }),
    prepare: async (folder, pairs, endpoint) => {
      const chdir = `-chdir=${folder}`;
      execFileSync('cp', [path.join(RIVALS_DIR, 'main.tf'), folder]);
      execFileSync(program ?? 'terraform', [chdir, 'init', '-input=false'], { stdio: 'ignore' });
      const variables = [`-var=pairs=${await pairsFile(folder, pairs)}`, `-var=endpoint=${endpoint}`];
      return [program ?? 'terraform', chdir, 'apply', '-auto-approve', '-input=false', ...variables];
    },
  };
}

/** Folder where Terraform looks for providers before it uses a registry. */
const providerMirror = path.join(
  process.env.HOME ?? '',
  '.terraform.d/plugins/registry.terraform.io/hashicorp/aws',
);

async function pairsFile(folder: string, pairs: readonly Pair[]): Promise<string> {
  const file = path.join(folder, 'pairs.json');
  await writeFile(file, JSON.stringify(pairs));
  return file;
}
