import { spawnSync } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import type { Io } from '../../src/cli/command-model.ts';
import { buildProgram, programModel } from '../../src/cli/program.ts';
import { createController } from '../../src/controller/controller.ts';
import { readOnlyLeadership } from '../../src/controller/leadership.ts';
import { createMetrics } from '../../src/controller/metrics.ts';
import { RESOURCE_PLURALS } from '../../src/kubernetes/resources.ts';
import { healthUrlOf } from '../../src/util/health-url.ts';
import { findTool, toolSkipReason, validateResources } from '../kubernetes/tools.ts';
import { fakeClock } from '../support/fake-clock.ts';

// biome-ignore lint/suspicious/noExplicitAny: manifests are of many kinds
type Manifest = any;

const KUSTOMIZE = 'deploy/kubernetes';
/** Command that builds an overlay: kubectl contains kustomize. */
const kubectl = findTool('kubectl');
const kustomize = kubectl ? [kubectl, 'kustomize'] : [findTool('kustomize') ?? '', 'build'];
const kustomizeSkipReason = toolSkipReason('kubectl') && toolSkipReason('kustomize');
if (kustomizeSkipReason) process.stderr.write(`skipped: ${kustomizeSkipReason}\n`);

/** All folders that `kubectl apply -k` accepts. */
const FOLDERS = ['base', 'crd', ...readdirSync(`${KUSTOMIZE}/overlays`).map((name) => `overlays/${name}`)];
const WORKLOAD_FOLDERS = FOLDERS.filter((folder) => folder !== 'crd');

/**
 * Returns the documents of a YAML text. Fails for duplicate keys, for other errors and warnings, and for a value that YAML
 * 1.1, which Kubernetes reads, and YAML 1.2 read as different types, such as `no` or `1_000`.
 */
function parseStrictly(text: string): Manifest[] {
  const [values, oldValues] = (['1.2', '1.1'] as const).map((version) => {
    const documents = parseAllDocuments(text, { version, strict: true, uniqueKeys: true });
    for (const { errors, warnings } of documents) expect([...errors, ...warnings]).toEqual([]);
    return documents.flatMap((document) => document.toJS() ?? []);
  });
  expect(oldValues).toEqual(values);
  return values ?? [];
}

/** Builds an overlay as `kubectl apply -k` does, with the default settings of kustomize. */
function buildOverlay(folder: string): Manifest[] {
  const [program = '', command = ''] = kustomize;
  const { stdout, stderr } = spawnSync(program, [command, `${KUSTOMIZE}/${folder}`], { encoding: 'utf8' });
  expect(stderr).toBe('');
  return parseStrictly(stdout);
}

const manifestOf = (manifests: Manifest[], kind: string): Manifest =>
  manifests.find((manifest) => manifest.kind === kind);

const workload = (manifests: Manifest[]): Manifest =>
  manifestOf(manifests, 'Deployment') ?? manifestOf(manifests, 'StatefulSet');

test.each(FOLDERS)('manifests of %s: every file is in its folder, as kustomize requires', async (folder) => {
  const root = path.join(KUSTOMIZE, folder);
  const { resources, configMapGenerator = [] } = parse(
    await readFile(path.join(root, 'kustomization.yaml'), 'utf8'),
  );
  const files: string[] = [...resources, ...configMapGenerator.flatMap(({ files }: Manifest) => files)];
  const isFolder = (file: string) => statSync(path.join(root, file)).isDirectory();
  expect(files.filter((file) => file.startsWith('..') && !isFolder(file))).toEqual([]);
});

const validatorSkipReason = toolSkipReason('validator');

/** Checks manifests as an API server does. The definitions of other operators are unknown to it. */
async function expectValid(manifests: Manifest[]): Promise<void> {
  const builtIn = manifests.filter(
    ({ apiVersion, kind }) =>
      !apiVersion.startsWith('monitoring.coreos.com/') && kind !== 'CustomResourceDefinition',
  );
  expect(builtIn).not.toEqual([]);
  expect((await validateResources(builtIn)).flat()).toEqual([]);
}

