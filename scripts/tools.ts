// The programs outside of npm that tests drive: real browsers, another implementation of HTTP/2. Installed with the system's package manager when they
// are missing and we may; else the run stops and says what to install, because a test that is not run proves nothing.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, isAbsolute, join } from 'node:path';

type Tool = {
  readonly name: string;
  readonly programs: readonly string[];
  readonly packages: readonly string[];
  /** Modules of Python that the program must find. */
  readonly modules?: readonly string[];
};

const TOOLS: readonly Tool[] = [
  {
    name: 'Chromium',
    programs: ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'],
    packages: ['chromium', 'chromium-browser'],
  },
  {
    name: 'the Azure client for Python',
    programs: ['/usr/bin/python3'],
    packages: ['python3-azure'],
    modules: ['azure.servicebus'],
  },
  {
    name: 'the Qpid Proton client for Python',
    programs: ['/usr/bin/python3'],
    packages: ['python3-qpid-proton'],
    modules: ['proton'],
  },
  { name: 'libfaketime', programs: ['faketime'], packages: ['faketime'] },
  { name: 'nghttp2', programs: ['nghttpd'], packages: ['nghttp2'] },
  { name: 'Firefox', programs: ['firefox', 'firefox-esr'], packages: ['firefox-esr', 'firefox'] },
];

/** Throws when a tool is missing and cannot be installed. */
export async function ensureTools(): Promise<void> {
  for (const tool of TOOLS) {
    if (isHere(tool)) continue;
    console.log(`carillon: installing ${tool.name} for the tests ...`);
    const problem = install(tool);
    if (problem === undefined && isHere(tool)) continue;
    console.error(
      `carillon: the tests need ${tool.name} (${tool.programs.join(' or ')}), which is not here. ${problem ?? ''}`,
    );
    console.log('0 passed, 1 failed');
    process.exit(1);
  }
}

function isHere({ programs, modules = [] }: Tool): boolean {
  const program = findProgram(programs);
  if (program === undefined || modules.length === 0) return program !== undefined;
  return spawnSync(program, ['-c', modules.map((name) => `import ${name}`).join('\n')]).status === 0;
}

/** The path of the first of these programs that the machine has. */
export function findProgram(names: readonly string[]): string | undefined {
  const folders = (process.env.PATH ?? '').split(delimiter);
  return names
    .flatMap((name) => (isAbsolute(name) ? [name] : folders.map((folder) => join(folder, name))))
    .find((path) => existsSync(path));
}

function install({ packages }: Tool): string | undefined {
  const command = `apt-get install -y --no-install-recommends ${packages[0]}`;
  if (!findProgram(['apt-get'])) return 'Install it with the package manager of this system.';
  const root = process.getuid?.() === 0 ? [] : ['sudo', '-n'];
  if (root.length > 0 && spawnSync('sudo', ['-n', 'true']).status !== 0) return `Run as root: ${command}`;
  const apt = (...args: string[]) => {
    const [program, ...rest] = [...root, 'env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get', '-qq', ...args];
    return spawnSync(program!, rest, { encoding: 'utf8' });
  };
  apt('update');
  const tries = packages.map((name) => apt('install', '-y', '--no-install-recommends', name));
  return tries.some(({ status }) => status === 0)
    ? undefined
    : `${command} said:\n${tries.map(({ stderr }) => stderr).join('')}`;
}
