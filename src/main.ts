#!/usr/bin/env node
import { frugal } from './cli/frugal.ts';
import { run } from './cli.ts';

frugal(process.env);
process.exitCode = await run(process.argv.slice(2), process);
