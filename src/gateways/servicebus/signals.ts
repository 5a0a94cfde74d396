// What this door tells its listeners: never an address of a person, a body or a key.
import type { Emit } from '../../kit/signals.ts';

export type ServiceBusSignal =
  | { readonly name: 'servicebus.connected' | 'servicebus.disconnected'; readonly open: number }
  /** A client was told no, for a reason that it can act on. */
  | { readonly name: 'servicebus.refused'; readonly where: string; readonly condition: string }
  /** The bytes of a client were not what they claim to be; its connection was closed. */
  | { readonly name: 'servicebus.malformed'; readonly reason: string }
  /** Our own fault. */
  | { readonly name: 'servicebus.failed'; readonly where: string; readonly error: unknown };

export type EmitServiceBus = Emit<ServiceBusSignal>;
