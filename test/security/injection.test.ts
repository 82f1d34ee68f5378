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
import { CASES, type Made, planned } from '../report/plans.ts';
import { runCli } from '../support/cli.ts';
import { TAX_SPEC, testEnv } from '../support/env.ts';

/** What a name, a tag, a policy or an error of somebody else may hold, to steer whoever looks at it. */
const EVIL = [
  '\u001b[31m\u001b]0;title\u0007\u009b2J\u202e\u2066\u2028\u200b\u{e0041}\u007f',
  '\r\n::set-output name=a::b\n::add-mask::x ::warning::y \n::stop-commands::z ##[add-mask]x',
  '<!-- replikey: plan -->\n<!-- replikey: checksum 0 of commit 0 -->',
  '@everyone &#64;everyone #1 GH-1 ![x](https://evil.example/x.png) [x](javascript:x) www.evil.example',
  '``` ~~~ ` | a | </details><script>alert(1)</script><img src=x onerror=y> "quoted" \'quoted\'',
].join(' ');

/** Words of our own, that the text around them is chosen by. */
const OURS = new Set(
  'action op kind type verdict severity result status code cause algorithm digest calls region account title failureReason'.split(
    ' ',
  ),
);

/** The same value, with every text in it, and every name of a field that stands for a pointer, as hostile as can be. */
function hostile<T>(value: T, key = ''): T {
  if (typeof value === 'string') {
    // Ids of steps have names of others in them, those of risks have not.
    if (key === 'id' && !value.includes('/')) return value;
    return (OURS.has(key) || value === '' ? value : `${value}${EVIL}`) as T;
  }
  if (Array.isArray(value)) return value.map((one) => hostile(one, key)) as T;
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([name, one]) => [
    key === 'before' ? `${name}${EVIL}` : name,
    // The pair that a step belongs to is chosen by its name, which a spec cannot have otherwise.
    name === 'pairs' || name === 'spec' ? one : hostile(one, name),
  ]);
  return Object.fromEntries(entries) as T;
}

const steering = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;

