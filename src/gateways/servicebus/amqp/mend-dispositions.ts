// What is said of deliveries in one turn, in ranges. rhea takes the second delivery of a range for one like the first
// without looking: of two messages in one turn the second was told to be stored when only the first was, or refused with
// it. It also speaks of deliveries that left settled, of which there is nothing to say. Part of mend.ts.
import { type Delivery, frames, type InternalSession, Session, type Typed } from './rhea-internals.ts';

type Told = Delivery & { readonly state: Typed | undefined };
type Telling = InternalSession & {
  readonly incoming: { updated: Told[] };
  readonly outgoing: { pending_dispositions: Told[] };
};

const ACCEPTED = 0x24;

/** Writes them before rhea does, which then finds none. */
export function mendDispositions(): void {
  const run = Session.prototype._process as () => void;
  Session.prototype._process = function (this: Telling) {
    const { incoming, outgoing } = this;
    if (incoming.updated.length > 0) tell(this, true, incoming.updated.splice(0));
    if (outgoing.pending_dispositions.length > 0)
      tell(
        this,
        false,
        outgoing.pending_dispositions.splice(0).filter(({ state }) => state !== undefined),
      );
    run.call(this);
  };
}

function tell(session: InternalSession, role: boolean, deliveries: readonly Told[]): void {
  for (let at = 0; at < deliveries.length; ) {
    const first = deliveries[at]!;
    let last = first;
    for (at++; at < deliveries.length && follows(deliveries[at]!, last); at++) last = deliveries[at]!;
    const { state, settled } = first;
    session.output(frames.disposition({ role, first: first.id >>> 0, last: last.id >>> 0, state, settled }));
  }
}

/** Whether one frame can speak of both. */
function follows(next: Told, last: Told): boolean {
  return next.id === last.id + 1 && next.settled === last.settled && isSame(next.state, last.state);
}

/** Acceptances have nothing in them that could differ; of other outcomes every one is for itself. */
function isSame(a: Typed | undefined, b: Typed | undefined): boolean {
  return a === b || (a?.descriptor?.value === ACCEPTED && b?.descriptor?.value === ACCEPTED);
}
