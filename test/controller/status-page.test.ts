import { describe, expect, test } from 'vitest';
import type { ControllerStatus, PairStatus } from '../../src/controller/status.ts';
import { renderStatusPage } from '../../src/controller/status-page/page.ts';
import { type PageQuery, parsePageQuery } from '../../src/controller/status-page/query.ts';
import { FLEET_NOW, fleetStatus } from '../support/fleet-status.ts';

const SINCE = '2026-01-01T00:00:00.000Z';
const HOSTILE_TEXT = '<img src=x onerror=alert(1)> "quoted" \u202e\u001b[31m';

const render = (status: ControllerStatus, query: PageQuery = {}) =>
  renderStatusPage(status, { version: '1.2.3', now: FLEET_NOW, query });

/** Renders the page that a link leads to. */
const follow = (status: ControllerStatus, href: string) =>
  render(status, parsePageQuery(new URL(href.replaceAll('&amp;', '&'), 'http://localhost').searchParams));

/** Returns the names of the listed pairs, in their order. */
const namesIn = (page: string) =>
  [...page.matchAll(/<tr role="row" id="pair-([^"]+)"/g)].map(([, name]) => name);

/** Returns the number and the address of each tile, by its name. */
const tilesIn = (page: string) =>
  Object.fromEntries(
    [...page.matchAll(/id="tile-(\w+)" href="([^"]+)"[^>]*><b>([\d,]+)</g)].map(
      ([, name = '', href = '', count = '']) => [name, { href, count: Number(count.replace(',', '')) }],
    ),
  );

/** Returns a fleet with one changed pair. */
function withPair(overrides: Partial<PairStatus>, count = 1): ControllerStatus {
  const status = fleetStatus(count);
  const [first, ...rest] = status.pairs;
  return { ...status, pairs: [{ ...(first as PairStatus), ...overrides }, ...rest] };
}

const condition = (status: 'True' | 'False' | 'Unknown', reason: string, message = 'a message') => ({
  status,
  reason,
  message,
  since: SINCE,
});

const READY_CONDITIONS = {
  Ready: condition('True', 'Converged'),
  Proven: condition('True', 'AllRequestsAllowed'),
  Verified: condition('Unknown', 'NotEnabled', 'canaries are not enabled: set --verify-interval'),
  Replicating: condition('Unknown', 'NoData'),
  Drifted: condition('False', 'AsDeclared'),
};

