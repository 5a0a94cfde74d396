// The arrows between the rooms: who may import whom. Every import of a source file is looked at, type imports, dynamic
// imports and paths with `..` too. What cannot be read from the text (a computed import, a symlink, an alias) is
// refused, because it could hide an arrow. Tests may reach into any room; the rest of the rules hold for them.
import { type Dirent, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

/** room -> what it may import, besides itself, kit and events. An entry with a slash is a file or folder of a room. */
export const arrows: Readonly<Record<string, readonly string[]>> = {
  kit: [],
  // An event and the message that carries it are turned into each other beside the event.
  events: ['topics/message.ts'],
  access: [],
  topics: [],
  people: ['topics/filter', 'deliveries/channel.ts'],
  deliveries: ['hub', 'assistant', 'inbox', 'email'],
  inbox: ['deliveries/channel.ts'],
  // Channels know the type that they implement, how they want to be driven, and the content that they carry.
  email: ['deliveries/channel.ts', 'deliveries/policy.ts', 'inbox/notice.ts', 'people'],
  hub: ['deliveries/channel.ts', 'deliveries/policy.ts', 'inbox/notice.ts'],
  // A decision stands in the trace of the event that asked for it.
  assistant: [
    'deliveries/channel.ts',
    'deliveries/plan.ts',
    'deliveries/policy.ts',
    'deliveries/trace.ts',
    'inbox/notice.ts',
    'inbox/feed.ts',
    'people',
  ],
  // The handler opens the question of a card, in the transaction that writes the notice.
  // It takes notices back as well, and has the cards edited that stand in conversations.
  handler: ['topics', 'people', 'deliveries', 'inbox', 'assistant/cards', 'assistant/decisions', 'assistant/posted.ts'],
  gateways: ['topics', 'people', 'hub', 'assistant', 'inbox', 'deliveries', 'access', 'handler', 'email'],
  main: ['*'],
};

/** Packages that stay in one place, so that they can be replaced there. */
const confined: Readonly<Record<string, readonly string[]>> = {
  fastify: ['gateways'],
  '@fastify': ['gateways'],
  rhea: ['gateways/servicebus', 'gateways/eventhub'],
  nodemailer: ['email'],
  pino: ['main'],
  pg: ['kit', 'topics', 'inbox'],
};

export type Violation = { readonly file: string; readonly line: number; readonly problem: string };
type Import = { readonly specifier: string | undefined; readonly index: number };

/** Every violation under `source`, a folder of rooms. */
export function checkRooms(source: string): Violation[] {
  return filesOf(source).flatMap((entry) => {
    const file = relative(source, join(entry.parentPath, entry.name));
    if (entry.isSymbolicLink()) return [{ file, line: 1, problem: 'is a symbolic link' }];
    if (!/\.[cm]?[jt]sx?$/.test(file)) return [];
    return checkFile(source, file, readFileSync(join(source, file), 'utf8'));
  });
}

function filesOf(folder: string): Dirent[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => !entry.isDirectory());
}

