// One comment and one label on a pull request of GitHub or a merge request of GitLab, and what was approved by them.
//
//   node comment.mjs plan       show the plan that run.mjs left in REPLIKEY_RESULTS
//   node comment.mjs approved   print the checksum of the plan that the merge which led to this commit approved
//
// REPLIKEY_TOKEN may write comments and labels. REPLIKEY_COMMENT and REPLIKEY_LABEL are `false` to do without one.
import { appendFile, readFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';

const MARKER = '<!-- replikey: plan -->';
const PAGE = 100;
const ATTEMPTS = 4;
const LONGEST_WAIT_MS = 60_000;

const LABELS = {
  none: 'replikey: no changes',
  changes: 'replikey: changes',
  removals: 'replikey: removals',
  blocked: 'replikey: blocked',
};

const { env } = process;

const EXIT = { ok: 0, failed: 1, refused: 3, usage: 64 };

/** GitHub calls a pull request an issue wherever it is commented and labelled. */
async function github() {
  const event = JSON.parse(await readFile(env.GITHUB_EVENT_PATH, 'utf8'));
  const pull = event.pull_request;
  const repository = `/repos/${env.GITHUB_REPOSITORY}`;
  const call = caller(env.GITHUB_API_URL, {
    authorization: `Bearer ${env.REPLIKEY_TOKEN}`,
    accept: 'application/vnd.github+json',
    'x-github-api-version': '2022-11-28',
  });
  const issue = (number) => `${repository}/issues/${number}`;
  return {
    current: pull && {
      number: pull.number,
      commit: pull.head.sha,
      foreign: pull.head.repo?.full_name !== env.GITHUB_REPOSITORY,
    },
    runUrl: `${env.GITHUB_SERVER_URL}/${env.GITHUB_REPOSITORY}/actions/runs/${env.GITHUB_RUN_ID}`,
    commit: env.GITHUB_SHA,
    missing: 'the job needs `permissions:` with pull-requests: write, and issues: write to create labels',
    comments: (number, page) => call('GET', `${issue(number)}/comments?per_page=${PAGE}&page=${page}`),
    create: (number, body) => call('POST', `${issue(number)}/comments`, { body }),
    edit: (_, id, body) => call('PATCH', `${repository}/issues/comments/${id}`, { body }),
    // The token of a workflow may not ask for its user, but for the viewer.
    async ownComments() {
      const base = env.GITHUB_GRAPHQL_URL || `${env.GITHUB_API_URL}/graphql`;
      const answer = await call('POST', base, { query: '{ viewer { login } }' });
      const login = answer.data?.viewer?.login;
      if (!login) throw problem('the token belongs to nobody: its comments could not be told from others');
      return ({ user }) => user?.login === login;
    },
    async label(number, wanted) {
      const there = (await call('GET', `${issue(number)}/labels?per_page=${PAGE}`)).map(({ name }) => name);
      for (const name of Object.values(LABELS).filter((one) => one !== wanted && there.includes(one))) {
        await call('DELETE', `${issue(number)}/labels/${encodeURIComponent(name)}`).catch(unlessGone);
      }
      if (!there.includes(wanted)) await call('POST', `${issue(number)}/labels`, { labels: [wanted] });
    },
    async merged() {
      const pulls = await call('GET', `${repository}/commits/${env.GITHUB_SHA}/pulls?per_page=${PAGE}`);
      return pulls
        .filter(
          ({ merged_at, merge_commit_sha, base }) =>
            merged_at && merge_commit_sha === env.GITHUB_SHA && base.ref === env.GITHUB_REF_NAME,
        )
        .map(({ number, head }) => ({ number, commit: head.sha }));
    },
  };
}

async function gitlab() {
  const target = env.CI_MERGE_REQUEST_PROJECT_ID || env.CI_PROJECT_ID;
  const project = `/projects/${encodeURIComponent(target)}`;
  const call = caller(env.CI_API_V4_URL, { 'private-token': env.REPLIKEY_TOKEN });
  const request = (number) => `${project}/merge_requests/${number}`;
  return {
    current: env.CI_MERGE_REQUEST_IID && {
      number: env.CI_MERGE_REQUEST_IID,
      // In a pipeline for merged results, CI_COMMIT_SHA is a commit that nobody wrote.
      commit: env.CI_MERGE_REQUEST_SOURCE_BRANCH_SHA || env.CI_COMMIT_SHA,
      foreign: (env.CI_MERGE_REQUEST_SOURCE_PROJECT_ID || target) !== target,
    },
    runUrl: env.CI_JOB_URL,
    commit: env.CI_COMMIT_SHA,
    missing: 'REPLIKEY_TOKEN needs the scope api, and the role Developer',
    comments: (number, page) =>
      call('GET', `${request(number)}/notes?sort=asc&order_by=created_at&per_page=${PAGE}&page=${page}`),
    create: (number, body) => call('POST', `${request(number)}/notes`, { body }),
    edit: (number, id, body) => call('PUT', `${request(number)}/notes/${id}`, { body }),
    async ownComments() {
      const { id } = await call('GET', '/user');
      return ({ author, system }) => author?.id === id && !system;
    },
    label: (number, wanted) =>
      call('PUT', request(number), {
        add_labels: wanted,
        remove_labels: Object.values(LABELS)
          .filter((one) => one !== wanted)
          .join(','),
      }),
    async merged() {
      const commit = env.CI_COMMIT_SHA;
      const requests = await call(
        'GET',
        `${project}/repository/commits/${commit}/merge_requests?per_page=${PAGE}`,
      );
      return requests
        .filter(({ state, target_branch }) => state === 'merged' && target_branch === env.CI_COMMIT_BRANCH)
        .filter(({ merge_commit_sha, squash_commit_sha, sha }) =>
          // Merged fast forward, there is no other commit than the last one of the branch.
          [merge_commit_sha, squash_commit_sha, sha].includes(commit),
        )
        .map(({ iid, sha }) => ({ number: iid, commit: sha }));
    },
  };
}

/** Calls of one API. What passes by itself, or may be tried again at once, says so. */
function caller(base, headers) {
  return async (method, where, body) => {
    const url = new URL(where.startsWith('/') ? `${base}${where}` : where);
    const place = `${method} ${url.pathname}`;
    const answer = await fetch(url, {
      method,
      headers: { ...headers, 'user-agent': 'replikey', ...(body && { 'content-type': 'application/json' }) },
      ...(body && { body: JSON.stringify(body) }),
      // The token must not follow to wherever an answer points.
      redirect: 'manual',
      signal: AbortSignal.timeout(30_000),
    })
      .then(async (response) => ({ response, text: await response.text() }))
      .catch((error) => {
        throw problem(`${place}: ${error.cause?.message || error.message}`, { passing: true });
      });
    const { response, text } = answer;
    const said = parsed(text);
    if (response.ok && said !== undefined) return said;
    const why = response.ok ? 'the answer is no JSON' : (said?.message ?? said?.error ?? response.statusText);
    throw problem(
      `${place}: HTTP ${response.status}: ${typeof why === 'string' ? why : JSON.stringify(why)}`,
      {
        status: response.status,
        ...patience(response),
      },
    );
  };
}

/** An empty answer says nothing, but is one. */
function parsed(text) {
  try {
    return text === '' ? null : JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Both APIs answer 429, and GitHub 403 as well, with a time to wait. */
function patience({ status, headers }) {
  const seconds = Number(headers.get('retry-after') ?? Number.NaN);
  const asked = Number.isFinite(seconds) ? { waitMs: seconds * 1000 } : {};
  const passing = status >= 500 || status === 429 || (status === 403 && asked.waitMs !== undefined);
  return { ...asked, passing: passing && (asked.waitMs ?? 0) <= LONGEST_WAIT_MS };
}

const problem = (message, more = {}) => Object.assign(new Error(message), more);

const refusal = (message) => problem(message, { exitCode: EXIT.refused });

function unlessGone(error) {
  if (error.status !== 404) throw error;
}

/** For what may be done twice: a whole search and what follows from it, never a single call that makes something. */
async function patiently(body) {
  for (let attempt = 1; ; attempt++) {
    try {
      return await body();
    } catch (error) {
      if (!error.passing || attempt === ATTEMPTS) throw error;
      await wait(error.waitMs ?? 1000 * 2 ** attempt);
    }
  }
}

/** Our comment, if there is one: others may have written the marker too. */
async function ownComment(forge, number) {
  const own = await forge.ownComments();
  for (let page = 1; ; page++) {
    const comments = await forge.comments(number, page);
    const found = comments.find((comment) => own(comment) && comment.body?.startsWith(MARKER));
    if (found || comments.length < PAGE) return found;
  }
}

/** The second line says what was planned, where no word of a spec can stand. */
const seal = (checksum, commit) => `<!-- replikey: checksum ${checksum} of commit ${commit} -->`;
const SEAL = /^<!-- replikey: checksum ([0-9a-f]{64}) of commit ([0-9a-f]{40,64}) -->$/;

function commentOf(markdown, plan, { current, runUrl }) {
  const [, ...rest] = markdown.trimEnd().split('\n');
  return [
    MARKER,
    ...(plan ? [seal(plan.digest, current.commit)] : []),
    ...rest,
    '',
    `<sub>For commit ${current.commit}, by [this run](${runUrl}).</sub>`,
  ].join('\n');
}

function labelOf(plan) {
  if (!plan || plan.blocked.length > 0 || plan.refused?.length > 0) return LABELS.blocked;
  const steps = plan.waves.flat();
  if (steps.some(removes)) return LABELS.removals;
  return steps.length > 0 ? LABELS.changes : LABELS.none;
}

const removes = ({ action, patch }) =>
  action === 'delete' ||
  patch.some(({ op, path: field }) => op === 'remove' && /^\/(rules|statements)\/[^/]+$/.test(field));

async function showPlan(forge) {
  const { current } = forge;
  if (!current) return say('this is no pull request: the plan is in the summary of the run alone');
  const markdown = await readFile(path.join(env.REPLIKEY_RESULTS, 'plan.md'), 'utf8');
  const plan = await readFile(path.join(env.REPLIKEY_RESULTS, 'plan.json'), 'utf8').then(
    JSON.parse,
    () => undefined,
  );
  try {
    if (env.REPLIKEY_COMMENT !== 'false') {
      const body = commentOf(markdown, plan, forge);
      await patiently(async () => {
        const own = await ownComment(forge, current.number);
        await (own ? forge.edit(current.number, own.id, body) : forge.create(current.number, body));
      });
    }
    if (env.REPLIKEY_LABEL !== 'false') await patiently(() => forge.label(current.number, labelOf(plan)));
  } catch (error) {
    const denied = error.status === 401 || error.status === 403;
    if (denied && current.foreign)
      return say('a fork may not be commented on: the plan is in the summary of the run');
    throw denied ? problem(`${error.message}; ${forge.missing}`) : error;
  }
}

async function approved(forge) {
  const [request] = await patiently(() => forge.merged());
  const way = 'look at a new plan, and apply it by its checksum';
  if (!request)
    throw refusal(`no pull request was merged as ${forge.commit}, so no plan was approved: ${way}`);
  const { number, commit } = request;
  const comment = await patiently(() => ownComment(forge, number));
  const [, checksum, planned] = SEAL.exec(comment?.body.split(/\r?\n/)[1] ?? '') ?? [];
  if (!checksum) throw refusal(`request ${number} shows no plan that could have been approved: ${way}`);
  if (planned !== commit)
    throw refusal(`the plan of request ${number} is for commit ${planned}, but ${commit} was merged: ${way}`);
  process.stdout.write(`${checksum}\n`);
  if (env.GITHUB_OUTPUT) await appendFile(env.GITHUB_OUTPUT, `checksum=${checksum}\n`);
}

/** One line, without the token, whoever said it. */
function say(message) {
  const line = message
    .replaceAll(env.REPLIKEY_TOKEN || '\n', '***')
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, ' ');
  process.stderr.write(`replikey: ${line}\n`);
  return line;
}

const COMMANDS = { plan: showPlan, approved };

async function main([word = '']) {
  const command = Object.hasOwn(COMMANDS, word) && COMMANDS[word];
  const open = env.GITHUB_API_URL ? github : env.CI_API_V4_URL ? gitlab : undefined;
  if (!command || !open) {
    say('usage: node comment.mjs plan|approved, in a pipeline of GitHub or GitLab');
    return EXIT.usage;
  }
  const forge = await open();
  if (!env.REPLIKEY_TOKEN) {
    say(`there is no token; ${forge.missing}`);
    return forge.current?.foreign ? EXIT.ok : EXIT.usage;
  }
  try {
    await command(forge);
    return EXIT.ok;
  } catch (error) {
    const line = say(error.message);
    if (env.GITHUB_STEP_SUMMARY && word === 'approved')
      await appendFile(env.GITHUB_STEP_SUMMARY, `### replikey: nothing was applied\n\n    ${line}\n`);
    return error.exitCode ?? EXIT.failed;
  }
}

process.exitCode = await main(process.argv.slice(2));