describe('list', () => {
  test('30 pairs: lists the failing ones first, a failed canary included', () => {
    expect(namesIn(render(fleetStatus(30))).slice(0, 6)).toEqual([
      'tax',
      'claims',
      'invoices-01',
      'archive',
      'media',
      'archive-01',
    ]);
  });

  test('tiles: count every pair once, and each filters the list', () => {
    const status = fleetStatus(30);
    const tiles = tilesIn(render(status));
    expect(tiles).toMatchObject({
      failing: { count: 3 },
      drifted: { count: 1 },
      pending: { count: 1 },
      ready: { count: 25 },
      all: { count: 30, href: '/' },
    });
    expect(namesIn(follow(status, tiles.failing?.href ?? ''))).toEqual(['tax', 'claims', 'invoices-01']);
    expect(namesIn(follow(status, tiles.drifted?.href ?? ''))).toEqual(['archive']);
    // The tiles still count the pairs in the other states.
    expect(tilesIn(follow(status, tiles.drifted?.href ?? '')).ready?.count).toBe(25);
  });

  test.each([
    ['a name', 'tax', ['tax', 'tax-01', 'tax-02']],
    ['words that occur in different fields', 'CLAIMS-01 team=media', ['claims-01']],
    ['a label', 'team=media scans', ['scans']],
    ['a reason', 'refused', ['invoices-01']],
    ['text that does not occur', 'nothing-has-this', []],
  ])('search for %s: lists the matching pairs', (_, q, names) => {
    expect(namesIn(render(fleetStatus(30), { q })).sort()).toEqual(names);
  });

  test('an invalid label selector: reports it, and lists no pair', () => {
    const page = render(fleetStatus(30), { label: 'team=(' });
    expect(page).toContain('role="alert">invalid selector &quot;team=(&quot;: use key=value');
    expect(namesIn(page)).toEqual([]);
    expect(page).toContain('<a href="/">Show all pairs</a>');
  });

  test('1,000 pairs: links lead to every pair once, 20 on a page', () => {
    const status = fleetStatus(1_000);
    const names: (string | undefined)[] = [];
    let href: string | undefined = '/';
    while (href !== undefined) {
      const page: string = follow(status, href);
      expect(namesIn(page)).toHaveLength(20);
      names.push(...namesIn(page));
      href = /<a href="([^"]+)" rel="next">/.exec(page)?.[1];
    }
    expect(names).toHaveLength(1_000);
    expect(new Set(names).size).toBe(1_000);
  });

  test('a page after the last one: shows the last one, because pairs can disappear', () => {
    expect(render(fleetStatus(30), { page: 9 })).toContain('<span>21–30 of 30 pairs</span>');
  });

  test('one page is enough: has no links to pages', () => {
    expect(render(fleetStatus(20))).not.toContain('aria-label="Pages"');
  });

  test.each([1_000, 10_000])('%i pairs: every page is smaller than 200 KB', (count) => {
    const status = fleetStatus(count);
    const queries: PageQuery[] = [
      {},
      { page: 3 },
      { group: 'label:team' },
      { group: 'region' },
      { pair: 'tax' },
    ];
    for (const query of queries) expect(Buffer.byteLength(render(status, query))).toBeLessThan(200_000);
  });

  test('10,000 pairs in 34 Regions, 500 accounts and teams, with long texts: the page is smaller than 200 KB', () => {
    const regions = Array.from({ length: 34 }, (_, index) => `ap-southeast-${index}`);
    const status = fleetStatus(10_000);
    const long = `${HOSTILE_TEXT} `.repeat(500);
    const pairs = status.pairs.map((pair, index) => ({
      ...pair,
      sides: [
        {
          source: {
            bucket: 'b'.repeat(63),
            region: regions[index % 34] ?? '',
            account: `account-${index % 500}`,
          },
          destination: { bucket: 'c'.repeat(63), region: regions[(index * 7) % 33] ?? '' },
        },
      ],
      labels: { team: `team-${index % 500}`, [`key-${index % 500}`]: 'x' },
      conditions: { ...pair.conditions, Ready: condition('False', 'ApplyFailed', long) },
    }));
    for (const query of [{}, { group: 'account' }, { group: 'label:team' }, { pair: 'tax' }]) {
      const page = render({ ...status, pairs }, query);
      expect(Buffer.byteLength(page)).toBeLessThan(200_000);
    }
  });

  test('what is not enabled is named, and has the style of no state', () => {
    const status = withPair({
      conditions: READY_CONDITIONS,
      replication: { at: SINCE, state: 'notEnabled', history: { failed: [], latencySeconds: [] } },
    });
    const { canary: _, ...pair } = status.pairs[0] as PairStatus;
    const page = render({ ...status, pairs: [pair] });
    // Three totals, and three cells of the pair.
    expect(page.match(/<span class="off"[^>]*>not enabled<\/span>/g)).toHaveLength(6);
    expect(page).not.toContain('?</span>');
  });

  test('no datapoint is not zero: the cell is "no data"', () => {
    const status = withPair({
      replication: {
        at: SINCE,
        state: 'available',
        failed: 3,
        history: { failed: [null, 3], latencySeconds: [] },
      },
    });
    const page = render(status);
    expect(page).toContain('data-label="Lag"><span class="off">no data</span>');
    expect(page).toContain('<span class="value failing">3</span>');
    expect(page).toContain('failed operations in the last 2 hours: at most 3 in an hour');
  });
});

