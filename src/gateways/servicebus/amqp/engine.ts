// Accepts sockets into rhea. Every connection gets a container of its own, because its SASL mechanisms are its own.
import type { Duplex } from 'node:stream';
import rhea from 'rhea';
import { answerSoon } from './answer-soon.ts';
import type { WireConnection } from './link.ts';
import { mendRhea } from './mend.ts';

/** What the server tells of itself in `open`; the frame size bounds what a client may make us hold. */
const OPTIONS = {
  container_id: 'carillon',
  max_frame_size: 262_144,
  channel_max: 4999,
  idle_time_out: 240_000,
  tcp_no_delay: true,
  reconnect: false,
  receiver_options: { credit_window: 0, autoaccept: false, autosettle: false },
  sender_options: { treat_modified_as_released: false, autosettle: false },
  session_buffer_size: { incoming: 8192, outgoing: 8192 },
} as const;

export type AcceptOptions = {
  readonly mechanisms: (connection: WireConnection) => Record<string, () => unknown>;
  /** Called before the first byte is read. */
  readonly prepare: (connection: WireConnection) => void;
};

export function acceptAmqp(socket: Duplex, { mechanisms, prepare }: AcceptOptions): void {
  mendRhea();
  const container = rhea.create_container({ id: OPTIONS.container_id });
  // rhea's typings know neither options for the accepting side nor the parts of a connection that we need.
  const connection = container.create_connection(OPTIONS as never) as unknown as WireConnection & {
    accept(socket: Duplex): void;
    _write_frame(): void;
  };
  Object.assign(container.sasl_server_mechanisms as object, mechanisms(connection));
  prepare(connection);
  answerSoon(socket, connection); // Before rhea reads: what it answers counts.
  connection.accept(socket);
}
