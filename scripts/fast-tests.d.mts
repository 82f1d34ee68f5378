export function slowReason(test: string, sources: ReadonlyMap<string, string>): string | undefined;
export function fastTests(root: string): string[];