describe('groups', () => {
  test.each([
    ['account', ['main']],
    ['region', ['us-east-1', 'us-west-2', 'eu-central-1', 'eu-west-1']],
    ['label:team', ['team=finance', 'team=claims', 'team=media']],
    ['label:none', ['without none']],
  ])('%s: the group with the worst pair is first, and its link selects exactly its pairs', (group, names) => {
    const status = fleetStatus(30);
    const page = render(status, { group });
    const groups = [
      ...page.matchAll(/class="group"><th[^>]*><a href="([^"]+)">([^<]+)<\/a> (.*?)<\/th>/g),
    ].map(([, href = '', name = '', counts = '']) => ({
      href,
      name,
      count: [...counts.matchAll(/<\/span> (\d+) (?:failing|drifted|pending|ready)/g)].reduce(
        (sum, [, number]) => sum + Number(number),
        0,
      ),
    }));
    expect(groups.map(({ name }) => name)).toEqual(names);
    expect(groups.reduce((sum, { count }) => sum + count, 0)).toBe(30);
    for (const { href, count } of groups) expect(tilesIn(follow(status, href)).all?.count).toBe(count);
  });

  test('a group has its worst five pairs, and a link to the others', () => {
    const page = render(fleetStatus(30), { group: 'account' });
    expect(namesIn(page)).toEqual(['tax', 'claims', 'invoices-01', 'archive', 'media']);
    expect(page).toContain('<a href="/?account=main">25 more in main</a>');
  });

  test('a two-way pair belongs to the groups of both of its sources', () => {
    const sides = [
      { source: { bucket: 'a', region: 'us-east-1' }, destination: { bucket: 'b', region: 'us-west-2' } },
      { source: { bucket: 'b', region: 'us-west-2' }, destination: { bucket: 'a', region: 'us-east-1' } },
    ];
    const page = render(withPair({ sides }), { group: 'region' });
    expect(namesIn(page)).toEqual(['tax', 'tax']);
    expect(namesIn(render(withPair({ sides }), { group: 'region', from: 'us-west-2' }))).toEqual(['tax']);
  });
});

describe('Region matrix', () => {
  test('counts the pairs of each direction with their worst state, and links to them', () => {
    const status = fleetStatus(30);
    const page = render(status);
    const cells = [...page.matchAll(/<td><a class="(\w+)" href="([^"]+)" aria-label="([^"]+)"/g)];
    const labels = cells.map(([, , , label]) => label);
    expect(labels).toContain('us-east-1 to us-west-2: 6 pairs, 1 failing');
    expect(labels.reduce((sum, label) => sum + Number(/: (\d+) pair/.exec(label ?? '')?.[1]), 0)).toBe(30);
    for (const [, , href = '', label = ''] of cells)
      expect(tilesIn(follow(status, href)).all?.count).toBe(Number(/: (\d+) pair/.exec(label)?.[1]));
  });
});