/** Nothing for a terminal, a log or a pipeline to act on. */
function expectTame(text: string): void {
  expect(text.split('\n').filter((line) => steering.test(line))).toEqual([]);
  // GitHub takes `::command::` at the beginning of a line, behind white space too, and the older `##[command]` anywhere.
  expect(text.split('\n').filter((line) => /^\s*::|##\[/.test(line))).toEqual([]);
}

let made: { name: string; outcome: Outcome; pairs: Made['pairs'] }[];
beforeAll(async () => {
  const names = ['everything-is-new', 'a-field-of-a-rule', 'another-key', 'would-not-replicate'];
  const cases = CASES.filter(({ name }) => names.includes(name));
  expect(cases).toHaveLength(names.length);
  made = await Promise.all(
    cases.map(async (one) => {
      const { outcome, pairs } = await planned(one);
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
        name: one.name,
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

const findingProofs = (): RuleVerdict[] => made.flatMap(({ outcome }) => [...outcome.proof]);

describe('whatever others have written into AWS, into names of files and into errors', () => {
  test('a plan on a terminal shows, and does not do', () => {
    for (const { outcome, pairs } of made) {
      for (const width of [Number.POSITIVE_INFINITY, 80]) {
        const style = { ...PLAIN_STYLE, width, explain: true };
        const variables = [{ name: 'a', value: EVIL, from: '--var' as const }];
        const text = planText(outcome.plan, pairs, outcome.proof, style, variables);
        expect(text).toContain('\\u001b[31m');
        expectTame(text);
      }
    }
  });

  test('so does how it ended, and what the doctor says', () => {
    for (const { outcome } of made) {
      expectTame(outcomeText(outcome, PLAIN_STYLE.paint));
      expectTame(outcomeText({ ...outcome, refusals: [] }, PLAIN_STYLE.paint));
    }
    const rules = findingProofs();
    const objects = hostile([
      { bucket: 'b', lookedAt: 1, byStatus: { FAILED: 1 }, findings: rules.flatMap((one) => one.findings) },
    ]);
    for (const verbose of [true, false])
      expectTame(
        doctorText({ rules, objects, declared: { changes: 1, rules } } as never, verbose, PLAIN_STYLE.paint),
      );
  });

  test('JSON is the same JSON, with nothing in it that steers', () => {
    const calls = { reads: 0, writes: 0, byOperation: new Map() };
    for (const { outcome } of made) {
      for (const value of [
        planJson(outcome.plan, outcome.proof),
        outcomeJson(outcome, calls),
        ndjsonLines.plan(outcome.plan, outcome.proof, {}),
        toSarif(outcome.proof, { version: '1', pairs: [], toUri: encodeURI }),
      ]) {
        const text = safeJson(value, 2);
        expectTame(text);
        expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)));
        expectTame(safeJson(value));
      }
      expectTame(jsonResponse(200, outcome).body);
    }
  });

  test('any text comes out of JSON as it went in', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(JSON.parse(safeJson({ [text]: text }))).toEqual({ [text]: text });
        expect(safeJson(text)).not.toMatch(steering);
      }),
    );
  });

  test('a comment on a pull request mentions, links and shows nothing that is not ours, and has one marker', () => {
    for (const { outcome, pairs } of made) {
      const command = `reconcile --once 'specs/${EVIL}'`;
      const variables = [{ name: 'a', value: EVIL, from: '--var' as const }];
      const text = planMarkdown({ ...outcome, pairs, command, variables, nonAwsTarget: EVIL });
      expectTame(text);
      expect(text.split('\n', 1)).toEqual(['<!-- replikey: plan -->']);
      const foreign = text
        .slice('<!-- replikey: plan -->'.length)
        // In blocks and between backticks, Markdown and what GitHub looks for stay what they are.
        .replace(/^(`{3,}|~{3,})[a-z]*\n[\s\S]*?\n\1$/gm, '')
        .replace(/(?<![`\\])(`+)(?!`)[^\n]*?(?<!`)\1(?!`)/g, '')
        .replace(/<!-- -->/g, '\u0000')
        .replace(/<\/?(?:details|summary)>/g, '')
        .replaceAll('> [!WARNING]', '')
        .replaceAll('> [!IMPORTANT]', '')
        .replace(/^> /gm, '');
      // The title of a pair lies in a block of HTML, where Markdown has no say.
      expect(foreign.replace(/^<b>.*$/gm, '')).not.toMatch(/(?<!\\)[`\]]/);
      expect(foreign).not.toMatch(/@[\w-]|#\d|GH-\d|https?:\/\/|www\./);
      expect(foreign.replace(/<\/?b>/g, '')).not.toMatch(/(?<!\\)[<>]|(?<!\\)&(?!amp;|lt;|gt;)/);
      for (const row of text.split('\n').filter((line) => line.startsWith('| ')))
        expect(row.match(/(?<!\\)\|/g), row).toHaveLength(7);
    }
  });

  test('a log is one line an entry, for machines and for people', () => {
    for (const isTTY of [false, true]) {
      let said = '';
      const stream = Object.assign(
        new Writable({
          write(chunk, _, done) {
            said += chunk;
            done();
          },
        }),
        { isTTY },
      ) as unknown as NodeJS.WriteStream;
      const log = createLog(stream, { level: 'debug', colour: false });
      log.warn({ step: EVIL, nested: { list: [EVIL] } }, `it failed: ${EVIL}`);
      expectTame(said);
      expect(said.trimEnd().split('\n')).toHaveLength(1);
      if (!isTTY) expect(JSON.parse(said)).toMatchObject({ step: EVIL, msg: `it failed: ${EVIL}` });
    }
  });

  test('problems of specs show what is written, and where', () => {
    const position = { file: `a${EVIL}.yaml`, line: 1, column: 1 };
    expectTame(formatProblems([{ position, message: 'it is wrong', excerpt: '' } as never]));
  });

  const status = (): PairStatus => {
    const is = {
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
      conditions: { Ready: is, Proven: is, Verified: is, Drifted: is },
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
          steps: hostile(made[1]?.outcome.plan.waves.flat() ?? []),
        },
      ],
      proof: findingProofs(),
    } as unknown as PairStatus;
  };

  test('the status page holds it as text: no tag, no attribute and no address comes of it', () => {
    const controller = {
      pairs: [status()],
      problems: [{ position: { file: EVIL, line: 1, column: 1 }, message: EVIL, hint: EVIL }],
      queue: { depth: 0, active: 0, adds: 0, unfinishedMs: 0, longestMs: 0 },
      calls: { reads: 0, writes: 0, byOperation: {} },
    };
    const page = renderStatusPage(controller as never, { version: EVIL, now: 0 });
    expect(page.split('\n').filter((line) => steering.test(line))).toEqual([]);
    const tags =
      page.match(/<[a-z!](?:[^>"]|"[^"]*")*>/gi)?.map((tag) => tag.replace(/"[^"]*"/g, '""')) ?? [];
    expect(tags.length).toBeGreaterThan(20);
    expect(tags.filter((tag) => /^<(?:script|img|!--|a )|[ "](?:on\w+|href|src|style)=/i.test(tag))).toEqual(
      [],
    );
  });

  test('a label of a metric ends where it should', async () => {
    const metrics = createMetrics({ version: EVIL, name: 'replikey', workers: 1 });
    const now = {
      pairs: [status()],
      queue: { depth: 0, active: 0, adds: 0, unfinishedMs: 0, longestMs: 0 },
      calls: { byOperation: { [EVIL]: 1 } },
    };
    metrics.countThrottle(`s3:${EVIL}`);
    const text = await metrics.render({ status: () => now } as unknown as Controller);
    const label = '[a-zA-Z_]\\w*="(?:[^"\\\\\\n]|\\\\["\\\\n])*"';
    const sample = new RegExp(`^[a-zA-Z_:][\\w:]*(?:\\{${label}(?:,${label})*\\})? \\S+$`);
    expect(
      text
        .trimEnd()
        .split('\n')
        .filter((line) => line !== '' && !line.startsWith('# ') && !sample.test(line)),
    ).toEqual([]);
  });

  test('what Kubernetes is told steers nobody who describes it', () => {
    const resource = { kind: 'BucketReplication', name: 'tax', namespace: 'n', uid: 'u', generation: 1 };
    for (const { message } of toResourceStatus(resource as CustomResource, {
      pair: status(),
      problems: [],
      now: '',
    })?.conditions ?? [])
      expectTame(message);
    const before = status();
    const unlike = { ...before.conditions.Ready, message: '' };
    const conditions = { ...before.conditions, Ready: unlike, Drifted: unlike };
    const drifted = { ...status().conditions, Drifted: { ...status().conditions.Drifted, reason: 'Healed' } };
    const notices = resourceEventsOf(
      { ...before, conditions, changes: [] },
      { ...status(), conditions: drifted },
    );
    expect(notices.map(({ reason }) => reason)).toEqual(['Drifted', 'Applied', 'Failed']);
    for (const { note } of notices) expectTame(note);
  });
});

test('what a hostile endpoint says reaches a terminal and a pipeline tame, whatever the form of the output', async () => {
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
    const bad = path.join(folder, 'bad.yaml');
    await writeFile(bad, TAX_SPEC.replace('prefix: Tax/', 'prefix: Tax/\n      "##[add-mask]x": 1'));
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
      ['validate', bad],
      ['validate', '-o', 'json', bad],
      ['plan', `${file}\u001b::warning::`],
    ]) {
      const { stdout, stderr } = await runCli(args, { endpoint: env.sandbox.endpoint });
      expectTame(stdout);
      expectTame(stderr);
    }
  } finally {
    await rm(folder, { recursive: true });
  }
});
