// The desktop on which browsers show their notifications: a message bus with nobody on it but the service that shows them
// (https://specifications.freedesktop.org/notification-spec/), so that a test can see what a person would see, and click it.
// A click made here is a real one for the browser: its service worker may open a window.

import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { kinds, type Message, type Outgoing, readArguments, readMessage, type Value, writeMessage } from './dbus.ts';

export type ShownNotification = { readonly id: number; readonly title: string; readonly body: string };

const NAME = 'org.freedesktop.Notifications';
const OWNER = ':1.0';
const PATH = '/org/freedesktop/Notifications';

export class Desktop {
  readonly #shown = new Map<number, ShownNotification & { readonly socket: Socket }>();
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;
  readonly #path: string;
  #lastId = 0;
  #lastSerial = 0;
  #peers = 0;

  private constructor(path: string) {
    this.#path = path;
    this.#server = createServer((socket) => this.#welcome(socket));
  }

  /** `folder`: where its socket lies. */
  static async start(folder: string): Promise<Desktop> {
    const desktop = new Desktop(join(folder, 'desktop.sock'));
    desktop.#server.listen(desktop.#path);
    await once(desktop.#server, 'listening');
    return desktop;
  }

  /** For the environment of the browser. */
  get env(): Readonly<Record<string, string>> {
    return { DBUS_SESSION_BUS_ADDRESS: `unix:path=${this.#path}` };
  }

  /** What is on the screen. */
  get shown(): readonly ShownNotification[] {
    return [...this.#shown.values()];
  }

  click({ id }: Pick<ShownNotification, 'id'>): void {
    const { socket } = this.#shown.get(id)!; // the caller saw it
    this.#signal(socket, 'ActionInvoked', [id, 'default']);
    this.#close(socket, id, 2);
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #welcome(socket: Socket): void {
    this.#sockets.add(socket);
    this.#peers += 1;
    const peer = `:1.${this.#peers}`;
    let rest: Buffer = Buffer.alloc(0);
    let begun = false;
    socket.on('error', () => {}).on('close', () => this.#sockets.delete(socket));
    socket.on('data', (piece: Buffer) => {
      rest = Buffer.concat([rest, piece]);
      if (!begun) [begun, rest] = authenticate(socket, rest);
      for (let message = begun ? readMessage(rest) : undefined; message; message = readMessage(rest)) {
        rest = rest.subarray(message.end);
        if (message.kind === kinds.call) this.#answer(socket, peer, message);
      }
    });
  }

  #answer(socket: Socket, peer: string, message: Message): void {
    const values = this.#call(socket, peer, message);
    const about = [
      [5, 'u', message.serial],
      [6, 's', peer],
      [7, 's', message.path === PATH ? OWNER : 'org.freedesktop.DBus'],
    ] as const;
    if (values) this.#send(socket, { kind: kinds.answer, fields: about, body: values });
    else
      this.#send(socket, {
        kind: kinds.error,
        fields: [...about, [4, 's', 'org.freedesktop.DBus.Error.ServiceUnknown']],
      });
  }

  /** Undefined: nobody here knows that. */
  #call(socket: Socket, peer: string, message: Message): readonly Value[] | undefined {
    const given = readArguments(message);
    switch (message.member) {
      case 'Hello':
        return [peer];
      case 'NameHasOwner':
        return [given[0] === NAME];
      case 'GetNameOwner':
        return given[0] === NAME ? [OWNER] : undefined;
      case 'StartServiceByName':
        return given[0] === NAME ? [2] : undefined;
      case 'ListActivatableNames':
        return [[]];
      case 'AddMatch':
      case 'RemoveMatch':
        return [];
      case 'GetCapabilities':
        return [['actions', 'body', 'persistence']];
      case 'GetServerInformation':
        return ['Desktop', 'Carillon', '1', '1.2'];
      case 'Notify':
        return [this.#show(socket, given)];
      case 'CloseNotification':
        this.#close(socket, Number(given[0]), 3);
        return [];
      default:
        return undefined;
    }
  }

  #show(socket: Socket, [, replaces, , title, body]: readonly Value[]): number {
    const id = Number(replaces) || ++this.#lastId;
    this.#shown.set(id, { id, title: String(title), body: String(body), socket });
    return id;
  }

  #close(socket: Socket, id: number, reason: number): void {
    if (this.#shown.delete(id)) this.#signal(socket, 'NotificationClosed', [id, reason]);
  }

  #signal(socket: Socket, member: string, body: readonly Value[]): void {
    const fields = [
      [1, 'o', PATH],
      [2, 's', NAME],
      [3, 's', member],
      [7, 's', OWNER],
    ] as const;
    this.#send(socket, { kind: kinds.signal, fields, body });
  }

  #send(socket: Socket, message: Omit<Outgoing, 'serial'>): void {
    this.#lastSerial += 1;
    socket.write(writeMessage({ ...message, serial: this.#lastSerial }));
  }
}

/** SASL, where whoever reached the socket is welcome. Returns whether messages begin, and what is left. */
function authenticate(socket: Socket, bytes: Buffer): [boolean, Buffer] {
  let rest = bytes[0] === 0 ? bytes.subarray(1) : bytes;
  for (let end = rest.indexOf('\r\n'); end >= 0; end = rest.indexOf('\r\n')) {
    const line = rest.toString('latin1', 0, end);
    rest = rest.subarray(end + 2);
    if (line === 'BEGIN') return [true, rest];
    if (line === 'AUTH EXTERNAL') socket.write('DATA\r\n');
    else if (line.startsWith('AUTH EXTERNAL') || line.startsWith('DATA')) socket.write(`OK ${'0'.repeat(32)}\r\n`);
    else if (line.startsWith('AUTH')) socket.write('REJECTED EXTERNAL\r\n');
    else socket.write('ERROR\r\n');
  }
  return [false, rest];
}
