import { readFile } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';
import manifest from '../../package.json' with { type: 'json' };
import type { Aws } from '../core/resource.ts';
import { DEFAULT_FAILED_SINCE_MS } from '../doctor/object-status.ts';
import { EXIT, systemErrorReason, UserError } from '../errors.ts';
import { createOrganizationReader, organizationReaderOf } from '../facts/organization.ts';
import { openSurveyJournal, type SurveyJournal } from '../fleet/journal.ts';
import { listMemberAccounts, type MemberAccount } from '../fleet/organization.ts';
import { assembleReport } from '../fleet/report.ts';
import { type SurveyAccount, type SurveyEvent, survey } from '../fleet/survey.ts';
import type { FleetReport } from '../fleet/types.ts';
import type { Log } from '../log.ts';
import { fleetReportSchema } from '../report/fleet-schema.ts';
import { type FleetProgress, fleetProgressText, fleetText } from '../report/fleet-text.ts';
import { countText } from '../report/proof-text.ts';
import { createPaint } from '../report/style.ts';
import { readSpecFiles } from '../spec/files.ts';
import { formatProblems } from '../spec/format-problems.ts';
import { loadSpecFiles } from '../spec/load.ts';
import type { Account, Specs } from '../spec/types.ts';
import { globalRegionOf, isListedRegion, partitionOfRegion } from '../util/arn.ts';
import { canonicalJson, omitUndefined } from '../util/canonical-json.ts';
import { systemClock } from '../util/clock.ts';
import { safeJson } from '../util/escape.ts';
import { readJsonIfExists, writeFileAtomic } from '../util/files.ts';
import type { Io } from './command-model.ts';
import type { DoctorOptions } from './diagnosis.ts';
import type { StackOptions } from './doctor-stack.ts';
import { variableInputOf } from './options.ts';
import { isLive, REDRAW_MS, showStatusLine } from './progress.ts';
import { applySelection, type CliSession, openSession } from './session.ts';

/** Options of `doctor --all`. */
export interface FleetOptions {
  all?: true;
  /** A file with Account documents, or with account ids. */
  accounts?: string;
  organization?: true;
  roleName?: string;
  regions?: string[];
  save?: string;
}

type DoctorAllOptions = DoctorOptions & FleetOptions & StackOptions;

/** `reconcile doctor --all`: surveys all buckets of the accounts of specs, of a file, or of the organization. */
export async function runDoctorAll(
  paths: readonly string[],
  options: DoctorAllOptions,
  io: Io,
  signal: AbortSignal,
): Promise<number> {
  rejectInvalidOptions(options);
  const { specs, listedAccounts } = await loadAccounts(paths, options, io, signal);
  const previous = options.save === undefined ? undefined : await readSavedReport(options.save);
  const { accounts, clientAccounts } = await findAccounts(specs, listedAccounts, options, io, signal);
  const session = await openSession({ ...specs, accounts: clientAccounts }, options, io, signal);
  try {
    return await surveyAndReport({ specs, accounts, previous, session }, options, io, signal);
  } finally {
    await session.close();
  }
}

function rejectInvalidOptions(options: DoctorAllOptions): void {
  const { bucket, object, observed, organization, accounts, roleName, regions = [] } = options;
  const { terraform, cloudformation, stack } = options;
  // A misspelt Region would survey no bucket, and report no finding.
  const unknownRegion = regions.find((region) => !isListedRegion(region));
  if (unknownRegion !== undefined)
    throw new UserError(
      EXIT.usage,
      `unknown Region "${unknownRegion}" in --regions: write it like us-east-1,eu-west-1`,
    );
  const excluded = [
    ...(bucket.length > 0 ? ['--bucket'] : []),
    ...(object === undefined ? [] : ['--object']),
    ...(observed === undefined ? [] : ['--observed']),
    ...(terraform === undefined ? [] : ['--terraform']),
    ...(cloudformation === undefined ? [] : ['--cloudformation']),
    ...(stack === undefined ? [] : ['--stack']),
  ];
  if (excluded.length > 0)
    throw new UserError(EXIT.usage, `--all surveys all buckets: remove ${excluded.join(' and ')}, or --all`);
  if (organization && accounts !== undefined)
    throw new UserError(
      EXIT.usage,
      '--accounts and --organization both choose the accounts: remove one of them; Account documents that say how to read an account of the organization may be given as specs',
    );
  if (organization && roleName === undefined)
    throw new UserError(
      EXIT.usage,
      '--organization requires the role to assume in each account: add --role-name, for example --role-name OrganizationAccountAccessRole',
    );
  if (roleName !== undefined && !organization && accounts === undefined)
    throw new UserError(EXIT.usage, '--role-name requires accounts: add --accounts FILE or --organization');
}

