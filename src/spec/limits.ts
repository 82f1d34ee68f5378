/** Limits that no legitimate spec approaches. Anything larger is a mistake or an attack. */

export const MAX_FILE_BYTES = 1024 * 1024;
export const MAX_FILES = 20_000;
export const MAX_FOLDERS = 20_000;
export const MAX_DOCUMENTS = 1_000;

/**
 * Maximum number of YAML tokens, counted before documents are composed: of one file, and of all files together. A token
 * needs up to 700 bytes while its file is parsed, so a dense file of 1 MiB could need a gigabyte. A spec of common size
 * has 200 tokens.
 */
export const MAX_FILE_TOKENS = 250_000;
export const MAX_TOTAL_TOKENS = 4_000_000;

export const MAX_YAML_DEPTH = 64;

/** Maximum number of alias uses in a document. Without a limit, a page of aliases can expand to gigabytes. */
export const MAX_ALIASES = 100;

/**
 * Maximum number of values that all specs together inherit from Defaults. Without a limit, a page of specs can expand
 * to gigabytes.
 */
export const MAX_DEFAULTED_VALUES = 1_000_000;

/** Maximum length of a variable. A text of many references expands by up to this factor. */
export const MAX_VARIABLE_LENGTH = 1_024;

/** Maximum number of reported problems. Later syntax problems usually follow from the first ones. */
export const MAX_SYNTAX_PROBLEMS = 10;
export const MAX_PROBLEMS_PER_FILE = 100;
