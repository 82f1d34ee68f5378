/** Recorded answers that the sandbox does not give, and why; checked, so that none stays when it is met after all. */
export const notMet: Record<string, string> = {};
