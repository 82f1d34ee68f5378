import type { CommandDefinition } from '../command-model.ts';
import { applyCommand } from './apply.ts';
import { completionCommand } from './completion.ts';
import { demoCommand } from './demo.ts';
import { doctorCommand } from './doctor.ts';
import { eventsCommand } from './events.ts';
import { explainCommand } from './explain.ts';
import { importCommand } from './import.ts';
import { initCommand } from './init.ts';
import { manCommand } from './man.ts';
import { observeCommand } from './observe.ts';
import { permissionsCommand } from './permissions.ts';
import { planCommand } from './plan.ts';
import { redriveCommand } from './redrive.ts';
import { sandboxCommand } from './sandbox.ts';
import { schemaCommand } from './schema.ts';
import { statusCommand } from './status.ts';
import { validateCommand } from './validate.ts';
import { verifyCommand } from './verify.ts';
import { versionCommand } from './version.ts';

/** All commands, in the order of completion and of the man page. */
export const COMMANDS: readonly CommandDefinition[] = [
  planCommand,
  applyCommand,
  observeCommand,
  statusCommand,
  verifyCommand,
  doctorCommand,
  redriveCommand,
  importCommand,
  permissionsCommand,
  eventsCommand,
  validateCommand,
  schemaCommand,
  explainCommand,
  sandboxCommand,
  demoCommand,
  initCommand,
  completionCommand,
  manCommand,
  versionCommand,
];

/** Headings of the list of commands in `reconcile --help`. */
export const COMMAND_GROUPS: readonly (readonly [heading: string, commands: readonly CommandDefinition[]])[] =
  [
    ['Write specs:', [initCommand, importCommand, validateCommand, explainCommand, schemaCommand]],
    ['Plan and apply:', [planCommand, applyCommand, observeCommand]],
    ['Check and repair replication:', [statusCommand, doctorCommand, verifyCommand, redriveCommand]],
    ['Try it without an AWS account:', [sandboxCommand, demoCommand]],
    ['Setup:', [permissionsCommand, eventsCommand, completionCommand, manCommand, versionCommand]],
  ];