async function loadAccounts(
  paths: readonly string[],
  options: DoctorAllOptions,
  io: Io,
  signal: AbortSignal,
): Promise<{ specs: Specs; listedAccounts: MemberAccount[] }> {
  const list =
    options.accounts === undefined ? undefined : await readAccountList(options.accounts, options.roleName);
  if (list && options.roleName === undefined)
    throw new UserError(
      EXIT.usage,
      `${options.accounts} lists account ids without roles: add --role-name, or use Account documents`,
    );
  if (!list && options.accounts !== undefined && options.roleName !== undefined)
    throw new UserError(
      EXIT.usage,
      `the Account documents in ${options.accounts} name their own roles: remove --role-name`,
    );
  const specPaths = [...paths, ...(options.accounts !== undefined && !list ? [options.accounts] : [])];
  const { files, problems: pathProblems } = await readSpecFiles(specPaths, {
    stdin: () => buffer(io.stdin),
    requireComplete: false,
    signal,
  });
  const { specs, problems } = await loadSpecFiles(files, {
    problems: pathProblems,
    variableInput: variableInputOf(options, io),
    allowEmpty: true,
    signal,
    nowMs: Date.now(),
  });
  if (!specs) {
    const problemCount = problems.length === 1 ? '1 problem' : `${problems.length} problems`;
    throw new UserError(EXIT.specs, `${formatProblems(problems)}\n\n${problemCount}; AWS was not called.`);
  }
  return { specs: applySelection(specs, options), listedAccounts: list ?? [] };
}

/**
 * Reads account ids, one a line, each with an optional name. Comments begin with `#`.
 *
 * @returns undefined for a file in another form, such as Account documents.
 */
