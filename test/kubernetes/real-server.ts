import { type ChildProcess, spawn } from 'node:child_process';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseAllDocuments } from 'yaml';
import { createKubernetesApi } from '../../src/kubernetes/api.ts';
import { renderCustomResourceDefinitions } from '../../src/kubernetes/crd.ts';
import { type ApiServer, NAMESPACE } from './api-server.ts';
import { deployedRules } from './role.ts';

const ASSETS = process.env.KUBEBUILDER_ASSETS;

/** Returns the reason to skip the tests with a real API server, or undefined. */
export const realServerSkipReason = (): string | undefined => {
  if (ASSETS === undefined) return 'KUBEBUILDER_ASSETS is not set';
  const missing = ['etcd', 'kube-apiserver'].filter((name) => !existsSync(path.join(ASSETS, name)));
  return missing.length === 0 ? undefined : `KUBEBUILDER_ASSETS does not contain ${missing.join(' and ')}`;
};

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });

/** Starts etcd and kube-apiserver, and creates the custom resource definitions and the deployed role. */
export async function startRealServer(): Promise<ApiServer> {
  const folder = await mkdtemp(path.join(tmpdir(), 'replikey-apiserver-'));
  const children: ChildProcess[] = [];
  const at = (name: string) => path.join(folder, name);
  const run = (name: string, ...args: string[]): ChildProcess => {
    const child = spawn(path.join(ASSETS ?? '', name), args, { stdio: ['ignore', 'ignore', 'pipe'] });
    let stderr = '';
    child.stderr?.on('data', (text: Buffer) => {
      stderr = (stderr + text).slice(-4_000);
    });
    child.on('exit', (code) => {
      if (code) process.stderr.write(`${name} exited: ${stderr}\n`);
    });
    children.push(child);
    return child;
  };
  const stop = async () => {
    for (const child of children.reverse()) {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGKILL');
      await ended;
    }
    await rm(folder, { recursive: true });
  };

  const [etcd, peer, port] = await Promise.all([freePort(), freePort(), freePort()]);
  const { privateKey, publicKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  const tokens = { admin: randomBytes(16).toString('hex'), replikey: randomBytes(16).toString('hex') };
  await Promise.all([
    writeFile(at('sa.key'), privateKey),
    writeFile(at('sa.pub'), publicKey),
    writeFile(
      at('tokens.csv'),
      `${tokens.admin},admin,admin,"system:masters"\n${tokens.replikey},replikey,replikey\n`,
    ),
  ]);
  const url = `http://127.0.0.1:${etcd}`;
  const peers = `http://127.0.0.1:${peer}`;
  run(
    'etcd',
    ...['--data-dir', at('etcd'), '--listen-client-urls', url, '--advertise-client-urls', url],
    ...['--listen-peer-urls', peers, '--initial-advertise-peer-urls', peers],
    ...['--initial-cluster', `default=${peers}`, '--unsafe-no-fsync'],
  );
  run(
    'kube-apiserver',
    ...['--etcd-servers', url, '--cert-dir', at('certs'), '--bind-address', '127.0.0.1'],
    ...['--secure-port', String(port), '--service-cluster-ip-range', '10.0.0.0/24'],
    ...['--service-account-issuer', 'https://kubernetes.default.svc', '--authorization-mode', 'RBAC'],
    ...['--service-account-key-file', at('sa.pub'), '--service-account-signing-key-file', at('sa.key')],
    ...['--token-auth-file', at('tokens.csv'), '--disable-admission-plugins', 'ServiceAccount'],
  );

  const env = { KUBERNETES_SERVICE_HOST: '127.0.0.1', KUBERNETES_SERVICE_PORT: String(port) };
  const account = async (name: keyof typeof tokens) => {
    await mkdir(at(name), { recursive: true });
    await writeFile(at(`${name}/token`), tokens[name]);
    await writeFile(at(`${name}/namespace`), NAMESPACE);
    await writeFile(at(`${name}/ca.crt`), await readFile(at('certs/apiserver.crt')));
    return { ...env, REPLIKEY_SERVICE_ACCOUNT: at(name) };
  };
  try {
    await until(() => existsSync(at('certs/apiserver.crt')));
    const api = await createKubernetesApi(await account('admin'));
    await until(async () => (await api.request('GET', '/readyz')).status === 200);
    const post = async (urlPath: string, body: unknown) => {
      const response = await api.request('POST', urlPath, body);
      if (response.status !== 201) throw new Error(`${urlPath}: ${JSON.stringify(response.body)}`);
    };
    const crds = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
    for (const crd of parseAllDocuments(renderCustomResourceDefinitions())) await post(crds, crd.toJS());
    await until(async () => {
      const { body } = await api.request('GET', crds);
      return body.items.every(({ status }: { status: { conditions: { type: string; status: string }[] } }) =>
        status.conditions?.some(
          (condition) => condition.type === 'Established' && condition.status === 'True',
        ),
      );
    });
    await post('/api/v1/namespaces', { metadata: { name: NAMESPACE } });
    const rbac = `/apis/rbac.authorization.k8s.io/v1/namespaces/${NAMESPACE}`;
    await post(`${rbac}/roles`, { metadata: { name: 'replikey' }, rules: await deployedRules() });
    await post(`${rbac}/rolebindings`, {
      metadata: { name: 'replikey' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'replikey' },
      subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'replikey' }],
    });
    return {
      name: 'kube-apiserver',
      env: await account('replikey'),
      admin: api,
      [Symbol.asyncDispose]: stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function until(check: () => boolean | Promise<boolean>): Promise<void> {
  const end = Date.now() + 60_000;
  for (;;) {
    try {
      if (await check()) return;
    } catch (error) {
      if (Date.now() > end) throw error;
    }
    if (Date.now() > end) throw new Error('the API server did not start');
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
