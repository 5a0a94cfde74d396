// Loads `carillon.config.ts` and checks all of it: every problem is reported at once, with its path in the file.
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { readPolicy } from '../../assistant/cards/policy.ts';
import type { IngestMapping } from '../../events/ingest.ts';
import { type Category, compileDefinitions, type Definitions, type Notification } from '../../handler/notification.ts';
import { type HubCredentials, hubNamePattern } from '../../hub/hubs.ts';
import { checkCredentials } from '../../hub/lanes.ts';
import { isRecord } from '../../kit/record.ts';
import { Refusal } from '../../kit/refusal.ts';
import { checkEntityName, mergeSettings, type TopicSettings, topicDefaults } from '../../topics/entities/settings.ts';
import { projectFolder } from '../version.ts';
import { type LoadedAssistant, readAssistant } from './assistant.ts';
import type { Branding } from './define.ts';

export type LoadedConfig = {
  /** Absent when there is no config file. */
  readonly file: string | undefined;
  readonly topics: readonly { readonly name: string; readonly settings: Partial<TopicSettings> }[];
  readonly definitions: Definitions;
  readonly mappings: readonly IngestMapping[];
  readonly hubs: readonly { readonly name: string; readonly credentials: HubCredentials }[];
  readonly assistant: LoadedAssistant;
  readonly branding: Branding;
};

export const DEFAULT_CONFIG = 'carillon.config.ts';

// A backend that publishes twice because its first answer was lost is the usual case, so topics of the config detect it.
const CONFIG_TOPIC: Partial<TopicSettings> = { duplicateDetection: true };
const SECTIONS = ['topics', 'categories', 'notifications', 'ingest', 'cards', 'hubs', 'assistant', 'branding'];
// Devices can be registered from the start; browsers can be pushed to as well, because their keys need no account.
const DEFAULT_HUBS = { main: {} };
const MAPPING_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;

/** `file` from the working folder; the default one is looked for beside package.json as well, and may be absent. */
export async function loadConfig(file: string): Promise<LoadedConfig> {
  const found = findFile(file);
  const config = found === undefined ? {} : await importConfig(found);
  const problems: string[] = [];
  const loaded = readConfig(config, problems);
  if (problems.length === 0) return { file: found, ...loaded };
  const list = problems.map((problem) => `  - ${problem}`).join('\n');
  const intro = problems.length === 1 ? 'there is a problem' : `there are ${problems.length} problems`;
  throw new Refusal('invalid_setting', `In ${found} ${intro}:\n${list}`, { problems });
}

function findFile(file: string): string | undefined {
  const places = file === DEFAULT_CONFIG ? [resolve(file), resolve(projectFolder, file)] : [resolve(file)];
  const found = places.find((place) => existsSync(place));
  if (found !== undefined || file === DEFAULT_CONFIG) return found;
  throw new Refusal('invalid_setting', `There is no file ${places[0]}: see --config (CARILLON_CONFIG).`);
}

async function importConfig(file: string): Promise<Record<string, unknown>> {
  let module: { default?: unknown };
  try {
    // The user's own code: what it exports is checked below.
    module = (await import(pathToFileURL(file).href)) as { default?: unknown };
  } catch (error) {
    throw new Refusal('invalid_setting', `${file} cannot be loaded: ${(error as Error).message}`, {}, error);
  }
  if (isRecord(module.default)) return module.default;
  throw new Refusal('invalid_setting', `${file} must end with: export default defineConfig({ ... })`);
}

function readConfig(config: Record<string, unknown>, problems: string[]): Omit<LoadedConfig, 'file'> {
  for (const name of Object.keys(config))
    if (!SECTIONS.includes(name)) problems.push(`${name}: there is no such section; there are ${SECTIONS.join(', ')}.`);
  const topics = readTopics(config.topics, problems);
  const definitions = readDefinitions(config, problems);
  const mappings = readMappings(config.ingest, problems);
  const names = new Set(topics.map(({ name }) => name));
  checkTopics(names, definitions, mappings, problems);
  const hubs = readHubs(config.hubs ?? DEFAULT_HUBS, problems);
  const assistant = readAssistant(config.assistant, problems);
  return { topics, definitions, mappings, hubs, assistant, branding: readBranding(config.branding, problems) };
}