describe('page of a pair', () => {
  const page = render(fleetStatus(30), { pair: 'tax' });

  test('explains failed operations with count, start, cause, author and fix', () => {
    const text = page.replace(/<[^>]+>/g, ' ').replace(/\s+/g, ' ');
    for (const part of [
      '214 failed operations SrcGetObjectNotPermitted',
      'from 2026-11-26 20:02:11 UTC',
      'Cause the policy of the role replikey-acme-tax does not allow s3:GetObjectVersionForReplication',
      'Author last changed by arn:aws:sts::111122223333:assumed-role/admin/jane with PutRolePolicy',
      'Fix add this statement to the policy of role replikey-acme-tax: {&quot;Effect&quot;:&quot;Allow&quot;',
      'acme-tax (us-east-1, main, 111122223333) → acme-tax-replica (us-west-2, backup, 444455556666)',
      'team=finance tier=gold',
      'specs/tax.yaml:3',
    ])
      expect(text).toContain(part);
  });

  test('links to the pages of findings and to the runbook of a condition', () => {
    expect(page).toContain('<a href="/docs/reference/findings/RK1301">RK1301</a>');
    expect(page).toContain('<a href="/docs/how-to/run-in-a-cluster#objects-failed">Runbook</a>');
    expect(page).toContain('<a href="/docs/how-to/run-in-a-cluster#not-proven">Runbook</a>');
  });

  test('a condition of a new type: has a row like the others', () => {
    const conditions = {
      ...READY_CONDITIONS,
      Locked: condition('False', 'NoLock', 'the bucket has no lock'),
    };
    const text = render(withPair({ conditions }), { pair: 'tax' });
    expect(text).toContain('<b>Locked: NoLock</b> the bucket has no lock');
    expect(text).toContain('<th scope="row" role="rowheader">Locked</th>');
  });

  test('names the caller of attributed drift, and shows the changes of one set in one line', () => {
    const text = render(
      withPair({
        changes: [
          {
            at: SINCE,
            cause: 'drift',
            result: 'applied',
            steps: [
              {
                id: 'iam.role-policy/replikey-fine',
                action: 'update',
                patch: [
                  { op: 'remove', path: '/statements/A/Action/s3:*' },
                  { op: 'add', path: '/statements/A/Action/s3:GetObject', value: 's3:GetObject' },
                ],
                before: { '/statements/A/Action/s3:*': 's3:*' },
                why: ['S3 reads source objects'],
                lastChange: { by: `arn:jane${HOSTILE_TEXT}`, event: 'PutRolePolicy', at: SINCE },
              },
            ],
          },
        ],
      }),
      { pair: 'tax' },
    );
    expect(text).toContain('    statements.A.Action: - s3:*, + s3:GetObject\n');
    expect(text).toContain('    # last changed by arn:jane&lt;img');
    expect(text).toContain(` with PutRolePolicy at ${SINCE}`);
  });

  test('shows that the sample of newest objects does not cover the bucket', () => {
    const objects = { byStatus: { COMPLETED: 50 }, coverage: { listed: 1_000, complete: false } };
    expect(render(withPair({ objects }), { pair: 'tax' })).toContain(
      '<p>Newest objects: 50 COMPLETED; the newest of the first 1000 versions; the bucket has more.</p>',
    );
  });

  test('large history, proof and bursts: the page is smaller than 200 KB', () => {
    // Each quote takes six characters in HTML.
    const long = '"'.repeat(1_024);
    const burst = fleetStatus(1).pairs[0]?.failureBursts?.[0];
    const verdict = fleetStatus(1).pairs[0]?.proof[0];
    if (!burst || !verdict) throw new Error('the first pair has failures and a proof');
    const finding = { ...verdict.findings[0], message: long };
    const pairWith = (bursts: number, rules: number) =>
      withPair({
        failureBursts: Array(bursts).fill({
          ...burst,
          keys: Array(20).fill(long),
          cause: long.repeat(9),
          fix: long.repeat(9),
          commands: [{ what: 'x', command: long.repeat(3) }],
        }),
        proof: Array(rules).fill({ ...verdict, findings: [finding, finding, finding] }),
      });
    const text = render(pairWith(200, 1_000), { pair: 'tax' });
    expect(Buffer.byteLength(text)).toBeLessThan(200_000);
    expect(text).toMatch(/And 19\d earlier ones\./);
    expect(text).toMatch(/And 99\d more rules/);
    expect(Buffer.byteLength(render(pairWith(1, 1), { pair: 'tax' }))).toBeLessThan(150_000);
  });

  test('an ended burst and failed deletions: are not shown as failures, and a correction by replikey is', () => {
    const burst = fleetStatus(1).pairs[0]?.failureBursts?.[0];
    const at = '2026-11-26T21:01:00.000Z';
    const text = render(
      withPair({
        failureBursts: [
          {
            ...(burst as NonNullable<typeof burst>),
            endedAt: at,
            reverted: { at, ids: ['iam.role-policy/replikey-acme-tax'] },
            commands: [{ what: 'role', command: "aws iam put-role-policy --role-name 'x'\naws s3 ls" }],
          },
          { ...(burst as NonNullable<typeof burst>), id: '2', operation: 'OBJECT_DELETE' },
        ],
      }),
      { pair: 'tax' },
    );
    expect(text.match(/class="burst off-burst"/g)).toHaveLength(2);
    expect(text).toContain(`by replikey at ${at}: iam.role-policy/replikey-acme-tax`);
    expect(text).toContain(`<pre tabindex="0">aws iam put-role-policy --role-name 'x'\naws s3 ls</pre>`);
  });
});

describe('header', () => {
  const header = (process: Partial<ControllerStatus['process']>) => {
    const status = fleetStatus(1);
    const page = render({ ...status, process: { ...status.process, ...process } });
    return /<div id="facts">(.*?)<\/div>/s.exec(page)?.[1]?.replace(/<[^>]+>/g, '');
  };

  test.each([
    [{}, 'AWS accounts main 111122223333, backup 444455556666 leader version 1.2.3 up 3 days last check now'],
    [{ endpoint: 'sandbox', accounts: { '': '111122223333' } }, 'sandbox account 111122223333 leader'],
    [{ endpoint: 'http://127.0.0.1:4566' }, 'http://127.0.0.1:4566 accounts'],
    [{ role: 'standby' as const, leases: { replikey: false } }, 'standby version 1.2.3'],
    [{ role: 'planOnly' as const, leases: {} }, 'plan only version 1.2.3'],
    [
      { leases: { 'replikey-1-of-3': true, 'replikey-2-of-3': false, 'replikey-3-of-3': true } },
      'leader of 2 of 3 shards',
    ],
    [
      { accounts: Object.fromEntries([1, 2, 3, 4, 5].map((n) => [`a${n}`, `${n}`.repeat(12)])) },
      'a3 333333333333, and 2 more',
    ],
  ])('%o: shows %s', (process, text) => {
    expect(header(process)).toContain(text);
  });
});

