// The first start and the later ones, as a newcomer has them: a fresh clone of what is committed, an empty home, npm's
// cache warm. Times are from `npm start` to the first 200 of `/readyz`; then what the idle server takes. Nothing is deleted
// before the end: making files is several times slower on some file systems (ext4) while many were deleted a moment ago.
//   node bench/start.ts [--runs 3] [--later 3] [--idle 20] [--node <folder of another node and npm>]
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { findHolder } from '../src/main/lock.ts';
import { freePort, temporaryFolder } from './peers/servers.ts';

type Start = { readonly pid: number; readonly readyMs: number; readonly phases: Phases; stop(): Promise<void> };
type Phases = Record<string, number>;

const LIMIT_MS = 120_000;
const TICKS_PER_SECOND = 100;
const source = fileURLToPath(new URL('..', import.meta.url));
const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '3' },
    later: { type: 'string', default: '3' },
    idle: { type: 'string', default: '20' },
    node: { type: 'string', default: '' },
  },
});

const folder = await temporaryFolder();
const cache = execFileSync('npm', ['config', 'get', 'cache'], {
  encoding: 'utf8',
  stdio: ['ignore', 'pipe', 'ignore'],
}).trim();
const [first, later, idle]: [Phases[], Phases[], Phases[]] = [[], [], []];
for (let run = 0; run < Number(values.runs); run++) await measure(join(folder, String(run)));
print('first start, ms', first);
print('later start, ms', later);
print('idle', idle);

async function measure(at: string): Promise<void> {
  const clone = join(at, 'carillon');
  mkdirSync(join(at, 'home'), { recursive: true });
  execFileSync('git', ['clone', '-q', source, clone]);
  for (let n = 0; n <= Number(values.later); n++) {
    const server = await start(clone, join(at, 'home'));
    (n === 0 ? first : later).push({ ...server.phases, ready: server.readyMs });
    if (n === Number(values.later)) idle.push(await idling(server.pid, Number(values.idle)));
    await server.stop();
  }
}

async function start(clone: string, home: string): Promise<Start> {
  const port = await freePort();
  const amqpPort = await freePort();
  const began = performance.now();
  const child = spawn('npm', ['start'], { cwd: clone, env: environment(home, port, amqpPort), detached: true });
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const phases: Phases = {};
  const said: string[] = [];
  for (const stream of [child.stdout, child.stderr])
    createInterface(stream).on('line', (line) => {
      said.push(line);
      const phase = phaseOf(line);
      if (phase) phases[phase] ??= performance.now() - began;
    });
  const stop = async () => {
    if (child.exitCode === null) process.kill(-child.pid!, 'SIGINT'); // as the terminal does it: the whole group
    await exited;
  };
  while (!(await isReady(port))) {
    if (child.exitCode === null && performance.now() - began < LIMIT_MS) await sleep(20);
    else throw await stop().then(() => new Error(said.join('\n')));
  }
  const readyMs = performance.now() - began;
  const holder = await findHolder(join(clone, '.carillon'));
  return { pid: holder!.pid, readyMs, phases, stop };
}

/** What a line of the output tells to be done. */
function phaseOf(line: string): string | undefined {
  if (line.startsWith('carillon: packages installed')) return 'installed';
  if (line.startsWith('carillon: installing')) return 'npm started';
  return /"msg":"(engine\.ready|schema\.migrated|pages\.built)"/.exec(line)?.[1];
}

function environment(home: string, port: number, amqpPort: number): NodeJS.ProcessEnv {
  const path = ['/usr/local/bin', '/usr/bin', '/bin'];
  return {
    HOME: home,
    PATH: (values.node ? [values.node, ...path] : path).join(':'),
    npm_config_cache: cache,
    CARILLON_PORT: String(port),
    CARILLON_AMQP_PORT: String(amqpPort),
    CARILLON_TLS_PORT: '0',
    CARILLON_AMQP_HTTP_PORT: '0',
    CARILLON_AGENT_PORT: '0',
  };
}

async function isReady(port: number): Promise<boolean> {
  return fetch(`http://127.0.0.1:${port}/readyz`).then(
    async (answer) => {
      await answer.arrayBuffer();
      return answer.ok;
    },
    () => false,
  );
}

/** Percent of one core over `seconds`, from ten seconds after the start, and resident megabytes. */
async function idling(pid: number, seconds: number): Promise<Phases> {
  await sleep(10_000);
  const before = ticks(pid);
  await sleep(seconds * 1_000);
  const cpu = ((ticks(pid) - before) / TICKS_PER_SECOND / seconds) * 100;
  const kilobytes = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]);
  return { 'CPU %': cpu, 'resident MB': kilobytes / 1_024 };
}

function ticks(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  return Number(fields[11]) + Number(fields[12]);
}

/** Medians, with the least and the most. */
function print(title: string, runs: readonly Phases[]): void {
  const names = [...new Set(runs.flatMap((run) => Object.keys(run)))];
  for (const name of names) {
    const sorted = runs.map((run) => run[name] ?? Number.NaN).toSorted((a, b) => a - b);
    const digits = name === 'CPU %' ? 2 : 0;
    const shown = [sorted[Math.floor(sorted.length / 2)], sorted[0], sorted.at(-1)].map((n) => n!.toFixed(digits));
    console.log(`${title}: ${name} ${shown[0]} [${shown[1]}-${shown[2]}]`);
  }
}