function readTopics(given: unknown, problems: string[]): LoadedConfig['topics'] {
  return entriesOf(given, 'topics', problems).map(([name, settings]) => {
    collect(problems, `topics.${name}`, () => {
      checkEntityName(name);
      if (!isRecord(settings)) throw new Error('must be an object of settings, {} for the defaults');
      mergeSettings(topicDefaults, settings);
    });
    return { name, settings: { ...CONFIG_TOPIC, ...(settings as Partial<TopicSettings>) } };
  });
}

function readDefinitions(config: Record<string, unknown>, problems: string[]): Definitions {
  const notifications = listOf(config.notifications, 'notifications', problems);
  const categories = Object.fromEntries(entriesOf(config.categories, 'categories', problems));
  const cards = collect(problems, undefined, () => readPolicy(config.cards));
  const compiled = collect(problems, undefined, () =>
    // compileDefinitions checks what it is given; these are the types it checks for.
    compileDefinitions(notifications as readonly Notification[], categories as Record<string, Category>, cards),
  );
  return compiled ?? { all: [], byTopic: new Map(), categories: new Map() };
}

function readMappings(given: unknown, problems: string[]): IngestMapping[] {
  const seen = new Set<string>();
  return listOf(given, 'ingest', problems).flatMap((entry, i) => {
    const mapping = entry as Partial<IngestMapping> | null;
    const valid = collect(problems, `ingest[${i}]`, () => {
      if (typeof mapping?.name !== 'string' || !MAPPING_NAME.test(mapping.name)) throw new Error('needs a name');
      if (typeof mapping.topic !== 'string') throw new Error('needs the name of its topic');
      if (typeof mapping.map !== 'function') throw new Error('needs a function "map"');
      if (seen.has(mapping.name)) throw new Error(`the name ${mapping.name} is there twice`);
      seen.add(mapping.name);
      return mapping as IngestMapping;
    });
    return valid ? [valid] : [];
  });
}

function checkTopics(
  known: ReadonlySet<string>,
  definitions: Definitions,
  mappings: readonly IngestMapping[],
  problems: string[],
): void {
  for (const { name, topic } of definitions.all)
    if (!known.has(topic)) problems.push(`notifications (${name}): its topic "${topic}" is not in topics.`);
  for (const { name, topic } of mappings)
    if (!known.has(topic)) problems.push(`ingest (${name}): its topic "${topic}" is not in topics.`);
}

function readHubs(given: unknown, problems: string[]): LoadedConfig['hubs'] {
  return entriesOf(given, 'hubs', problems).map(([name, value]) => {
    const credentials = value as HubCredentials; // checked by what will use them
    collect(problems, `hubs.${name}`, () => {
      if (!hubNamePattern.test(name)) throw new Error('is not a name: letters, digits, dots, hyphens and underscores');
      if (!isRecord(value)) throw new Error('must be an object of credentials, {} for none');
      checkCredentials(credentials);
    });
    return { name, credentials };
  });
}

function readBranding(given: unknown, problems: string[]): Branding {
  if (given === undefined) return {};
  if (isRecord(given) && (given.name === undefined || typeof given.name === 'string')) return given;
  problems.push('branding: must be an object such as { name: "Contoso" }.');
  return {};
}

/** Runs `read`; what it throws becomes a problem at `path`. */
function collect<T>(problems: string[], path: string | undefined, read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    const faults = error instanceof Refusal ? error.details.faults : undefined;
    const words = Array.isArray(faults) ? faults.map(String) : [(error as Error).message];
    problems.push(...words.map((text) => (path === undefined ? text : `${path}: ${text}`)));
    return undefined;
  }
}

function entriesOf(given: unknown, path: string, problems: string[]): [string, unknown][] {
  if (given === undefined) return [];
  if (isRecord(given)) return Object.entries(given);
  problems.push(`${path}: must be an object.`);
  return [];
}

function listOf(given: unknown, path: string, problems: string[]): unknown[] {
  if (given === undefined) return [];
  if (Array.isArray(given)) return given;
  problems.push(`${path}: must be a list.`);
  return [];
}
