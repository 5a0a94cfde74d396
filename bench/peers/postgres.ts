// An embedded PostgreSQL as Carillon itself starts it, for contenders that need one.
import { Engine } from '../../src/main/engine/engine.ts';
import { temporaryFolder } from './servers.ts';

export async function startPostgres(): Promise<{ readonly url: string; readonly stop: () => Promise<void> }> {
  const engine = await Engine.start({ folder: await temporaryFolder(), emit: () => {} });
  const killed = () => process.kill(engine.pid, 'SIGQUIT');
  process.on('exit', killed);
  return {
    url: engine.url('postgres'),
    stop: async () => {
      process.off('exit', killed);
      await engine.stop();
    },
  };
}
