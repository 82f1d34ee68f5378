import type { CloudTrail } from '../aws/cloudtrail.ts';
import type { Door } from '../aws/door.ts';
import { stableJson } from '../canonical.ts';
import { nameIn } from '../core/names.ts';
import type { Id, Kind, Place, Step } from '../core/resource.ts';
import type { Log } from '../log.ts';
import type { Clock } from './clock.ts';
import { type LastChange, lastChange, type TrailEvent } from './last-change.ts';
import { createQueue } from './queue.ts';

/** Finds out who changed what drifted. Nothing waits for it, and nothing depends on it. */
interface Inquiry {
  /** Find out who made the changes that these steps put back, of all that happened in some milliseconds. */
  ask(key: string, steps: readonly Step[], within: { since: number; until: number }): void;
  /** The pair is gone, and with it what was asked of it. */
  forget(key: string): void;
  drain(): Promise<void>;
}

interface InquiryOptions {
  kinds: ReadonlyMap<string, Kind>;
  door(): Door;
  cloudTrail(): Promise<Pick<CloudTrail, 'lookUp'>>;
  clock: Clock;
  log: Log;
  /** Told what became known. */
  found(key: string, id: Id, change: LastChange): void;
}

interface Question {
  key: string;
  id: Id;
  trail: Kind['trail'];
  at: Place;
  /** Where its events are told. */
  toldAt: Place;
  events: string[];
  since: number;
  until: number;
  /** What was to be put back: the same again is no new question. */
  patch: string;
  isOver: boolean;
}

/** CloudTrail is some minutes late, and says "on average". What it does not tell until then it will not tell. */
const FIRST_MS = 60_000;
const LATEST_MS = 30 * 60_000;

/** What drifts together is asked about together. */
const GATHER_MS = 1_000;

const ROUND = 'round';

/**
 * All questions are asked in rounds, one for the events of one name in an account and Region however many documents it is
 * about: an account may ask twice a second, and whoever drifts seldom drifts alone.
 */
export function createInquiry({ kinds, door, cloudTrail, clock, log, found }: InquiryOptions): Inquiry {
  /** By pair and document: the last question about it, also when it is over. */
  const questions = new Map<string, Question>();
  const refused = new Set<string>();
  let rounds = 0;
  const queue = createQueue({ clock, workers: 1, work: round });

  const open = () => [...questions.values()].filter(({ isOver }) => !isOver);

  async function round(): Promise<void> {
    const asked = open();
    const aws = door().sharing();
    const told = new Map<string, TrailEvent[]>();
    for (const [name, group] of groupsOf(asked)) {
      const events = await eventsFor(aws, group);
      if (events) told.set(name, events);
    }
    for (const question of asked) {
      await answer(question, aws, told).catch((error: Error) =>
        log.debug(`${question.id}: ${error.message}`),
      );
      if (clock.now() - question.until > LATEST_MS) question.isOver = true;
    }
    if (open().length > 0) queue.addAfter(ROUND, FIRST_MS * 2 ** rounds);
    rounds += 1;
  }

  /** The events of one name in one place that some questions are about; undefined where they cannot be had now. */
  async function eventsFor(aws: Door, { at, event, about }: Group): Promise<TrailEvent[] | undefined> {
    const from = Math.min(...about.map(({ since }) => since));
    const to = Math.max(...about.map(({ until }) => until));
    try {
      const { lookUp } = await cloudTrail();
      return await lookUp(aws, at, { event, from, to });
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      const isRefused = /^AccessDenied/.test(error.name);
      // Who may not ask does not know, which is no failure: it is said once.
      const where = placeName(at);
      if (!isRefused || !refused.has(where))
        log.debug(`who changed something is not known: ${error.message}`);
      if (isRefused) {
        refused.add(where);
        for (const question of about) question.isOver = true;
      }
      return undefined;
    }
  }

  async function answer(
    question: Question,
    aws: Door,
    told: ReadonlyMap<string, TrailEvent[]>,
  ): Promise<void> {
    const { key, id, at, trail, events, since, until } = question;
    const all = events.map((event) => told.get(groupName(question.toldAt, event)));
    // Of two sorts of events the last one is known only where both are.
    if (question.isOver || all.some((one) => one === undefined)) return;
    const candidates = all.flatMap((one) => one ?? []);
    if (candidates.length === 0) return;
    const name = nameIn(id, at);
    const names = [name, ...((await trail.aliases?.(aws, at, name)) ?? [])];
    const isAbout = (parameters: Record<string, unknown>) => trail.isAbout(parameters, names);
    const change = lastChange(candidates, { since, until, isAbout });
    if (!change || questions.get(questionName(key, id)) !== question) return;
    question.isOver = true;
    found(key, id, change);
  }

  return {
    ask(key, steps, within) {
      for (const step of steps) {
        const trail = kinds.get(step.kind)?.trail;
        const events = trail ? eventsOf(trail, step) : [];
        const patch = stableJson(step.patch);
        const known = questions.get(questionName(key, step.id));
        const isSame = known?.since === within.since && known.patch === patch;
        if (!trail || events.length === 0 || isSame) continue;
        const region = trail.region?.(step.at.region) ?? step.at.region;
        const toldAt = { ...step.at, region };
        const { id, at } = step;
        questions.set(questionName(key, id), {
          key,
          id,
          trail,
          at,
          toldAt,
          events,
          ...within,
          patch,
          isOver: false,
        });
        rounds = 0;
        queue.addAfter(ROUND, GATHER_MS);
      }
    },
    forget(key) {
      for (const [name, question] of questions) if (question.key === key) questions.delete(name);
    },
    drain: () => queue.drain(),
  };
}

/** The events that could have made what a step puts back. */
function eventsOf({ events }: Kind['trail'], { action, patch }: Step): string[] {
  const beginnings = Object.keys(events).sort((a, b) => b.length - a.length);
  const paths = action === 'create' ? [''] : patch.map(({ path }) => path);
  const found = paths.flatMap((path) => events[beginnings.find((one) => path.startsWith(one)) ?? ''] ?? []);
  return [...new Set(found)];
}

interface Group {
  at: Place;
  event: string;
  about: Question[];
}

function groupsOf(questions: readonly Question[]): Map<string, Group> {
  const groups = new Map<string, Group>();
  for (const question of questions) {
    for (const event of question.events) {
      const name = groupName(question.toldAt, event);
      const known = groups.get(name);
      if (known) known.about.push(question);
      else groups.set(name, { at: question.toldAt, event, about: [question] });
    }
  }
  return groups;
}

const placeName = ({ account = '', region }: Place): string => `${account} ${region}`;
const groupName = (at: Place, event: string): string => `${placeName(at)} ${event}`;
const questionName = (key: string, id: Id): string => `${key}\n${id}`;
