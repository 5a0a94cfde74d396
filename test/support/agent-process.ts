// A program of somebody else, an agent, as a process of its own.
import { type ChildProcess, spawn } from 'node:child_process';
import { connect } from 'node:net';
import { eventually } from './eventually.ts';

export class AgentProcess {
  readonly #child: ChildProcess;
  output = '';

  private constructor(child: ChildProcess) {
    this.#child = child;
    for (const stream of [child.stdout!, child.stderr!]) {
      stream.on('data', (chunk: Buffer) => {
        this.output = (this.output + chunk.toString()).slice(-20_000);
      });
    }
  }

  /** Ready when it returns: it listens on `port`. */
  static async start(program: string, port: number, env: Readonly<Record<string, string>> = {}): Promise<AgentProcess> {
    const { PATH = '', HOME = '' } = process.env;
    const all = { PATH, HOME, PORT: String(port), ...env };
    const agent = new AgentProcess(spawn(process.execPath, [program], { env: all, stdio: ['ignore', 'pipe', 'pipe'] }));
    await eventually(async () => {
      if (agent.#child.exitCode !== null) throw new Error(`The agent ended:\n${agent.output}`);
      await listens(port);
    }, 30_000);
    return agent;
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const gone = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill('SIGKILL');
    await gone;
  }
}

function listens(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.destroy();
      resolve();
    });
  });
}