function checkFile(source: string, file: string, text: string): Violation[] {
  const lineOf = (index: number) => text.slice(0, index).split('\n').length;
  // main loads the config file, whose path it is told; in any other room a computed path could hide an arrow.
  const computed = roomOf(file) === 'main' ? undefined : 'imports a computed path';
  const found = importsOf(text).flatMap(({ specifier, index }) => {
    const problem = specifier === undefined ? computed : judge(source, file, specifier);
    return problem === undefined ? [] : [{ file, line: lineOf(index), problem }];
  });
  if (roomOf(file) === 'main' || isTest(file)) return found;
  const reads = [
    ...withoutComments(text).matchAll(
      /\bprocess\s*(\?\.|\.)\s*env\b|\bprocess\s*\[|=\s*process\b(?!\.)|['"](?:node:)?process['"]/g,
    ),
  ];
  return [
    ...found,
    ...reads.map(({ index }) => ({ file, line: lineOf(index), problem: 'reads the environment: only main does' })),
  ];
}

/** The specifier of each import; undefined where it is not a literal. */
function importsOf(text: string): Import[] {
  const code = withoutComments(text);
  const literal = /(?<![.\w])(?:from\s*|(?:import|require)\s*\(?\s*|new\s+URL\s*\(\s*)(['"])([^'"\n]+)\1/g;
  const computed = /(?<![.\w])(?:import|require)\s*\(\s*(?!['"\s])/g;
  return [
    ...[...code.matchAll(literal)].flatMap(({ 0: whole, 2: specifier, index }) => {
      // A URL is only of interest when it names a module, as for a worker.
      if (whole.startsWith('new') && !/\.[cm]?[jt]sx?$/.test(specifier!)) return [];
      return [{ specifier, index }];
    }),
    ...[...code.matchAll(computed)].map(({ index }) => ({ specifier: undefined, index })),
  ];
}

/** Comments become blanks, so that places stay; `//` inside a string is left alone. */
function withoutComments(text: string): string {
  const token = /'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|\/\*[\s\S]*?\*\/|\/\/[^\n]*/g;
  return text.replace(token, (found) => (found.startsWith('/') ? found.replace(/[^\n]/g, ' ') : found));
}

function judge(source: string, file: string, specifier: string): string | undefined {
  if (specifier.startsWith('node:')) return undefined;
  if (/^(#|\/|file:|data:|https?:|carillon($|\/))/.test(specifier))
    return `imports "${specifier}", which hides where it leads`;
  return specifier.startsWith('.') ? judgePath(source, file, specifier) : judgePackage(file, specifier);
}

function judgePackage(file: string, specifier: string): string | undefined {
  const homes = confined[specifier.split('/')[0]!];
  if (!homes || isTest(file) || homes.some((home) => within(file, home))) return undefined;
  return `imports "${specifier}", which stays in ${homes.join(', ')}`;
}

function judgePath(source: string, file: string, specifier: string): string | undefined {
  const target = relative(source, resolve(source, dirname(file), specifier))
    .split(sep)
    .join('/');
  if (isTest(file)) return undefined;
  if (target.startsWith('..')) return leavesSource(source, file, target);
  const [from, to] = [roomOf(file), roomOf(target)];
  const allowed = arrows[from];
  if (!allowed) return `lies in a room that has no arrows: ${from}`;
  if (isTest(target)) return `imports the test ${target}`;
  if (from === to) return from === 'gateways' ? judgeGateways(file, target) : undefined;
  if (to === 'kit' || (to === 'events' && from !== 'kit')) return undefined;
  if (allowed.some((arrow) => arrow === '*' || within(target, arrow))) return undefined;
  return `${from} may not import ${to} (${target})`;
}

// The config file beside package.json is user code that main loads; nothing else lies outside.
function leavesSource(source: string, file: string, target: string): string | undefined {
  if (roomOf(file) === 'main') return undefined;
  return `imports ${relative(dirname(source), resolve(source, target))}, outside of the rooms`;
}

// A gateway is one foreign protocol: what two of them need belongs into a room.
function judgeGateways(file: string, target: string): string | undefined {
  const [mine, theirs] = [file, target].map((path) => path.split(/[\\/]/)[1]);
  return mine === theirs ? undefined : `gateway ${mine} imports gateway ${theirs} (${target})`;
}

function within(path: string, place: string): boolean {
  const normal = path.split(sep).join('/');
  return normal === place || normal.startsWith(`${place}/`);
}

function roomOf(file: string): string {
  return file.split(/[\\/]/)[0]!;
}

function isTest(file: string): boolean {
  return /\.test\.[jt]sx?$|(^|[\\/])(test|testing)[\\/]/.test(file);
}

export const sourceFolder = fileURLToPath(new URL('../src', import.meta.url));
