// Maintains one comment and one label on a GitHub pull request or a GitLab merge request, and reads the approved plan.
//
//   node comment.mjs plan       show the plan that run.mjs wrote to REPLIKEY_RESULTS
//   node comment.mjs approved   print the checksum of the plan approved by the merge that produced this commit
//
// REPLIKEY_TOKEN needs permission to write comments and labels. Set REPLIKEY_COMMENT or REPLIKEY_LABEL to `false` to
// omit one of them.
import { appendFile, readFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const MARKER = '<!-- replikey: plan -->';
const PAGE_SIZE = 100;
const MAX_ATTEMPTS = 4;
const MAX_RETRY_DELAY_MS = 60_000;

const LABELS = {
  none: 'replikey: no changes',
  changes: 'replikey: changes',
  removals: 'replikey: removals',
  blocked: 'replikey: blocked',
};

const { env } = process;

const EXIT = { ok: 0, failed: 1, refused: 3, usage: 64 };

/** The GitHub API treats a pull request as an issue for comments and labels. */
async function github() {
  const event = JSON.parse(await readFile(env.GITHUB_EVENT_PATH, 'utf8'));
  const pull = event.pull_request;
  const repository = `/repos/${env.GITHUB_REPOSITORY}`;
  const call = createApiClient(env.GITHUB_API_URL, {
    authorization: `Bearer ${env.REPLIKEY_TOKEN}`,
    accept: 'application/vnd.github+json',
    'x-github-api-version': '2022-11-28',
  });
  const issue = (number) => `${repository}/issues/${number}`;
  return {
    current: pull && {
      number: pull.number,
      commit: pull.head.sha,
      isFork: pull.head.repo?.full_name !== env.GITHUB_REPOSITORY,
    },
    runUrl: `${env.GITHUB_SERVER_URL}/${env.GITHUB_REPOSITORY}/actions/runs/${env.GITHUB_RUN_ID}`,
    commit: env.GITHUB_SHA,
    missingPermissions:
      'the job needs `permissions:` with pull-requests: write, and issues: write to create labels',
    comments: (number, page) => call('GET', `${issue(number)}/comments?per_page=${PAGE_SIZE}&page=${page}`),
    create: (number, body) => call('POST', `${issue(number)}/comments`, { body }),
    edit: (_, id, body) => call('PATCH', `${repository}/issues/comments/${id}`, { body }),
    // The token of a workflow cannot read GET /user, but it can query the GraphQL viewer.
    async ownCommentFilter() {
      const graphqlUrl = env.GITHUB_GRAPHQL_URL || `${env.GITHUB_API_URL}/graphql`;
      const response = await call('POST', graphqlUrl, { query: '{ viewer { login } }' });
      const login = response.data?.viewer?.login;
      if (!login) throw createError('the token belongs to no user: cannot identify its own comments');
      return ({ user }) => user?.login === login;
    },
    async setLabel(number, label) {
      const current = (await call('GET', `${issue(number)}/labels?per_page=${PAGE_SIZE}`)).map(
        ({ name }) => name,
      );
      for (const name of Object.values(LABELS)) {
        if (name === label || !current.includes(name)) continue;
        await call('DELETE', `${issue(number)}/labels/${encodeURIComponent(name)}`).catch(ignoreNotFound);
      }
      if (!current.includes(label)) await call('POST', `${issue(number)}/labels`, { labels: [label] });
    },
    async mergedRequests() {
      const pulls = await call('GET', `${repository}/commits/${env.GITHUB_SHA}/pulls?per_page=${PAGE_SIZE}`);
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
  const call = createApiClient(env.CI_API_V4_URL, { 'private-token': env.REPLIKEY_TOKEN });
  const request = (number) => `${project}/merge_requests/${number}`;
  return {
    current: env.CI_MERGE_REQUEST_IID && {
      number: env.CI_MERGE_REQUEST_IID,
      // In a pipeline for merged results, CI_COMMIT_SHA is a temporary merge commit.
      commit: env.CI_MERGE_REQUEST_SOURCE_BRANCH_SHA || env.CI_COMMIT_SHA,
      isFork: (env.CI_MERGE_REQUEST_SOURCE_PROJECT_ID || target) !== target,
    },
    runUrl: env.CI_JOB_URL,
    commit: env.CI_COMMIT_SHA,
    missingPermissions: 'REPLIKEY_TOKEN needs the scope api, and the role Developer',
    comments: (number, page) =>
      call('GET', `${request(number)}/notes?sort=asc&order_by=created_at&per_page=${PAGE_SIZE}&page=${page}`),
    create: (number, body) => call('POST', `${request(number)}/notes`, { body }),
    edit: (number, id, body) => call('PUT', `${request(number)}/notes/${id}`, { body }),
    async ownCommentFilter() {
      const { id } = await call('GET', '/user');
      return ({ author, system }) => author?.id === id && !system;
    },
    setLabel: (number, label) =>
      call('PUT', request(number), {
        add_labels: label,
        remove_labels: Object.values(LABELS)
          .filter((name) => name !== label)
          .join(','),
      }),
    async mergedRequests() {
      const commit = env.CI_COMMIT_SHA;
      const requests = await call(
        'GET',
        `${project}/repository/commits/${commit}/merge_requests?per_page=${PAGE_SIZE}`,
      );
      return requests
        .filter(({ state, target_branch }) => state === 'merged' && target_branch === env.CI_COMMIT_BRANCH)
        .filter(({ merge_commit_sha, squash_commit_sha, sha }) =>
          // After a fast-forward merge, the commit is the last commit of the branch.
          [merge_commit_sha, squash_commit_sha, sha].includes(commit),
        )
        .map(({ iid, sha }) => ({ number: iid, commit: sha }));
    },
  };
}

/** Creates a function that calls an API. An error that a retry may resolve has `isTransient`. */
function createApiClient(base, headers) {
  return async (method, pathOrUrl, body) => {
    const url = new URL(pathOrUrl.startsWith('/') ? `${base}${pathOrUrl}` : pathOrUrl);
    const operation = `${method} ${url.pathname}`;
    const { response, text } = await fetch(url, {
      method,
      headers: { ...headers, 'user-agent': 'replikey', ...(body && { 'content-type': 'application/json' }) },
      ...(body && { body: JSON.stringify(body) }),
      // A redirect must not send the token to another host.
      redirect: 'manual',
      signal: AbortSignal.timeout(30_000),
    })
      .then(async (response) => ({ response, text: await response.text() }))
      .catch((error) => {
        throw createError(`${operation}: ${error.cause?.message || error.message}`, { isTransient: true });
      });
    const value = parseJson(text);
    if (response.ok && value !== undefined) return value;
    const reason = response.ok
      ? 'the response is not JSON'
      : (value?.message ?? value?.error ?? response.statusText);
    throw createError(
      `${operation}: HTTP ${response.status}: ${typeof reason === 'string' ? reason : JSON.stringify(reason)}`,
      {
        status: response.status,
        ...retryInfo(response),
      },
    );
  };
}

/** Returns null for an empty response, and undefined for invalid JSON. */
function parseJson(text) {
  try {
    return text === '' ? null : JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Both APIs throttle with status 429, and GitHub also with 403 and a `retry-after` header. */
function retryInfo({ status, headers }) {
  const seconds = Number(headers.get('retry-after') ?? Number.NaN);
  const delay = Number.isFinite(seconds) ? { delayMs: seconds * 1000 } : {};
  const isRetryable = status >= 500 || status === 429 || (status === 403 && delay.delayMs !== undefined);
  return { ...delay, isTransient: isRetryable && (delay.delayMs ?? 0) <= MAX_RETRY_DELAY_MS };
}

const createError = (message, fields = {}) => Object.assign(new Error(message), fields);

const createRefusal = (message) => createError(message, { exitCode: EXIT.refused });

function ignoreNotFound(error) {
  if (error.status !== 404) throw error;
}

/** Retries an idempotent operation: a search with the call that follows from it, never a single call that creates. */
async function retry(operation) {
  for (let attempt = 1; ; attempt++) {
    try {
      return await operation();
    } catch (error) {
      if (!error.isTransient || attempt === MAX_ATTEMPTS) throw error;
      await sleep(error.delayMs ?? 1000 * 2 ** attempt);
    }
  }
}

/** Finds the comment of this script. A comment of another user may also contain the marker. */
async function findOwnComment(forge, number) {
  const isOwn = await forge.ownCommentFilter();
  for (let page = 1; ; page++) {
    const comments = await forge.comments(number, page);
    const comment = comments.find((candidate) => isOwn(candidate) && candidate.body?.startsWith(MARKER));
    if (comment || comments.length < PAGE_SIZE) return comment;
  }
}

/** Formats the second line of the comment, which names the plan. A spec cannot inject text into this line. */
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
  if (steps.some(isRemoval)) return LABELS.removals;
  return steps.length > 0 ? LABELS.changes : LABELS.none;
}

const isRemoval = ({ action, patch }) =>
  action === 'delete' ||
  patch.some(({ op, path: field }) => op === 'remove' && /^\/(rules|statements)\/[^/]+$/.test(field));

async function showPlan(forge) {
  const { current } = forge;
  if (!current) return log('not a pull request: the plan is only in the summary of the run');
  const markdown = await readFile(path.join(env.REPLIKEY_RESULTS, 'plan.md'), 'utf8');
  const plan = await readFile(path.join(env.REPLIKEY_RESULTS, 'plan.json'), 'utf8').then(
    JSON.parse,
    () => undefined,
  );
  try {
    if (env.REPLIKEY_COMMENT !== 'false') {
      const body = commentOf(markdown, plan, forge);
      await retry(async () => {
        const comment = await findOwnComment(forge, current.number);
        await (comment ? forge.edit(current.number, comment.id, body) : forge.create(current.number, body));
      });
    }
    if (env.REPLIKEY_LABEL !== 'false') await retry(() => forge.setLabel(current.number, labelOf(plan)));
  } catch (error) {
    const isDenied = error.status === 401 || error.status === 403;
    if (isDenied && current.isFork)
      return log('no permission to comment for a fork: the plan is in the summary of the run');
    throw isDenied ? createError(`${error.message}; ${forge.missingPermissions}`) : error;
  }
}

async function printApproved(forge) {
  const [request] = await retry(() => forge.mergedRequests());
  const hint = 'review a new plan, and apply it by its checksum';
  if (!request)
    throw createRefusal(`no pull request was merged as ${forge.commit}, so no plan was approved: ${hint}`);
  const { number, commit } = request;
  const comment = await retry(() => findOwnComment(forge, number));
  const [, checksum, plannedCommit] = SEAL.exec(comment?.body.split(/\r?\n/)[1] ?? '') ?? [];
  if (!checksum) throw createRefusal(`request ${number} has no comment with an approved plan: ${hint}`);
  if (plannedCommit !== commit)
    throw createRefusal(
      `the plan of request ${number} is for commit ${plannedCommit}, but ${commit} was merged: ${hint}`,
    );
  process.stdout.write(`${checksum}\n`);
  if (env.GITHUB_OUTPUT) await appendFile(env.GITHUB_OUTPUT, `checksum=${checksum}\n`);
}

/** Logs one line. Removes the token and control characters from the message, which may contain a response. */
function log(message) {
  const line = message
    .replaceAll(env.REPLIKEY_TOKEN || '\n', '***')
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, ' ');
  process.stderr.write(`replikey: ${line}\n`);
  return line;
}

const COMMANDS = { plan: showPlan, approved: printApproved };

async function main([name = '']) {
  const command = Object.hasOwn(COMMANDS, name) && COMMANDS[name];
  const connect = env.GITHUB_API_URL ? github : env.CI_API_V4_URL ? gitlab : undefined;
  if (!command || !connect) {
    log('usage: node comment.mjs plan|approved, in a pipeline of GitHub or GitLab');
    return EXIT.usage;
  }
  const forge = await connect();
  if (!env.REPLIKEY_TOKEN) {
    log(`REPLIKEY_TOKEN is not set; ${forge.missingPermissions}`);
    return forge.current?.isFork ? EXIT.ok : EXIT.usage;
  }
  try {
    await command(forge);
    return EXIT.ok;
  } catch (error) {
    const line = log(error.message);
    if (env.GITHUB_STEP_SUMMARY && name === 'approved')
      await appendFile(env.GITHUB_STEP_SUMMARY, `### replikey: no changes applied\n\n    ${line}\n`);
    return error.exitCode ?? EXIT.failed;
  }
}

process.exitCode = await main(process.argv.slice(2));
