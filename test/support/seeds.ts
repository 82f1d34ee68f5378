import fc from 'fast-check';

/**
 * Gives property tests a fixed seed, so that one commit has one result. `npm run test:explore` sets EXPLORE=1 for random
 * seeds; a seed that fails becomes a regression test.
 */
if (process.env.EXPLORE !== '1') fc.configureGlobal({ seed: 20_261_130 });