test.skipIf(kustomizeSkipReason ?? validatorSkipReason).each(WORKLOAD_FOLDERS)(
  'manifests of %s: the API server accepts every field',
  async (folder) => {
    await expectValid(buildOverlay(folder));
  },
);

test.skipIf(kustomizeSkipReason)(
  'manifests of overlays/custom-resources: contain the definitions, and no spec files',
  () => {
    const manifests = buildOverlay('overlays/custom-resources');
    const definitions = ({ kind }: Manifest) => kind === 'CustomResourceDefinition';
    expect(manifests.filter(definitions)).toEqual(buildOverlay('crd'));
    expect(
      manifests
        .filter(definitions)
        .map(({ spec }) => spec.names.kind)
        .sort(),
    ).toEqual(Object.keys(RESOURCE_PLURALS).sort());
    expect(manifestOf(manifests, 'ConfigMap')).toBeUndefined();
  },
);

const model = programModel(
  buildProgram({ stdout: process.stdout, stderr: process.stderr, env: {} } as unknown as Io, () => {}),
);
const flags = new Set(model.options.map(({ long }) => long));

describe.skipIf(kustomizeSkipReason).each(WORKLOAD_FOLDERS)('manifests of %s', (folder) => {
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

test.skipIf(kustomizeSkipReason)(
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
  // The health check of the image finds the endpoint.
  expect(healthUrlOf(['node', '/app/main.js', ...container.command])).toBe('http://127.0.0.1:8081/healthz');
  const dockerfile = await readFile('Dockerfile', 'utf8');
  const check = /^HEALTHCHECK .*CMD (.*)$/m.exec(dockerfile)?.[1] ?? '';
  expect(container.healthCheck.command).toEqual(['CMD', ...JSON.parse(check)]);
});

test('manifests of base: the spec equals specs/tax.yaml', async () => {
  const text = await readFile(`${KUSTOMIZE}/base/specs/tax.yaml`, 'utf8');
  expect(parse(text)).toEqual(parse(await readFile('specs/tax.yaml', 'utf8')));
});

const helmSkipReason = toolSkipReason('helm');
if (helmSkipReason) process.stderr.write(`skipped: ${helmSkipReason}\n`);

describe.skipIf(helmSkipReason)('Helm chart', () => {
  const CHART = 'deploy/helm/replikey';
  const runHelm = (...args: string[]) => spawnSync(findTool('helm') ?? '', args, { encoding: 'utf8' });
  const renderChart = (...args: string[]): Manifest[] => {
    const { stdout, stderr } = runHelm('template', 'replikey', CHART, '--namespace', 'replikey', ...args);
    expect(stderr).toBe('');
    return parseStrictly(stdout);
  };
  /** Renders the chart with a values file. */
  async function renderValues(values: unknown, ...args: string[]): Promise<Manifest[]> {
    const folder = await mkdtemp(path.join(tmpdir(), 'replikey-chart-'));
    try {
      const file = path.join(folder, 'values.yaml');
      await writeFile(file, JSON.stringify(values));
      return renderChart('--values', file, ...args);
    } finally {
      await rm(folder, { recursive: true });
    }
  }
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
    expect(runHelm('lint', '--strict', CHART).stdout).toContain('0 chart(s) failed');
    const result = runHelm('template', CHART, '--set', 'replica=3');
    expect(result.status).not.toBe(0);
    expect(result.stderr).toContain('replica');
  });

  test('installs the custom resource definitions', () => {
    const definitions = renderChart('--include-crds').filter(
      ({ kind }) => kind === 'CustomResourceDefinition',
    );
    expect(definitions.map(({ spec }) => spec.names.kind)).toEqual(Object.keys(RESOURCE_PLURALS));
    // A template would make them part of one release: a second release in another namespace would fail.
    expect(renderChart().filter(({ kind }) => kind === 'CustomResourceDefinition')).toEqual([]);
    const { stdout } = runHelm('show', 'crds', CHART);
    expect(parseStrictly(stdout)).toEqual(definitions);
  });

  /** Texts that YAML reads as another type, or as syntax, without quotes. */
  const ODD_TEXTS = [
    ...[
      '012345678901',
      '111122223333',
      '1.10',
      '1e3',
      '0x1F',
      '0o17',
      '1_000',
      '.inf',
      '12:30:45',
      '2026-11-30',
    ],
    ...['true', 'no', 'on', 'null', '~', ''],
    ...[
      'a: b',
      'a #b',
      '- a',
      '{a}',
      '[a]',
      '*a',
      '&a',
      '!a',
      '%a',
      '@a',
      '`a`',
      '|',
      '>',
      '? a',
      ': a',
      '---',
    ],
    ...['"', "'", '\\', ' a ', 'a\tb', 'a\nb\n', '\r\n', '{{ .Values }}', '\u00e9', '\u2028', '\u{1f600}'],
  ];

  test('renders every text as the same text', async () => {
    const annotations = Object.fromEntries(ODD_TEXTS.map((text, index) => [`example.com/${index}`, text]));
    const specs = Object.fromEntries(ODD_TEXTS.map((text, index) => [`${index}.yaml`, text]));
    const manifests = await renderValues({ args: ODD_TEXTS, serviceAccount: { annotations }, specs });
    const [container] = workload(manifests).spec.template.spec.containers;
    expect(container.args.slice(-ODD_TEXTS.length)).toEqual(ODD_TEXTS);
    expect(manifestOf(manifests, 'ServiceAccount').metadata.annotations).toEqual(annotations);
    expect(manifestOf(manifests, 'ConfigMap').data).toEqual(specs);
    if (!validatorSkipReason) await expectValid(manifests);
  });

  test.each(ODD_TEXTS.filter((text) => text !== ''))(
    'renders region, image and client %j as text',
    async (text) => {
      const matchLabels = { 'example.com/a': text };
      const clients = [{ podSelector: { matchLabels } }];
      const image = { repository: text, tag: text };
      const manifests = await renderValues({ region: text, image, clients });
      const [container] = workload(manifests).spec.template.spec.containers;
      expect(container.env).toEqual([{ name: 'AWS_REGION', value: text }]);
      expect(container.image).toBe(`${text}:${text}`);
      expect(manifestOf(manifests, 'NetworkPolicy').spec.ingress[0].from).toEqual(clients);
    },
  );

  test('renders a namespace of digits as text', () => {
    const manifests = renderChart('--namespace', '12345');
    for (const { kind, metadata } of manifests) expect(metadata.namespace, kind).toBe('12345');
    expect(manifestOf(manifests, 'RoleBinding').subjects[0].namespace).toBe('12345');
  });

  test('renders large numbers as whole numbers', async () => {
    const manifests = await renderValues({ replicas: 1_000_000, interval: 10_000_000 });
    expect(workload(manifests).spec.replicas).toBe(1_000_000);
    const { args } = workload(manifests).spec.template.spec.containers[0];
    expect(args[args.indexOf('--interval') + 1]).toBe('10000000');
  });

  test.each([
    // YAML has already dropped the leading zero of a number, or the last digit of a version.
    ['an account id that is a number', 'serviceAccount.annotations.account=111122223333', 'account'],
    ['a tag that is a number', 'image.tag=7', 'tag'],
    ['a Region that is a boolean', 'region=true', 'region'],
    ['a spec file that replikey would not read', 'specs.tax=x', 'tax'],
  ])('rejects %s', (_, setting, message) => {
    const { status, stderr } = runHelm('template', CHART, '--set', setting);
    expect(status).not.toBe(0);
    expect(stderr).toContain(message);
  });
});
