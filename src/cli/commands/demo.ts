import type { CommandDefinition } from '../command-model.ts';

/** Runs the walkthrough of the README: plan, apply, replicate, break, heal. */
export const demoCommand: CommandDefinition = {
  name: 'demo',
  summary: 'the whole story on a sandbox, in half a minute',
  description: 'the whole story on the sandbox: plan, apply, replicate, break, heal',
  examples: [['reconcile demo', 'needs nothing, and leaves nothing behind']],
  configure: (command) => command,
  async run({ io, signal }) {
    const { runDemo } = await import('../demo.ts');
    return runDemo(io, signal);
  },
};