test('page: stays the same for a minute while nothing changes, so that polling browsers receive nothing', () => {
  const status = fleetStatus(30);
  const at = (now: number) => renderStatusPage(status, { version: '1.2.3', now });
  const start = FLEET_NOW + 10_000;
  expect(at(start + 15_000)).toBe(at(start));
  expect(at(start + 60_000)).not.toBe(at(start));
});

test('page: escapes hostile text in every field', () => {
  const status = withPair({
    name: HOSTILE_TEXT,
    labels: { [HOSTILE_TEXT]: HOSTILE_TEXT },
    sides: [
      {
        source: { bucket: HOSTILE_TEXT, region: HOSTILE_TEXT, account: HOSTILE_TEXT },
        destination: { bucket: HOSTILE_TEXT, region: HOSTILE_TEXT },
      },
    ],
    conditions: { ...READY_CONDITIONS, Ready: condition('False', HOSTILE_TEXT, HOSTILE_TEXT) },
  });
  const problems = [
    { position: { file: 'specs/b.yaml', line: 7, column: 2 }, message: HOSTILE_TEXT, hint: 'rename it' },
  ];
  const queries: PageQuery[] = [
    {},
    { pair: HOSTILE_TEXT },
    { q: HOSTILE_TEXT, from: HOSTILE_TEXT, label: HOSTILE_TEXT, account: HOSTILE_TEXT },
    { group: `label:${HOSTILE_TEXT}` },
    { group: 'region' },
  ];
  for (const query of queries) {
    const page = render({ ...status, problems }, query);
    expect(page).toContain('specs/b.yaml:7:2');
    expect(page).not.toMatch(/<img|https?:/);
    expect(page.match(/<script/g)).toHaveLength(1);
    for (const character of ['\u202e', '\u001b']) expect(page).not.toContain(character);
  }
});

describe('query', () => {
  test.each([
    'state=broken',
    'page=0',
    'page=-1',
    'page=1e99',
    'page=<script>',
    'group=name',
    'group=label:',
  ])('%s: is invalid', (text) => {
    expect(() => parsePageQuery(new URLSearchParams(text))).toThrow(/^invalid (state|page|group) "/);
  });

  test('a long parameter: is invalid, because every link repeats it', () => {
    expect(() => parsePageQuery(new URLSearchParams({ q: 'a'.repeat(401) }))).toThrow(
      'invalid q: use at most 400 characters',
    );
  });

  test('the empty fields of a form are no filters', () => {
    expect(parsePageQuery(new URLSearchParams('q=+&from=&to=&label=&group=&page='))).toEqual({});
  });
});

describe('backfill', () => {
  const job = { id: 's3.backfill/acme-tax/tax' as const, succeeded: 400, failed: 2, pairs: ['tax'] };

  test('a job in progress: shows its counts, and a bar with a name', () => {
    const jobs: PairStatus['jobs'] = [{ ...job, state: 'inProgress', jobId: 'j-1', total: 1_203 }];
    const page = render(withPair({ jobs }), { pair: 'tax' });
    expect(page).toContain('<progress max="1203" value="402" aria-label="progress of the job j-1">');
    expect(page).toContain('the job j-1 runs: 402 of 1,203 objects done (33 %), 2 failed');
  });

  test('text from AWS: is escaped', () => {
    const jobs: PairStatus['jobs'] = [{ ...job, state: 'blocked', jobId: 'j-1', reason: HOSTILE_TEXT }];
    const page = render(withPair({ jobs }), { pair: 'tax' });
    expect(page).not.toContain('<img');
    expect(page).not.toContain('\u202e');
  });

  test('without a backfill: the page has no such section', () => {
    expect(render(withPair({}), { pair: 'tax' })).not.toContain('id="backfill"');
  });
});
