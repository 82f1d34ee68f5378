/** What is more than this is a mistake or an attack; no spec comes near. */

export const MAX_FILE_BYTES = 1024 * 1024;
export const MAX_FILES = 20_000;
export const MAX_DOCUMENTS = 1_000;
export const MAX_YAML_DEPTH = 64;

/** How often aliases may be used in a document; without a bound a page of them stands for gigabytes. */
export const MAX_ALIASES = 100;

/** How many values specs may take from Defaults, all together: a page of them could stand for gigabytes, too. */
export const MAX_DEFAULTED_VALUES = 1_000_000;

/** How long a variable may be; a text of nothing but variables is as many times as large. */
export const MAX_VARIABLE_LENGTH = 1_024;

/** Past these many, what is wrong with a file follows from the first. */
export const MAX_SYNTAX_PROBLEMS = 10;
export const MAX_PROBLEMS_PER_FILE = 100;
