import { describe, expect, test } from 'vitest';
import { createRoutes } from '../../src/controller/routes.ts';
import type { ControllerStatus, PairStatus } from '../../src/controller/status.ts';
import type { Problem } from '../../src/spec/types.ts';
import { fakeClock } from '../support/fake-clock.ts';

const condition = { status: 'True', reason: 'Converged', message: '', since: '2026-01-01T00:00:00.000Z' };

/** Returns the status of a pair; `length` is the approximate number of characters in its proof. */
const pairOf = (name: string, length = 0): PairStatus =>
  ({
    name,
    sides: [],
    labels: {},
    conditions: {
      Ready: condition,
      Proven: condition,
      Verified: condition,
      Replicating: condition,
      Drifted: condition,
    },
    generation: 'g',
    declaredGeneration: 'g',
    failures: 0,
    retry: 'none',
    changes: [],
    proof:
      length === 0 ? [] : [{ rule: 'a'.repeat(length), destination: 'b', verdict: 'proven', findings: [] }],
  }) as unknown as PairStatus;

const pairsOf = (count: number, length?: number) =>
  Array.from({ length: count }, (_, index) => pairOf(`pair-${String(index).padStart(4, '0')}`, length));

/** Returns a function that requests a path from a controller with this status. */
function routesOf(pairs: PairStatus[], problems: Problem[] = []) {
  const status: ControllerStatus = {
    process: { startedAt: '2026-01-01T00:00:00.000Z', accounts: {}, role: 'single', leases: {} },
    pairs,
    problems,
    queue: { depth: 0, active: 0, adds: 0, unfinishedMs: 0, longestMs: 0 },
    isSynced: true,
    lastMove: 0,
    calls: { reads: 0, writes: 0, byOperation: {} },
  };
  const controller = { status: () => ({ ...status, pairs: [...pairs] }) };
  const options = { controller, settings: { clock: fakeClock(), intervalMs: 1_000 } };
  const routes = createRoutes(options as unknown as Parameters<typeof createRoutes>[0]);
  return async (target: string) => {
    const [path = '', search] = target.split('?');
    const route = routes.get(path);
    if (!route) throw new Error(`no route ${path}`);
    return route.respond(new URLSearchParams(search));
  };
}

/** Requests every page of `/status`, and returns the names on each page. */
async function readPages(request: ReturnType<typeof routesOf>, limit?: number): Promise<string[][]> {
  const pages: string[][] = [];
  let token: string | undefined;
  do {
    const query = new URLSearchParams({
      ...(limit && { limit: String(limit) }),
      ...(token && { continue: token }),
    });
    const page = JSON.parse((await request(`/status?${query}`)).body);
    pages.push(page.pairs.map(({ name }: PairStatus) => name));
    token = page.continue;
  } while (token !== undefined);
  return pages;
}

describe('/status', () => {
  test('250 pairs: has pages of 100 pairs by name, which contain every pair once', async () => {
    const pairs = pairsOf(250);
    const pages = await readPages(routesOf(pairs.toReversed()));
    expect(pages.map(({ length }) => length)).toEqual([100, 100, 50]);
    expect(pages.flat()).toEqual(pairs.map(({ name }) => name));
  });

  test.each([
    [1, 3],
    [2, 2],
    [3, 1],
    [500, 1],
  ])('limit=%i of 3 pairs: has %i pages', async (limit, count) => {
    const pages = await readPages(routesOf(pairsOf(3)), limit);
    expect(pages).toHaveLength(count);
    expect(pages.flat()).toHaveLength(3);
  });

  test('large pairs: a page ends at a size, and has at least one pair', async () => {
    const request = routesOf([...pairsOf(200, 20_000), pairOf('zz-huge', 5_000_000)]);
    const pages = await readPages(request, 500);
    expect(pages.flat()).toHaveLength(201);
    expect(Math.max(...pages.map(({ length }) => length))).toBeLessThan(10);
    expect(pages.at(-1)).toEqual(['zz-huge']);
    expect((await request('/status?limit=500')).body.length).toBeLessThan(129 * 1024);
  });

  test('the pair of a token is removed: the next page continues behind its name', async () => {
    const pairs = pairsOf(5);
    const request = routesOf(pairs);
    const page = JSON.parse((await request('/status?limit=2')).body);
    expect(page).toMatchObject({ continue: 'pair-0001', remainingPairs: 3 });
    pairs.splice(0, 2);
    const next = JSON.parse((await request(`/status?limit=2&continue=${page.continue}`)).body);
    expect(next.pairs).toMatchObject([{ name: 'pair-0002' }, { name: 'pair-0003' }]);
  });

  test('pair=NAME: responds with this pair, or with 404', async () => {
    const request = routesOf(pairsOf(300));
    const { pairs, continue: token } = JSON.parse((await request('/status?pair=pair-0299')).body);
    expect(pairs).toMatchObject([{ name: 'pair-0299' }]);
    expect(token).toBeUndefined();
    expect(await request('/status?pair=none%1b')).toMatchObject({
      status: 404,
      body: 'no pair has the name "none\\u001b"\n',
    });
  });

  test.each(['0', '-1', '501', '1.5', 'x', ''])('limit=%s: responds with 400', async (limit) => {
    const response = await routesOf(pairsOf(1))(`/status?limit=${limit}`);
    expect(response).toMatchObject({ status: 400, body: expect.stringContaining('from 1 to 500') });
  });

  test('many problems: contains the first 100 and the number of the others', async () => {
    const problems = Array.from({ length: 1_234 }, (_, line) => ({
      position: { file: 'a.yaml', line, column: 1 },
      message: 'wrong',
    }));
    const request = routesOf(pairsOf(1), problems);
    const status = JSON.parse((await request('/status')).body);
    expect(status.problems).toHaveLength(100);
    expect(status.remainingProblems).toBe(1_134);
    expect((await request('/')).body).toContain('And 1214 more');
  });
});

describe('status page', () => {
  test('120 pairs: links lead to every pair', async () => {
    const request = routesOf(pairsOf(120));
    const names: string[] = [];
    let target: string | undefined = '/';
    while (target !== undefined) {
      const { body }: { body: string } = await request(target);
      names.push(...[...body.matchAll(/<tr role="row" id="pair-(pair-\d+)"/g)].map(([, name = '']) => name));
      target = /<a href="([^"]+)" rel="next">/.exec(body)?.[1];
    }
    expect(names).toEqual(pairsOf(120).map(({ name }) => name));
  });

  test('pair=NAME: shows this pair alone, or responds with 404', async () => {
    const request = routesOf(pairsOf(120));
    const { body } = await request('/?pair=pair-0119');
    expect(body).toMatch(/<h2 class="pair">.* pair-0119<\/h2>/);
    expect(body).not.toContain('pair-0118');
    expect(await request('/?pair=none%1b')).toMatchObject({
      status: 404,
      body: 'no pair has the name "none\\u001b"\n',
    });
  });

  test.each(['page=-1', 'page=x', 'page=1e99', 'state=<script>', 'group=name'])(
    '%s: responds with 400',
    async (query) => {
      const response = await routesOf(pairsOf(1))(`/?${encodeURI(query)}`);
      expect(response).toMatchObject({
        status: 400,
        type: 'text/plain; charset=utf-8',
        body: expect.stringMatching(/^invalid \w+ ".*": use /),
      });
    },
  );
});
