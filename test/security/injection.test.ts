import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Writable } from 'node:stream';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import type { Controller } from '../../src/controller/controller.ts';
import { createMetrics } from '../../src/controller/metrics.ts';
import { jsonResponse } from '../../src/controller/server.ts';
import type { PairStatus } from '../../src/controller/status.ts';
import { LIVE_UPDATE_SCRIPT } from '../../src/controller/status-page/live-update.ts';
import { renderStatusPage } from '../../src/controller/status-page/page.ts';
import type { Plan } from '../../src/core/resource.ts';
import { resourceEventsOf } from '../../src/kubernetes/events.ts';
import type { CustomResource } from '../../src/kubernetes/resources.ts';
import { toResourceStatus } from '../../src/kubernetes/status.ts';
import { createLog } from '../../src/log.ts';
import type { RuleVerdict } from '../../src/proof/types.ts';
import type { Outcome } from '../../src/reconcile/pass.ts';
import { ndjsonLines, outcomeJson, planJson } from '../../src/report/json.ts';
import { planMarkdown } from '../../src/report/markdown.ts';
import { outcomeText } from '../../src/report/outcome-text.ts';
import { planText } from '../../src/report/plan-text.ts';
import { doctorText } from '../../src/report/proof-text.ts';
import { toSarif } from '../../src/report/sarif.ts';
import { PLAIN_STYLE } from '../../src/report/style.ts';
import { formatProblems } from '../../src/spec/format-problems.ts';
import { safeJson } from '../../src/util/escape.ts';
import { CASES, type PlannedCase, planCase } from '../report/plans.ts';
import { runCli } from '../support/cli.ts';
import { TAX_SPEC, testEnv } from '../support/env.ts';

/** Text of an attacker in a name, tag, policy or error: control sequences, CI commands, Markdown and HTML. */
const EVIL = [
  '\u001b[31m\u001b]0;title\u0007\u009b2J\u202e\u2066\u2028\u200b\u{e0041}\u007f',
  '\r\n::set-output name=a::b\n::add-mask::x ::warning::y \n::stop-commands::z ##[add-mask]x',
  '<!-- replikey: plan -->\n<!-- replikey: checksum 0 of commit 0 -->',
  '@everyone &#64;everyone #1 GH-1 ![x](https://evil.example/x.png) [x](javascript:x) www.evil.example',
  '``` ~~~ ` | a | </details><script>alert(1)</script><img src=x onerror=y> "quoted" \'quoted\'',
].join(' ');

/** Fields with fixed values, by which the renderers choose their text. */
const FIXED_FIELDS = new Set(
  'action op kind type verdict severity result status code cause algorithm digest calls region account title failureReason'.split(
    ' ',
  ),
);

/** Returns the value with hostile text in every string, and in field names that are JSON pointers. */
function hostile<T>(value: T, key = ''): T {
  if (typeof value === 'string') {
    // The ids of steps contain names, those of risks do not.
    if (key === 'id' && !value.includes('/')) return value;
    return (FIXED_FIELDS.has(key) || value === '' ? value : `${value}${EVIL}`) as T;
  }
  if (Array.isArray(value)) return value.map((item) => hostile(item, key)) as T;
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([name, fieldValue]) => [
    key === 'before' ? `${name}${EVIL}` : name,
    // Renderers find the pair of a step by its name, which the schema restricts.
    name === 'pairs' || name === 'spec' ? fieldValue : hostile(fieldValue, name),
  ]);
  return Object.fromEntries(entries) as T;
}

const controlCharacters = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;

