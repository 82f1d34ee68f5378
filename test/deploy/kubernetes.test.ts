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
if (!hasKubectl) process.stderr.write('skipped: kubectl, which builds the overlays, is not installed\n');

function buildOverlay(folder: string): Manifest[] {
  const args = ['kustomize', '--load-restrictor', 'LoadRestrictionsNone', `${KUSTOMIZE}/${folder}`];
  const { stdout, stderr } = spawnSync('kubectl', args, { encoding: 'utf8' });
  expect(stderr).toBe('');
  return parseAllDocuments(stdout).map((document) => document.toJS());
}

const manifestOf = (manifests: Manifest[], kind: string): Manifest =>
  manifests.find((manifest) => manifest.kind === kind);

const workload = (manifests: Manifest[]): Manifest =>
  manifestOf(manifests, 'Deployment') ?? manifestOf(manifests, 'StatefulSet');

const model = programModel(
  buildProgram({ stdout: process.stdout, stderr: process.stderr, env: {} } as unknown as Io, () => {}),
);
const flags = new Set(model.options.map(({ long }) => long));

describe
  .skipIf(!hasKubectl)
  .each([
    'base',
    'overlays/irsa',
    'overlays/git-sync',
    'overlays/custom-resources',
    'overlays/monitoring',
    'overlays/sharded',
  ])('manifests of %s', (folder) => {
  test('run as non-root, with a read-only root file system, no capabilities and resource limits', () => {
    const { spec } = workload(buildOverlay(folder)).spec.template;
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

  test('serve health checks on a port of their own, which the Service does not expose', () => {
    const manifests = buildOverlay(folder);
    const [container] = workload(manifests).spec.template.spec.containers;
    const { args, ports } = container;
    const portOf = (option: string) => Number(args[args.indexOf(option) + 1].split(':').at(-1));
    expect(ports).toEqual([
      { name: 'http', containerPort: portOf('--listen') },
      { name: 'health', containerPort: portOf('--health-listen') },
    ]);
    expect(container.livenessProbe.httpGet).toEqual({ path: '/healthz', port: 'health' });
    expect(container.readinessProbe.httpGet).toEqual({ path: '/readyz', port: 'health' });
    for (const { targetPort } of manifestOf(manifests, 'Service').spec.ports) expect(targetPort).toBe('http');
  });

  test('admit only named clients to the status page and the metrics', () => {
    const { ingress, policyTypes } = manifestOf(buildOverlay(folder), 'NetworkPolicy').spec;
    expect(policyTypes).toContain('Ingress');
    expect(ingress).toHaveLength(1);
    for (const { from, ports } of ingress) {
      expect(ports).toEqual([{ protocol: 'TCP', port: 8080 }]);
      expect(from.length).toBeGreaterThan(0);
      // An empty selector would select every namespace or pod.
      for (const peer of from)
        expect(Object.values(peer).map((selector) => Object.keys(selector as object))).toEqual([
          ['matchLabels'],
          ['matchLabels'],
        ]);
    }
  });

  test('run at least two replicas with a disruption budget and minimal permissions', () => {
    const manifests = buildOverlay(folder);
    expect(workload(manifests).spec.replicas).toBeGreaterThanOrEqual(2);
    expect(manifestOf(manifests, 'PodDisruptionBudget').spec.maxUnavailable).toBe(1);
    const { rules } = manifestOf(manifests, 'Role');
    const verbs = (resource: string) =>
      rules
        .filter(({ resources }: Manifest) => resources.includes(resource))
        .flatMap((rule: Manifest) => rule.verbs);
    expect(verbs('leases').sort()).toEqual(['create', 'get', 'update']);
    expect(rules.flatMap((rule: Manifest) => rule.verbs)).not.toContain('delete');
    expect(JSON.stringify(rules)).not.toContain('secrets');
    for (const manifest of manifests.filter(
      ({ kind }) => !['Namespace', 'CustomResourceDefinition'].includes(kind),
    ))
      expect(manifest.metadata.namespace, `${manifest.kind} ${manifest.metadata.name}`).toBe('replikey');
  });
});

test.skipIf(!hasKubectl)(
  'manifests of overlays/sharded: one replica per shard, and permission for every lease',
  () => {
    const manifests = buildOverlay('overlays/sharded');
    const { spec } = manifestOf(manifests, 'StatefulSet');
    const [{ args }] = spec.template.spec.containers;
    expect(args[args.indexOf('--shard') + 1]).toBe(`auto/${spec.replicas}`);
    const { rules } = manifestOf(manifests, 'Role');
    const leaseNames = rules.find(({ verbs }: Manifest) => verbs.includes('update')).resourceNames;
    expect(leaseNames).toEqual([
      'replikey',
      ...readOnlyLeadership({ index: 1, of: spec.replicas }).leaseNames,
    ]);
  },
);

test('monitoring: alerts and dashboard use existing metrics, and every alert has a runbook section', async () => {
  const metrics = createMetrics({ version: '0', name: 'replikey', workers: 1 });
  const controller = createController({ clock: fakeClock(), kinds: new Map(), workers: 1 } as never);
  const metricNames = new Set(
    [...(await metrics.render(controller)).matchAll(/^# TYPE (\S+)/gm)].flatMap(([, name = '']) => [
      name,
      `${name}_bucket`,
      `${name}_count`,
      `${name}_sum`,
    ]),
  );
  const [, rule] = parseAllDocuments(
    await readFile(`${KUSTOMIZE}/overlays/monitoring/monitoring.yaml`, 'utf8'),
  ).map((document) => document.toJS());
  const dashboard = JSON.parse(await readFile(`${KUSTOMIZE}/overlays/monitoring/dashboard.json`, 'utf8'));
  const alerts: Manifest[] = rule.spec.groups.flatMap(({ rules }: Manifest) => rules);
  const expressions: string[] = [
    ...alerts.map(({ expr }) => expr),
    ...dashboard.panels.flatMap(({ targets }: Manifest) => targets.map(({ expr }: Manifest) => expr)),
  ];
  const usedNames = expressions.flatMap(
    (text) => text.match(/\b(?:replikey|controller_runtime|leader_election|workqueue)_\w+/g) ?? [],
  );
  expect(usedNames.length).toBeGreaterThan(15);
  expect(usedNames.filter((name) => !metricNames.has(name))).toEqual([]);
  const runbook = await readFile('docs/how-to/run-in-a-cluster.md', 'utf8');
  const anchors = [...runbook.matchAll(/^### (.+)$/gm)].map(([, title = '']) =>
    title.toLowerCase().replaceAll(' ', '-'),
  );
  expect(alerts.map(({ annotations }) => annotations.runbook)).toEqual(
    anchors.map((anchor) => `docs/how-to/run-in-a-cluster.md#${anchor}`),
  );
});

test('systemd unit and ECS task definition: use only existing flags, and restrict the process', async () => {
  const unit = await readFile('deploy/systemd/replikey.service', 'utf8');
  const task = JSON.parse(await readFile('deploy/ecs/task-definition.json', 'utf8'));
  const [container] = task.containerDefinitions;
  const commandLine = [...(/^ExecStart=(.*)$/m.exec(unit)?.[1] ?? '').split(' '), ...container.command];
  expect(commandLine.filter((word) => word.startsWith('--') && !flags.has(word))).toEqual([]);
  for (const setting of [
    'DynamicUser=yes',
    'ProtectSystem=strict',
    'NoNewPrivileges=yes',
    'CapabilityBoundingSet=\n',
  ])
    expect(unit).toContain(setting);
  expect(container).toMatchObject({ readonlyRootFilesystem: true, user: '65532:65532' });
  expect(container.stopTimeout).toBeGreaterThan(25);
  const { command } = container;
  const healthAddress = command[command.indexOf('--health-listen') + 1];
  expect(container.healthCheck.command.at(-1)).toContain(`http://${healthAddress}/healthz`);
});

test('manifests of base: the spec equals specs/tax.yaml', async () => {
  const text = await readFile(`${KUSTOMIZE}/base/specs/tax.yaml`, 'utf8');
  expect(parse(text)).toEqual(parse(await readFile('specs/tax.yaml', 'utf8')));
});

const hasHelm = spawnSync('helm', ['version']).status === 0;
if (!hasHelm) process.stderr.write('skipped: helm, which renders the chart, is not installed\n');

describe.skipIf(!hasHelm)('Helm chart', () => {
  const CHART = 'deploy/helm/replikey';
  const renderChart = (...args: string[]): Manifest[] => {
    const result = spawnSync('helm', ['template', 'replikey', CHART, '--namespace', 'replikey', ...args], {
      encoding: 'utf8',
    });
    expect(result.stderr).toBe('');
    return parseAllDocuments(result.stdout).flatMap((document) => document.toJS() ?? []);
  };
  const byName = (manifests: Manifest[]) =>
    new Map(manifests.map((manifest) => [`${manifest.kind} ${manifest.metadata.name}`, manifest]));

  test('renders the manifests of the base, except the namespace', () => {
    const chart = byName(renderChart('--set-file', `specs.tax\\.yaml=${KUSTOMIZE}/base/specs/tax.yaml`));
    const base = byName(buildOverlay('base').filter(({ kind }) => kind !== 'Namespace'));
    expect([...chart.keys()].sort()).toEqual([...base.keys()].sort());
    for (const [name, manifest] of base) expect(chart.get(name), name).toEqual(manifest);
  });

  test('with source=kubernetes: renders Deployment and Role of the custom-resources overlay', () => {
    const chart = byName(renderChart('--set', 'source=kubernetes'));
    const overlay = byName(buildOverlay('overlays/custom-resources'));
    for (const name of ['Deployment replikey', 'Role replikey'])
      expect(chart.get(name)).toEqual(overlay.get(name));
  });

  test('passes helm lint, and rejects unknown values', () => {
    expect(spawnSync('helm', ['lint', '--strict', CHART], { encoding: 'utf8' }).stdout).toContain(
      '0 chart(s) failed',
    );
    const result = spawnSync('helm', ['template', CHART, '--set', 'replica=3'], { encoding: 'utf8' });
    expect(result.status).not.toBe(0);
    expect(result.stderr).toContain('replica');
  });
});
