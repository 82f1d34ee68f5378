import type { Section } from '../section.ts';
import { CAUSES, type Cause, covers, type KnownFailures } from './known-failures.ts';
import type { Result } from './run.ts';
import type { Selection } from './selection.ts';

/** Returns the section of the conformance page: the numbers by subject, and each failed test with its reason. */
export function motoTestsSection(
  selections: Selection[],
  results: Result[],
  knownFailures: KnownFailures[],
): Section {
  const count = (of: Result[], outcome: Result['outcome']) =>
    String(of.filter((result) => result.outcome === outcome).length);
  const subjects = [...new Set(selections.map(({ subject }) => subject))];
  const bySubject = subjects.map((subject) => ({
    subject,
    results: resultsOf(subject, selections, results),
  }));
  return {
    title: "Moto's tests",
    text: [
      `[Moto](https://github.com/getmoto/moto) emulates AWS, too, and its tests are written with boto3. The test suite runs
its tests of replication, versioning, encryption, policies and tagging, and of KMS, IAM, STS and SQS, against the sandbox
([test/conformance/moto-tests](../../test/conformance/moto-tests)). **${count(results, 'passed')} of ${results.length} pass, ${count(results, 'failed')} fail and ${count(results, 'skipped')} skip
themselves** because they need moto's own process. A test fails when a failure has no reason below, or when a test with a
reason passes. *Verified* counts the tests that the moto project verified against AWS.`,
    ],
    tables: [
      {
        title: "Moto's tests by subject",
        columns: ['subject', 'tests', 'passed', 'failed', 'skipped', 'verified: passed', 'verified: failed'],
        rows: bySubject.map(({ subject, results: of }) => {
          const verified = of.filter((result) => result.verified);
          return [
            subject,
            String(of.length),
            count(of, 'passed'),
            count(of, 'failed'),
            count(of, 'skipped'),
            count(verified, 'passed'),
            count(verified, 'failed'),
          ];
        }),
      },
      ...(Object.keys(CAUSES) as Cause[]).map((cause) => ({
        title: CAUSES[cause],
        columns: ['test', 'cases', 'reason'],
        rows: knownFailures
          .filter((group) => group.cause === cause)
          .flatMap(({ reason, tests }) =>
            tests.map((test) => [
              `\`${test.replaceAll('`', "'")}\``,
              String(results.filter(({ id }) => covers(test, id)).length),
              reason,
            ]),
          ),
      })),
    ],
  };
}

const resultsOf = (subject: string, selections: Selection[], results: Result[]): Result[] =>
  results.filter(({ id }) =>
    selections.some(
      ({ subject: candidate, file, tests }) =>
        candidate === subject &&
        (tests === undefined
          ? id.startsWith(`${file}::`)
          : tests.some((name) => covers(`${file}::${name}`, id))),
    ),
  );
