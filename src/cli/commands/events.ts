import { EXIT } from '../../errors.ts';
import type { CommandDefinition } from '../command-model.ts';

/** Prints what delivers change events to the queue of `reconcile --changes`. */
export const eventsCommand: CommandDefinition = {
  name: 'events',
  summary: 'print the EventBridge rule for reconcile --changes',
  description:
    'print the event pattern of the EventBridge rule whose events reconcile --changes receives, or a CloudFormation template with rules, event bus and queue',
  examples: [
    ['reconcile events --cloudformation > changes.yaml', 'write the template'],
    ['reconcile events', 'print only the event pattern'],
  ],
  configure: (command) =>
    command.option('--cloudformation', 'print a CloudFormation template with rules, event bus and queue'),
  async run({ io }, options: { cloudformation?: true }) {
    const [{ kinds }, { changeEventNames }, { changeEventPattern, renderChangeEventTemplate }] =
      await Promise.all([
        import('../../kinds/index.ts'),
        import('../../kinds/cloudtrail-events.ts'),
        import('../../report/change-event-template.ts'),
      ]);
    const names = changeEventNames(kinds.values());
    io.stdout.write(
      options.cloudformation
        ? renderChangeEventTemplate(names)
        : `${JSON.stringify(changeEventPattern(names), null, 2)}\n`,
    );
    return EXIT.ok;
  },
};