/** Checks that a terminal, a log or a CI pipeline executes nothing in the text. */
function expectInert(text: string): void {
  expect(text.split('\n').filter((line) => controlCharacters.test(line))).toEqual([]);
  // GitHub executes `::command::` at the beginning of a line, also after white space, and the older `##[command]` anywhere.
  expect(text.split('\n').filter((line) => /^\s*::|##\[/.test(line))).toEqual([]);
}

let rendered: { name: string; outcome: Outcome; pairs: PlannedCase['pairs'] }[];
beforeAll(async () => {
  const names = ['all-new', 'changed-rule-field', 'changed-key', 'would-not-replicate'];
  const cases = CASES.filter(({ name }) => names.includes(name));
  expect(cases).toHaveLength(names.length);
  rendered = await Promise.all(
    cases.map(async (testCase) => {
      const { outcome, pairs } = await planCase(testCase);
      const [first] = outcome.plan.waves.flat();
      const plan: Plan = {
        ...outcome.plan,
        blocked: [{ id: 's3.bucket/b', pairs: first?.pairs ?? [], why: 'because' }] as never,
        notes: [{ id: 's3.bucket/b', pairs: first?.pairs ?? [], message: 'note' }] as never,
        handover: [
          { account: 'a', pairs: first?.pairs ?? [], what: 'do', document: { a: 'b' }, command: 'aws' },
        ] as never,
      };
      const results = (['failed', 'skipped', 'applied'] as const).map((result) => ({
        id: 's3.bucket/b',
        result,
        why: 'because',
      }));
      const refusals = [{ id: 'change-default-key', step: `s3.bucket/b${EVIL}`, message: EVIL }];
      return {
        name: testCase.name,
        outcome: { ...(hostile({ ...outcome, plan, results } as never) as Outcome), refusals } as Outcome,
        pairs: pairs.map((pair) => ({
          ...pair,
          positions: Object.fromEntries(
            Object.entries(pair.positions).map(([at, position]) => [
              at,
              { ...position, file: `${position.file}${EVIL}` },
            ]),
          ),
        })),
      };
    }),
  );
});

const findingProofs = (): RuleVerdict[] => rendered.flatMap(({ outcome }) => [...outcome.proof]);

describe('injection: hostile text in AWS, file names and errors', () => {
  test('plan text: shows control characters escaped', () => {
    for (const { outcome, pairs } of rendered) {
      for (const width of [Number.POSITIVE_INFINITY, 80]) {
        const style = { ...PLAIN_STYLE, width, explain: true };
        const variables = [{ name: 'a', value: EVIL, from: '--var' as const }];
        const text = planText(outcome.plan, pairs, outcome.proof, style, variables);
        expect(text).toContain('\\u001b[31m');
        expectInert(text);
      }
    }
  });

  test('outcome and doctor text: contain no control characters', () => {
    for (const { outcome } of rendered) {
      expectInert(outcomeText(outcome, PLAIN_STYLE.paint));
      expectInert(outcomeText({ ...outcome, refusals: [] }, PLAIN_STYLE.paint));
    }
    const rules = findingProofs();
    const objects = hostile([
      { bucket: 'b', lookedAt: 1, byStatus: { FAILED: 1 }, findings: rules.flatMap((rule) => rule.findings) },
    ]);
    const metrics = hostile([
      {
        bucket: 'b',
        destination: 'c',
        rule: 'r',
        findings: rules.flatMap((rule) => rule.findings),
      },
    ]).map((report) => ({
      ...report,
      verdict: 'broken',
      state: 'available',
      days: 14,
      operations: 2,
      failed: 1,
    }));
    for (const verbose of [true, false])
      expectInert(
        doctorText(
          {
            rules,
            objects,
            metrics,
            declared: { changes: 1, rules },
            commands: hostile([{ what: 'b', command: 'aws' }]),
          } as never,
          verbose,
          PLAIN_STYLE.paint,
        ),
      );
  });

  test('JSON: escapes control characters and parses to the same value', () => {
    const calls = { reads: 0, writes: 0, byOperation: new Map() };
    for (const { outcome } of rendered) {
      for (const value of [
        planJson(outcome.plan, outcome.proof),
        outcomeJson(outcome, calls),
        ndjsonLines.plan(outcome.plan, outcome.proof, {}),
        toSarif(outcome.proof, { version: '1', pairs: [], toUri: encodeURI }),
      ]) {
        const text = safeJson(value, 2);
        expectInert(text);
        expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)));
        expectInert(safeJson(value));
      }
      expectInert(jsonResponse(200, outcome).body);
    }
  });

  test('safeJson: any string survives a round trip', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(JSON.parse(safeJson({ [text]: text }))).toEqual({ [text]: text });
        expect(safeJson(text)).not.toMatch(controlCharacters);
      }),
    );
  });

  test('pull request comment: contains no foreign mention, link, image or HTML, and one marker', () => {
    for (const { outcome, pairs } of rendered) {
      const command = `reconcile --once 'specs/${EVIL}'`;
      const variables = [{ name: 'a', value: EVIL, from: '--var' as const }];
      const text = planMarkdown({ ...outcome, pairs, command, variables, nonAwsTarget: EVIL });
      expectInert(text);
      expect(text.split('\n', 1)).toEqual(['<!-- replikey: plan -->']);
      const foreign = text
        .slice('<!-- replikey: plan -->'.length)
        // In code blocks and spans, neither Markdown nor GitHub's references take effect.
        .replace(/^(`{3,}|~{3,})[a-z]*\n[\s\S]*?\n\1$/gm, '')
        .replace(/(?<![`\\])(`+)(?!`)[^\n]*?(?<!`)\1(?!`)/g, '')
        .replace(/<!-- -->/g, '\u0000')
        .replace(/<\/?(?:details|summary)>/g, '')
        .replaceAll('> [!WARNING]', '')
        .replaceAll('> [!IMPORTANT]', '')
        .replace(/^> /gm, '');
      // The title of a pair is in an HTML block, where Markdown has no effect.
      expect(foreign.replace(/^<b>.*$/gm, '')).not.toMatch(/(?<!\\)[`\]]/);
      expect(foreign).not.toMatch(/@[\w-]|#\d|GH-\d|https?:\/\/|www\./);
      expect(foreign.replace(/<\/?b>/g, '')).not.toMatch(/(?<!\\)[<>]|(?<!\\)&(?!amp;|lt;|gt;)/);
      for (const row of text.split('\n').filter((line) => line.startsWith('| ')))
        expect(row.match(/(?<!\\)\|/g), row).toHaveLength(7);
    }
  });

  test('log: one line per entry, as JSON and as text', () => {
    for (const isTTY of [false, true]) {
      let output = '';
      const stream = Object.assign(
        new Writable({
          write(chunk, _, done) {
            output += chunk;
            done();
          },
        }),
        { isTTY },
      ) as unknown as NodeJS.WriteStream;
      const log = createLog(stream, { level: 'debug', colour: false });
      log.warn({ step: EVIL, nested: { list: [EVIL] } }, `it failed: ${EVIL}`);
      expectInert(output);
      expect(output.trimEnd().split('\n')).toHaveLength(1);
      if (!isTTY) expect(JSON.parse(output)).toMatchObject({ step: EVIL, msg: `it failed: ${EVIL}` });
    }
  });

  test('spec problems: contain no control characters', () => {
    const position = { file: `a${EVIL}.yaml`, line: 1, column: 1 };
    expectInert(formatProblems([{ position, message: 'it is wrong', excerpt: '' } as never]));
  });

  const status = (): PairStatus => {
    const condition = {
      status: 'False',
      reason: 'Failed',
      message: EVIL,
      since: '2026-01-01T00:00:00.000Z',
    } as const;
    return {
      name: `tax${EVIL}`,
      sides: [
        {
          source: { bucket: EVIL, region: EVIL, account: EVIL },
          destination: { bucket: EVIL, region: EVIL },
        },
      ],
      from: { file: EVIL, line: 1, column: 1 },
      labels: { [EVIL]: EVIL },
      failureBursts: [
        {
          id: EVIL,
          rule: EVIL,
          reason: EVIL,
          operation: EVIL,
          count: 1,
          since: EVIL,
          until: EVIL,
          keys: [EVIL],
          cause: EVIL,
          lastChange: { by: EVIL, event: EVIL, at: EVIL },
          fix: EVIL,
          commands: [{ what: EVIL, command: EVIL }],
          reverted: { at: EVIL, ids: [EVIL] },
        },
      ],
      canary: { at: EVIL, result: EVIL },
      conditions: {
        Ready: condition,
        Proven: condition,
        Verified: condition,
        Replicating: condition,
        Drifted: condition,
      },
      generation: 'g',
      declaredGeneration: 'g',
      lastRun: '2026-01-01T00:00:00.000Z',
      failures: 1,
      retry: 'recoverable',
      objects: { byStatus: { [EVIL]: 1 } },
      changes: [
        {
          at: '2026-01-01T00:00:00.000Z',
          cause: 'drift',
          result: 'applied',
          steps: hostile(rendered[1]?.outcome.plan.waves.flat() ?? []),
        },
      ],
      proof: findingProofs(),
    } as unknown as PairStatus;
  };

  test('status page: hostile text creates no tag, attribute or URL', () => {
    const controller = {
      process: {
        startedAt: EVIL,
        endpoint: EVIL,
        accounts: { [EVIL]: EVIL },
        role: 'leader',
        leases: { [EVIL]: true },
      },
      pairs: [status()],
      problems: [{ position: { file: EVIL, line: 1, column: 1 }, message: EVIL, hint: EVIL }],
      queue: { depth: 0, active: 0, adds: 0, unfinishedMs: 0, longestMs: 0 },
      calls: { reads: 0, writes: 0, byOperation: {} },
    };
    for (const query of [{}, { pair: status().name }, { q: EVIL, group: `label:${EVIL}` }]) {
      const page = renderStatusPage(controller as never, { version: EVIL, now: 0, query });
      const [document = '', script = ''] = page.split(/(?=<script>)/);
      expect(script).toBe(`<script>${LIVE_UPDATE_SCRIPT}</script>\n</body>\n</html>\n`);
      expect(document.split('\n').filter((line) => controlCharacters.test(line))).toEqual([]);
      const tags = document.match(/<[a-z!](?:[^>"]|"[^"]*")*>/gi) ?? [];
      expect(tags.length).toBeGreaterThan(20);
      // Every link leads to this server.
      const links = tags.flatMap((tag) => / href="([^"]*)"/.exec(tag)?.[1] ?? []);
      expect(links.length).toBeGreaterThan(2);
      expect(links.filter((link) => !/^\/(?:$|\?|docs\/)/.test(link))).toEqual([]);
      const unquoted = tags.map((tag) => tag.replace(/"[^"]*"/g, '""'));
      expect(unquoted.filter((tag) => /^<(?:script|img|!--)|[ "](?:on\w+|src|style)=/i.test(tag))).toEqual(
        [],
      );
    }
  });

  test('metrics: labels are escaped', async () => {
    const metrics = createMetrics({ version: EVIL, name: 'replikey', workers: 1 });
    const controllerStatus = {
      pairs: [status()],
      queue: { depth: 0, active: 0, adds: 0, unfinishedMs: 0, longestMs: 0 },
      calls: { byOperation: { [EVIL]: 1 } },
    };
    metrics.countThrottle(`s3:${EVIL}`);
    const text = await metrics.render({ status: () => controllerStatus } as unknown as Controller);
    const label = '[a-zA-Z_]\\w*="(?:[^"\\\\\\n]|\\\\["\\\\n])*"';
    const sample = new RegExp(`^[a-zA-Z_:][\\w:]*(?:\\{${label}(?:,${label})*\\})? \\S+$`);
    expect(
      text
        .trimEnd()
        .split('\n')
        .filter((line) => line !== '' && !line.startsWith('# ') && !sample.test(line)),
    ).toEqual([]);
  });

  test('Kubernetes conditions and events: contain no control characters', () => {
    const resource = { kind: 'BucketReplication', name: 'tax', namespace: 'n', uid: 'u', generation: 1 };
    for (const { message } of toResourceStatus(resource as CustomResource, {
      pair: status(),
      problems: [],
      now: '',
    })?.conditions ?? [])
      expectInert(message);
    const before = status();
    const changedCondition = { ...before.conditions.Ready, message: '' };
    const conditions = { ...before.conditions, Ready: changedCondition, Drifted: changedCondition };
    const drifted = { ...status().conditions, Drifted: { ...status().conditions.Drifted, reason: 'Healed' } };
    const events = resourceEventsOf(
      { ...before, conditions, changes: [] },
      { ...status(), conditions: drifted },
    );
    expect(events.map(({ reason }) => reason)).toEqual(['Drifted', 'Applied', 'Failed']);
    for (const { note } of events) expectInert(note);
  });
});

test('injection: errors of a hostile endpoint are escaped in every output format', async () => {
  await using env = await testEnv(TAX_SPEC, {
    faultSettings: {
      faults: [
        {
          match: 'GetBucketVersioning',
          nth: 1,
          times: 1000,
          what: { status: 403, code: 'Denied', message: EVIL },
        },
      ],
    },
  });
  const folder = await mkdtemp(path.join(tmpdir(), 'replikey-injection-'));
  try {
    const file = path.join(folder, '::warning::a ##[group]b.yaml');
    await writeFile(file, TAX_SPEC);
    const invalidFile = path.join(folder, 'bad.yaml');
    await writeFile(invalidFile, TAX_SPEC.replace('prefix: Tax/', 'prefix: Tax/\n      "##[add-mask]x": 1'));
    for (const args of [
      ['--once', file],
      ['plan', '-o', 'json', file],
      ['--once', '-o', 'ndjson', file],
      ['--dry-run', '-o', 'markdown', file],
      ['doctor', file],
      ['doctor', '-o', 'sarif', file],
      ['verify', file],
      ['observe', file],
      ['import', '--bucket', 'acme-tax'],
      ['validate', invalidFile],
      ['validate', '-o', 'json', invalidFile],
      ['plan', `${file}\u001b::warning::`],
    ]) {
      const { stdout, stderr } = await runCli(args, { endpoint: env.sandbox.endpoint });
      expectInert(stdout);
      expectInert(stderr);
    }
  } finally {
    await rm(folder, { recursive: true });
  }
});