async function readAccountList(
  file: string,
  roleName: string | undefined,
): Promise<MemberAccount[] | undefined> {
  const lines = (await readAccountFile(file))
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .map((text, index) => ({ text: text.replace(/#.*/, '').trim(), number: index + 1 }))
    .filter(({ text }) => text !== '');
  const [first] = lines;
  if (!first)
    throw new UserError(
      EXIT.usage,
      `${file} contains no account: write one account id a line, or Account documents`,
    );
  const hasDocuments = lines.some(({ text }) => /^(---|\{|"?(apiVersion|kind)"?\s*:)/.test(text));
  if (hasDocuments || (roleName === undefined && !/^\p{Nd}/u.test(first.text))) return undefined;
  return lines.map(({ text, number }) => {
    const [, id = '', name] = /^([^\s,]+)(?:[\s,]+(.*))?$/.exec(text) ?? [];
    if (!/^[0-9]{12}$/.test(id))
      throw new UserError(
        EXIT.usage,
        `${file}:${number}: "${id}" is not an account id of 12 digits; write one account id a line, with an optional name after it`,
      );
    return omitUndefined({ id, name });
  });
}

async function readAccountFile(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    const isFolder = (error as NodeJS.ErrnoException).code === 'EISDIR';
    const reason = isFolder
      ? 'it is a folder; name a file, or give the folder as specs, without --accounts'
      : systemErrorReason(error as Error);
    throw new UserError(EXIT.usage, `cannot read ${file}: ${reason}`, { cause: error });
  }
}

/** Decides how each account is read. An account occurs once; an Account document decides. */
async function findAccounts(
  specs: Specs,
  listedAccounts: readonly MemberAccount[],
  options: DoctorAllOptions,
  io: Io,
  signal: AbortSignal,
): Promise<{ accounts: SurveyAccount[]; clientAccounts: Account[] }> {
  const declared = specs.accounts.filter(({ managed }) => managed);
  const usesAmbient =
    declared.length === 0 ||
    specs.pairs.some(({ source, destination }) =>
      [source, destination].some((side) => side.managed && side.account === undefined),
    );
  const needsAmbient = options.organization || listedAccounts.length > 0 || usesAmbient;
  const { ambientId, members } = needsAmbient
    ? await readAmbientAccount(specs, options, io, signal)
    : { ambientId: undefined, members: [] };
  const listed = [...listedAccounts, ...members];
  const partition = partitionOfRegion(regionOf(specs, options));
  const declaredAccounts = declared.map((account) => ({
    account,
    survey: { client: account.name, id: account.id, name: account.name, access: accessOf(account) },
  }));
  const candidates: { account: Account; survey: SurveyAccount }[] = [
    ...declaredAccounts,
    ...(ambientId !== undefined && listed.length === 0
      ? [{ account: accountWithId(ambientId), survey: ambientSurvey(ambientId) }]
      : []),
    ...listed.map(({ id, name, error }) => {
      if (id === ambientId)
        return { account: accountWithId(id), survey: omitUndefined({ ...ambientSurvey(id), name }) };
      const arn = `arn:${partition}:iam::${id}:role/${options.roleName}`;
      const account = { ...accountWithId(id), assumeRole: { arn } };
      return { account, survey: omitUndefined({ client: id, id, name, access: accessOf(account), error }) };
    }),
  ];
  const byId = new Map<string, (typeof candidates)[number]>();
  for (const candidate of candidates)
    if (!byId.has(candidate.account.id)) byId.set(candidate.account.id, candidate);
  return {
    accounts: [...byId.values()].map((candidate) => candidate.survey),
    clientAccounts: [
      ...specs.accounts,
      ...[...byId.values()].flatMap(({ account }) => (declared.includes(account) ? [] : account)),
    ],
  };
}

const accountWithId = (id: string): Account => ({ name: id, id, managed: true, positions: {} });

const ambientSurvey = (id: string): SurveyAccount => ({ client: id, id, access: 'ambient credentials' });

const accessOf = ({ profile, assumeRole }: Pick<Account, 'profile' | 'assumeRole'>): string =>
  assumeRole
    ? `role ${assumeRole.arn}`
    : profile === undefined
      ? 'ambient credentials'
      : `profile ${profile}`;

const regionOf = (specs: Specs, { region, regions }: DoctorAllOptions): string =>
  region ?? specs.pairs[0]?.source.region ?? regions?.[0] ?? 'us-east-1';

async function readAmbientAccount(
  specs: Specs,
  options: DoctorAllOptions,
  io: Io,
  signal: AbortSignal,
): Promise<{ ambientId: string; members: MemberAccount[] }> {
  const session = await openSession(specs, { ...options, region: regionOf(specs, options) }, io, signal);
  try {
    const aws = session.aws.readOnly();
    const ambientId = await aws.accountId(undefined);
    const location = omitUndefined({
      account: options.organizationAccount,
      region: regionOf(specs, options),
    });
    const members = options.organization ? await listMemberAccounts(aws, location) : [];
    return { ambientId, members };
  } finally {
    await session.close();
  }
}

interface SurveyInput {
  specs: Specs;
  accounts: readonly SurveyAccount[];
  previous: FleetReport | undefined;
  session: CliSession;
}

async function surveyAndReport(
  { specs, accounts, previous, session }: SurveyInput,
  options: DoctorAllOptions,
  io: Io,
  signal: AbortSignal,
): Promise<number> {
  const { aws, log } = session;
  const startedAt = new Date(systemClock.now()).toISOString();
  const specsByBucket = specNamesByBucket(specs);
  const failedSinceMs = options.failedSince ?? DEFAULT_FAILED_SINCE_MS;
  const sampleSize = options.sample ?? 0;
  const otherAccounts = new Set(specs.accounts.filter(({ managed }) => !managed).map(({ id }) => id));
  const scope = canonicalJson({
    accounts: accounts.map(({ id }) => id).sort(),
    regions: options.regions ?? [],
    specs: Object.fromEntries(specsByBucket),
    sampleSize,
    samplePages: options.samplePages,
    failedSinceMs,
    organizationAccount: options.organizationAccount ?? '',
    organization: options.organization ?? false,
    otherAccounts: [...otherAccounts].sort(),
    access: Object.fromEntries(accounts.map(({ id, access }) => [id, access])),
    roleName: options.roleName ?? '',
    endpoint: await aws.endpoint(),
    version: manifest.version,
  });
  const partialFile = options.save === undefined ? undefined : `${options.save}.partial`;
  const journal =
    partialFile === undefined
      ? undefined
      : await openSurveyJournal(partialFile, { scope, startedAt, nowMs: systemClock.now() });
  if (journal) logJournal(journal, partialFile ?? '', log);
  const progress = showSurveyProgress(accounts.length, io, log);
  const onEvent = (event: SurveyEvent): void => {
    progress.event(event);
    if (event.type === 'bucket') journal?.add(event.result);
    if (event.type === 'account failed')
      log.warn({ account: event.account }, `cannot read account ${event.account}: ${event.reason}`);
  };
  try {
    const result = await survey(aws, {
      accounts,
      otherAccounts,
      ...(options.regions === undefined ? {} : { regions: options.regions }),
      region: regionOf(specs, options),
      sampleSize,
      samplePages: options.samplePages,
      failedSinceMs,
      specsByBucket,
      organization: surveyOrganization(aws.readOnly(), specs, options),
      done: journal?.done ?? new Map(),
      signal,
      onEvent,
    });
    progress.end();
    const report = assembleReport(
      omitUndefined({
        startedAt: journal?.startedAt ?? startedAt,
        endedAt: new Date(aws.now()).toISOString(),
        regions: options.regions,
        accounts: result.accounts,
        buckets: result.buckets,
      }),
      previous,
    );
    log.info(
      `surveyed ${countText(report.totals.total, 'bucket')} with ${countText(aws.calls.reads, 'call')} in ${progress.elapsedSeconds()} s`,
    );
    const isComplete = result.lostCredentials.size === 0;
    // A report without an account would hide the last one.
    const isReadable = report.accounts.some(({ error }) => error === undefined);
    if (journal && options.save !== undefined && isComplete && isReadable) {
      await writeFileAtomic(options.save, `${safeJson(report, 2)}\n`);
      await journal.remove();
    } else await journal?.close();
    io.stdout.write(await renderReport(report, options, io));
    if (!isComplete) {
      for (const [account, reason] of result.lostCredentials)
        log.error({ account }, `the credentials of account ${account} stopped working: ${reason}`);
      log.warn(continuationText(options.save, progress.done()));
      return EXIT.credentials;
    }
    return fleetExitCode(report, options);
  } catch (error) {
    progress.end();
    await journal?.close();
    if (signal.aborted) log.warn(continuationText(options.save, progress.done()));
    throw error;
  }
}

/** With `--organization`, the credentials that list the accounts read the control policies as well. */
function surveyOrganization(aws: Aws, specs: Specs, options: DoctorAllOptions) {
  const { organizationAccount } = options;
  if (organizationAccount !== undefined || !options.organization)
    return organizationReaderOf(aws, specs, organizationAccount);
  return createOrganizationReader(aws, { region: globalRegionOf(regionOf(specs, options)) });
}

function logJournal({ done, startedAt, discarded }: SurveyJournal, file: string, log: Log): void {
  if (discarded !== undefined) log.warn(`discarded the results in ${file}: ${discarded}`);
  const count = [...done.values()].reduce((sum, { size }) => sum + size, 0);
  if (count > 0)
    log.info(
      `continuing the run of ${startedAt}: the results of ${count.toLocaleString('en')} buckets are in ${file}`,
    );
}

const continuationText = (save: string | undefined, done: number): string =>
  save === undefined
    ? 'the run is incomplete: the next one begins again; with --save FILE it would continue'
    : `the run is incomplete: the results of ${done.toLocaleString('en')} buckets are in ${save}.partial, and the same command continues`;

function specNamesByBucket({ pairs }: Specs): Map<string, string[]> {
  const names = new Map<string, string[]>();
  for (const { name, source } of pairs)
    names.set(source.bucket, [...(names.get(source.bucket) ?? []), name].sort());
  return names;
}

/** Reads the report of the last complete run. */
async function readSavedReport(file: string): Promise<FleetReport | undefined> {
  const value = await readJsonIfExists(file);
  if (value === undefined) return undefined;
  if (fleetReportSchema.safeParse(value).success) return value as FleetReport;
  throw new UserError(
    EXIT.usage,
    `cannot compare with ${file}: it is not a report of doctor --all; use another file for --save`,
  );
}

/** Renders the report in an output format, with its last line break. */
async function renderReport(report: FleetReport, options: DoctorAllOptions, io: Io): Promise<string> {
  const renderers: Record<DoctorOptions['output'], () => Promise<string> | string> = {
    text: () => `${fleetText(report, options.verbose ?? false, createPaint(io.stdout, io.env))}\n`,
    json: () => `${safeJson(report, 2)}\n`,
    sarif: async () => {
      const { fleetSarif } = await import('../report/sarif.ts');
      return `${safeJson(fleetSarif(report, manifest.version), 2)}\n`;
    },
    csv: async () => (await import('../report/fleet-csv.ts')).fleetCsv(report),
    html: async () => (await import('../report/fleet-html.ts')).fleetHtml(report),
  };
  return await renderers[options.output]();
}

/** Like the diagnosis of single buckets: fails for broken rules, and for what is unknown unless that is accepted. */
function fleetExitCode({ buckets, accounts }: FleetReport, { allowUnproven }: DoctorAllOptions): number {
  const isBroken = buckets.some(({ verdict }) => verdict === 'broken');
  const isUnknown =
    buckets.some(({ verdict }) => verdict === 'unknown') || accounts.some(({ error }) => error !== undefined);
  return isBroken || (isUnknown && !allowUnproven) ? EXIT.failed : EXIT.ok;
}

const LOG_MS = 30_000;

/** Shows the progress on standard error: on a terminal as one redrawn line, elsewhere as a log line at intervals. */
function showSurveyProgress(accounts: number, io: Io, log: Log) {
  const status = showStatusLine({ io, log });
  const startedMs = systemClock.monotonicNow();
  const pending = new Map<string, number>();
  const progress: FleetProgress = {
    accounts,
    finishedAccounts: 0,
    listedAccounts: 0,
    buckets: 0,
    done: 0,
    doneBefore: 0,
    elapsedMs: 0,
  };
  const intervalMs = isLive(io, log) ? REDRAW_MS : LOG_MS;
  const update = (): void => {
    progress.elapsedMs = systemClock.monotonicNow() - startedMs;
    status.update([fleetProgressText(progress)]);
    cancel = systemClock.schedule(intervalMs, update);
  };
  let cancel = systemClock.schedule(intervalMs, update);
  return {
    event(event: SurveyEvent): void {
      if (event.type === 'account failed') {
        progress.listedAccounts += 1;
        progress.finishedAccounts += 1;
      } else if (event.type === 'account listed') {
        progress.listedAccounts += 1;
        progress.buckets += event.buckets;
        progress.done += event.done;
        progress.doneBefore += event.done;
        pending.set(event.account, event.buckets - event.done);
        if (event.buckets === event.done) progress.finishedAccounts += 1;
      } else {
        const { account } = event.result;
        const left = (pending.get(account) ?? 0) - 1;
        pending.set(account, left);
        progress.done += 1;
        if (left === 0) progress.finishedAccounts += 1;
      }
    },
    done: () => progress.done,
    elapsedSeconds: () => Math.round((systemClock.monotonicNow() - startedMs) / 1000),
    end(): void {
      cancel();
      status.end();
    },
  };
}
