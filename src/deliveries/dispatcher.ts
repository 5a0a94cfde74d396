// The dispatcher: one lane per channel, so that a slow or dead channel holds up no other. Any number of nodes may run
// one on the same database: leases keep them from sending the same delivery, attempts fence those that come too late.
import { type Clock, systemClock } from '../kit/clock.ts';
import type { Database } from '../kit/database.ts';
import type { Emit } from '../kit/signals.ts';
import type { Channel, ChannelName } from './channel.ts';
import { Lane } from './lane.ts';
import { defaultPolicy, type LanePolicy } from './policy.ts';
import { type MarkGone, Settler } from './settle.ts';
import type { DeliverySignal } from './signals.ts';

export type DispatcherDeps = {
  readonly database: Database;
  readonly channels: readonly Channel[];
  readonly emit: Emit<DeliverySignal>;
  /** What differs from {@link defaultPolicy}, per channel. */
  readonly policy?: Partial<Record<ChannelName, Partial<LanePolicy>>>;
  /** Called in the transaction that drops deliveries because their endpoints are dead. */
  readonly markGone?: MarkGone;
  readonly clock?: Clock;
  readonly dice?: () => number;
  /** This run of the node, see kit/run.ts. */
  readonly run?: number;
};

export class Dispatcher {
  readonly #lanes: ReadonlyMap<ChannelName, Lane>;
  #stopping: Promise<void> | undefined;

  private constructor(lanes: ReadonlyMap<ChannelName, Lane>) {
    this.#lanes = lanes;
  }

  /** Starts sending what is due. */
  static start(deps: DispatcherDeps): Dispatcher {
    const { database, emit, clock = systemClock, dice = Math.random } = deps;
    const markGoneFailed = (error: unknown) =>
      emit({ name: 'lane.failed', channel: undefined, doing: 'mark_gone', error });
    const settler = new Settler({ database, markGone: deps.markGone, markGoneFailed });
    const laneDeps = { database, emit, clock, dice, settler, run: deps.run };
    const lane = (channel: Channel) =>
      new Lane(laneDeps, channel, { ...defaultPolicy, ...deps.policy?.[channel.name] });
    const dispatcher = new Dispatcher(new Map(deps.channels.map((channel) => [channel.name, lane(channel)])));
    dispatcher.wake();
    return dispatcher;
  }

  /** Call after a commit that planned or redrove deliveries: without it they wait for the slow poll. */
  wake(channel?: ChannelName): void {
    if (channel) this.#lanes.get(channel)?.wake();
    else for (const lane of this.#lanes.values()) lane.wake();
  }

  /** Ends a pause at once, e.g. when new credentials are in place. */
  resume(channel: ChannelName): void {
    this.#lanes.get(channel)?.resume();
  }

  /** Whether each lane sends ('closed', as a circuit is), pauses ('open') or waits for a human ('alarm'). */
  states(): { readonly channel: ChannelName; readonly state: 'closed' | 'open' | 'alarm' }[] {
    return [...this.#lanes].map(([channel, lane]) => ({ channel, state: lane.state() }));
  }

  /**
   * Claims no more and resolves when what is under way is settled. A channel that does not return holds this up: whoever
   * stops the process sets the limit, and the leases of what was left lapse.
   */
  stop(): Promise<void> {
    this.#stopping ??= Promise.all([...this.#lanes.values()].map((lane) => lane.stop())).then(() => {});
    return this.#stopping;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}
