import { spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import type { Io } from '../../src/cli/command-model.ts';
import { buildProgram, programModel } from '../../src/cli/program.ts';
import { createController } from '../../src/controller/controller.ts';
import { readOnlyLeadership } from '../../src/controller/leadership.ts';
import { createMetrics } from '../../src/controller/metrics.ts';
import { fakeClock } from '../support/fake-clock.ts';

// biome-ignore lint/suspicious/noExplicitAny: manifests are of many kinds
type Manifest = any;

const KUSTOMIZE = 'deploy/kubernetes';
const hasKubectl = spawnSync('kubectl', ['version', '--client']).status === 0;
if (!hasKubectl) process.stderr.write('skipped: kubectl is not installed, which builds the overlays\n');

function built(folder: string): Manifest[] {
  const args = ['kustomize', '--load-restrictor', 'LoadRestrictionsNone', `${KUSTOMIZE}/${folder}`];
  const run = spawnSync('kubectl', args, { encoding: 'utf8' });
  expect(run.stderr).toBe('');
  return parseAllDocuments(run.stdout).map((document) => document.toJS());
}

const one = (manifests: Manifest[], kind: string): Manifest =>
  manifests.find((manifest) => manifest.kind === kind);

const workload = (manifests: Manifest[]): Manifest =>
  one(manifests, 'Deployment') ?? one(manifests, 'StatefulSet');

const words = programModel(
  buildProgram({ stdout: process.stdout, stderr: process.stderr, env: {} } as unknown as Io, () => {}),
);
const flags = new Set(words.options.map(({ long }) => long));

describe
  .skipIf(!hasKubectl)
  .each([
    'base',
    'overlays/irsa',
    'overlays/git-sync',
    'overlays/custom-resources',
    'overlays/monitoring',
    'overlays/sharded',
  ])('%s', (folder) => {
  test('runs as nobody, on a file system that cannot be written, with nothing that it does not need', () => {
    const { spec } = workload(built(folder)).spec.template;
    expect(spec.securityContext).toMatchObject({
      runAsNonRoot: true,
      runAsUser: 65_532,
      seccompProfile: { type: 'RuntimeDefault' },
    });
    for (const container of spec.containers) {
      expect(container.securityContext, container.name).toEqual({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      });
      expect(container.resources.limits.memory).toBeDefined();
      expect(container.resources.requests.cpu).toBeDefined();
      expect(container.resources.limits.cpu).toBeUndefined();
    }
    const [{ args }] = spec.containers;
    const grace = Number(args[args.indexOf('--grace') + 1]);
    expect(spec.terminationGracePeriodSeconds).toBeGreaterThan(grace);
    expect(args.filter((word: string) => word.startsWith('--') && !flags.has(word))).toEqual([]);
  });

  test('survives the loss of a node, and asks the cluster for little', () => {
    const manifests = built(folder);
    expect(workload(manifests).spec.replicas).toBeGreaterThanOrEqual(2);
    expect(one(manifests, 'PodDisruptionBudget').spec.maxUnavailable).toBe(1);
    const { rules } = one(manifests, 'Role');
    const verbs = (resource: string) =>
      rules
        .filter(({ resources }: Manifest) => resources.includes(resource))
        .flatMap(({ verbs: some }: Manifest) => some);
    expect(verbs('leases').sort()).toEqual(['create', 'get', 'update']);
    expect(rules.flatMap(({ verbs: some }: Manifest) => some)).not.toContain('delete');
    expect(JSON.stringify(rules)).not.toContain('secrets');
    for (const manifest of manifests.filter(
      ({ kind }) => !['Namespace', 'CustomResourceDefinition'].includes(kind),
    ))
      expect(manifest.metadata.namespace, `${manifest.kind} ${manifest.metadata.name}`).toBe('replikey');
  });
});

test.skipIf(!hasKubectl)(
  'those that divide the pairs are as many as the parts, and may hold every lease',
  () => {
    const manifests = built('overlays/sharded');
    const { spec } = one(manifests, 'StatefulSet');
    const [{ args }] = spec.template.spec.containers;
    expect(args[args.indexOf('--shard') + 1]).toBe(`auto/${spec.replicas}`);
    const { rules } = one(manifests, 'Role');
    const named = rules.find(({ verbs }: Manifest) => verbs.includes('update')).resourceNames;
    expect(named).toEqual(['replikey', ...readOnlyLeadership({ index: 1, of: spec.replicas }).leaseNames]);
  },
);

test('alerts and the dashboard ask for what there is, and every alert has its page in the runbook', async () => {
  const metrics = createMetrics({ version: '0', name: 'replikey', workers: 1 });
  const controller = createController({ clock: fakeClock(), kinds: new Map(), workers: 1 } as never);
  const known = new Set(
    [...(await metrics.render(controller)).matchAll(/^# TYPE (\S+)/gm)].flatMap(([, name = '']) => [
      name,
      `${name}_bucket`,
      `${name}_count`,
      `${name}_sum`,
    ]),
  );
  const [, rule] = parseAllDocuments(
    await readFile(`${KUSTOMIZE}/overlays/monitoring/monitoring.yaml`, 'utf8'),
  ).map((one) => one.toJS());
  const dashboard = JSON.parse(await readFile(`${KUSTOMIZE}/overlays/monitoring/dashboard.json`, 'utf8'));
  const alerts: Manifest[] = rule.spec.groups.flatMap(({ rules }: Manifest) => rules);
  const expressions: string[] = [
    ...alerts.map(({ expr }) => expr),
    ...dashboard.panels.flatMap(({ targets }: Manifest) => targets.map(({ expr }: Manifest) => expr)),
  ];
  const named = expressions.flatMap(
    (text) => text.match(/\b(?:replikey|controller_runtime|leader_election|workqueue)_\w+/g) ?? [],
  );
  expect(named.length).toBeGreaterThan(15);
  expect(named.filter((name) => !known.has(name))).toEqual([]);
  const runbook = await readFile('docs/how-to/run-in-a-cluster.md', 'utf8');
  const pages = [...runbook.matchAll(/^### (.+)$/gm)].map(([, title = '']) =>
    title.toLowerCase().replaceAll(' ', '-'),
  );
  expect(alerts.map(({ annotations }) => annotations.runbook)).toEqual(
    pages.map((page) => `docs/how-to/run-in-a-cluster.md#${page}`),
  );
});

test('the units for systemd and ECS say what the program understands', async () => {
  const unit = await readFile('deploy/systemd/replikey.service', 'utf8');
  const task = JSON.parse(await readFile('deploy/ecs/task-definition.json', 'utf8'));
  const [container] = task.containerDefinitions;
  const said = [...(/^ExecStart=(.*)$/m.exec(unit)?.[1] ?? '').split(' '), ...container.command];
  expect(said.filter((word) => word.startsWith('--') && !flags.has(word))).toEqual([]);
  for (const setting of [
    'DynamicUser=yes',
    'ProtectSystem=strict',
    'NoNewPrivileges=yes',
    'CapabilityBoundingSet=\n',
  ])
    expect(unit).toContain(setting);
  expect(container).toMatchObject({ readonlyRootFilesystem: true, user: '65532:65532' });
  expect(container.stopTimeout).toBeGreaterThan(25);
});

test('the specs of the base are an example of the repository', async () => {
  const text = await readFile(`${KUSTOMIZE}/base/specs/tax.yaml`, 'utf8');
  expect(parse(text)).toEqual(parse(await readFile('specs/tax.yaml', 'utf8')));
});

const hasHelm = spawnSync('helm', ['version']).status === 0;
if (!hasHelm) process.stderr.write('skipped: helm is not installed, which renders the chart\n');

describe.skipIf(!hasHelm)('the chart', () => {
  const CHART = 'deploy/helm/replikey';
  const rendered = (...args: string[]): Manifest[] => {
    const run = spawnSync('helm', ['template', 'replikey', CHART, '--namespace', 'replikey', ...args], {
      encoding: 'utf8',
    });
    expect(run.stderr).toBe('');
    return parseAllDocuments(run.stdout).flatMap((document) => document.toJS() ?? []);
  };
  const byName = (manifests: Manifest[]) =>
    new Map(manifests.map((manifest) => [`${manifest.kind} ${manifest.metadata.name}`, manifest]));

  test('makes what the base makes, but for the namespace', () => {
    const chart = byName(rendered('--set-file', `specs.tax\\.yaml=${KUSTOMIZE}/base/specs/tax.yaml`));
    const base = byName(built('base').filter(({ kind }) => kind !== 'Namespace'));
    expect([...chart.keys()].sort()).toEqual([...base.keys()].sort());
    for (const [name, manifest] of base) expect(chart.get(name), name).toEqual(manifest);
  });

  test('and with custom resources what their overlay makes', () => {
    const chart = byName(rendered('--set', 'source=kubernetes'));
    const overlay = byName(built('overlays/custom-resources'));
    for (const name of ['Deployment replikey', 'Role replikey'])
      expect(chart.get(name)).toEqual(overlay.get(name));
  });

  test('is without fault, and refuses values that it does not know', () => {
    expect(spawnSync('helm', ['lint', '--strict', CHART], { encoding: 'utf8' }).stdout).toContain(
      '0 chart(s) failed',
    );
    const run = spawnSync('helm', ['template', CHART, '--set', 'replica=3'], { encoding: 'utf8' });
    expect(run.status).not.toBe(0);
    expect(run.stderr).toContain('replica');
  });
});
