// Numbers of transfers and deliveries have 32 bits and go round (AMQP 1.0, part 2.8.10). rhea counts on beyond them: after
// 4,294,967,296 messages a link would stand still, or its connection end, and there are clients that begin just below.
// Here they are counted on as well, and folded where they leave; what a client says is read as the number nearest to ours.
// Part of mend.ts.
import { type Frame, frames, type InternalLink, type InternalSession, links, Session } from './rhea-internals.ts';

type Fields = { readonly delivery_count?: number; readonly link_credit?: number; readonly next_outgoing_id?: number };
type Counting = InternalSession & {
  readonly incoming: {
    next_transfer_id: number;
    next_delivery_id: number | undefined;
    max_transfer_id: number;
    readonly window: number;
    on_flow: (fields: Fields) => void;
  };
  readonly outgoing: {
    readonly next_transfer_id: number;
    readonly remote_next_transfer_id: number | undefined;
    readonly remote_window: number | undefined;
    transfer_window: () => number;
  };
};

/** The number of ours that a client means. Who says none has not yet seen where we began. */
function near(ours: number, said: number | null | undefined, first = 0): number {
  return ours + (((said ?? first) - ours) | 0);
}

export function mendCounting(): void {
  countSessions();
  countLinks();
}

function countSessions(): void {
  const prototype = Session.prototype;
  const begin = prototype.on_begin as (frame: Frame) => void;
  prototype.on_begin = function (this: Counting, frame: Frame) {
    const { incoming, outgoing } = this;
    outgoing.transfer_window = () => {
      const { next_transfer_id: next, remote_next_transfer_id: read, remote_window: window = 0 } = outgoing;
      return window - (next - near(next, read));
    };
    const flow = incoming.on_flow;
    incoming.on_flow = (fields) => {
      const next = near(incoming.next_transfer_id, fields.next_outgoing_id);
      flow.call(incoming, fields);
      incoming.next_transfer_id = next;
    };
    begin.call(this, frame);
    promised(this);
  };
  const transfer = prototype.on_transfer as (frame: Frame) => void;
  prototype.on_transfer = function (this: Counting, frame: Frame) {
    transfer.call(this, frame);
    const { incoming } = this;
    if (incoming.next_delivery_id !== undefined) incoming.next_delivery_id >>>= 0;
  };
  const write = prototype._write_flow as (link?: InternalLink) => void;
  prototype._write_flow = function (this: Counting, link?: InternalLink) {
    write.call(this, link);
    promised(this);
  };
}

/** How far the client may go by what we have told it: when it comes near, rhea tells it more. */
function promised({ incoming }: Counting): void {
  incoming.max_transfer_id = incoming.next_transfer_id + incoming.window;
}

function countLinks(): void {
  const flow = frames.flow;
  frames.flow = (fields: Fields) =>
    flow(fields.delivery_count === undefined ? fields : { ...fields, delivery_count: fields.delivery_count >>> 0 });
  const prototype = links.Sender.prototype;
  const onFlow = prototype.on_flow as (frame: { performative: Fields }) => void;
  prototype.on_flow = function (this: InternalLink, { performative }: { performative: Fields & { drain?: boolean } }) {
    const { link_credit, drain } = performative;
    const first = this.local.attach.initial_delivery_count as number;
    const delivery_count = near(this.delivery_count, performative.delivery_count, first);
    onFlow.call(this, { performative: { delivery_count, link_credit, drain } as Fields });
  };
}
