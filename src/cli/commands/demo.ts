import type { CommandDefinition } from '../command-model.ts';
import { colorOption } from '../options.ts';

/** Runs the walkthrough of the README: plan, apply, replicate, break, repair. */
export const demoCommand: CommandDefinition = {
  name: 'demo',
  summary: 'run the walkthrough in a sandbox, in half a minute',
  description: 'run the walkthrough in a sandbox: plan, apply, replicate, break, repair',
  examples: [['reconcile demo', 'run the walkthrough, without an AWS account']],
  configure: (command) => command.addOption(colorOption()),
  async run({ io, signal }) {
    const { runDemo } = await import('../demo.ts');
    return runDemo(io, signal);
  },
};
