import type { ChannelName } from './channel.ts';
import type { DeathReason, Verdict } from './judge.ts';

/** What the dispatcher tells. No addresses, no content. */
export type DeliverySignal =
  | {
      /** One attempt was settled, durably. `tookMs` is the time of the channel's call, which may have had several. */
      readonly name: 'delivery.attempted';
      readonly channel: ChannelName;
      readonly deliveryId: string;
      readonly attempt: number;
      readonly outcome: Exclude<Verdict['kind'], 'back'>;
      readonly cause: string | undefined;
      readonly reason: DeathReason | undefined;
      readonly tookMs: number;
    }
  /** An attempt's outcome came too late: its lease had lapsed and another worker has the delivery, or has settled it. */
  | {
      readonly name: 'delivery.fenced';
      readonly channel: ChannelName;
      readonly deliveryId: string;
      readonly attempt: number;
    }
  /** The channel is down. With `alarm` a human must act. `forMs` is the time until the next probe. */
  | {
      readonly name: 'lane.paused';
      readonly channel: ChannelName;
      readonly cause: string;
      readonly alarm: boolean;
      readonly forMs: number;
    }
  | { readonly name: 'lane.resumed'; readonly channel: ChannelName }
  /** Something threw: the database while claiming or settling, or a channel that should have answered with outcomes. */
  | {
      readonly name: 'lane.failed';
      readonly channel: ChannelName | undefined;
      readonly doing: 'claim' | 'deliver' | 'renew' | 'settle' | 'mark_gone';
      readonly error: unknown;
    };
