// The server as it would be after an update: a door in front of it that changes the service worker once it is told to.
import { once } from 'node:events';
import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ServerProcess } from '../support/server-process.ts';

export class AnotherBuild implements AsyncDisposable {
  readonly #door: Server;
  updated = false;

  private constructor(server: ServerProcess) {
    this.#door = createServer((incoming, outgoing) => {
      const { 'accept-encoding': _, ...headers } = incoming.headers;
      const isWorker = this.updated && incoming.url === '/service-worker.js';
      if (isWorker) delete headers['if-none-match'];
      const onward = request({ port: server.port, path: incoming.url, method: incoming.method, headers }, (answer) => {
        const { 'content-length': length, ...rest } = answer.headers;
        outgoing.writeHead(answer.statusCode!, isWorker || length === undefined ? rest : answer.headers);
        answer.pipe(outgoing, { end: !isWorker });
        if (isWorker) answer.once('end', () => outgoing.end('\n// another build'));
      });
      onward.once('error', () => outgoing.destroy());
      outgoing.once('close', () => onward.destroy());
      incoming.pipe(onward);
    });
  }

  static async before(server: ServerProcess): Promise<AnotherBuild> {
    const build = new AnotherBuild(server);
    await once(build.#door.listen(0, '127.0.0.1'), 'listening');
    return build;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#door.address() as AddressInfo).port}`; // it listens on TCP
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#door.closeAllConnections();
    await new Promise((resolve) => this.#door.close(resolve));
  }
}
