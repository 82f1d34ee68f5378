#!/usr/bin/env node
import { runCommandLine } from './cli/cli.ts';
import { tuneV8 } from './cli/v8-tuning.ts';

tuneV8(process.env);
process.exitCode = await runCommandLine(process.argv.slice(2), process);
