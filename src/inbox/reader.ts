// One open stream of one person's inbox. It never holds more than a few items, and it never misses one: positions are
// gap-free, so an item that is not the next one, or that finds the queue full, only tells the reader that it is behind;
// it then reads the items from the database, at its own pace, until it has caught up.
//
//   live --gap, full queue, hint--> behind --next()--> reading --page full, or told again--> behind
//     ^----------------------------------------------------'---last page--> live
import type { Counts, Head, InboxItem } from './item.ts';
import type { Change, Marked } from './mark.ts';

export type InboxEvent =
  | { readonly kind: 'item'; readonly item: InboxItem }
  | { readonly kind: 'counts'; readonly counts: Counts }
  /** States were marked, here or on another page. No ids: too many or unknown, read the page again. */
  | { readonly kind: 'changed'; readonly ids: readonly string[] | undefined; readonly as: Change | undefined };

/** What a reader that is behind reads: the head, then a page of items after a position (none if it is undefined). */
export type ReadAfter = (
  recipientId: string,
  after: number | undefined,
  limit: number,
) => Promise<{ readonly head: Head; readonly items: readonly InboxItem[] }>;

/** Why a stream ended from our side. */
export type EndReason = 'slow' | 'stopped' | 'failed';

const MAX_QUEUED = 64;
const PAGE = 64;
const MAX_CHANGED = 200;

export class InboxReader implements AsyncIterable<InboxEvent> {
  readonly recipientId: string;
  readonly #readAfter: ReadAfter;
  readonly #onClose: () => void;
  readonly #queue: InboxItem[] = [];
  #state: 'live' | 'behind' | 'reading' = 'behind';
  #toldAgain = false;
  /** The last item that was handed out or queued; undefined: wherever the head is at the first read. */
  #position: number | undefined;
  /** How often states had been marked when this reader last heard of it; undefined until the first read. */
  #marks: number | undefined;
  /** Position and marks of the latest counts: both only grow, so their sum orders all reports. */
  #version = -1;
  #greeted = false;
  #counts: Counts | undefined;
  #changed: { ids: readonly string[] | undefined; as: Change | undefined } | undefined;
  #wake: (() => void) | undefined;
  #ended: EndReason | 'closed' | undefined;
  #waitingSince: number | undefined;

  constructor(recipientId: string, after: number | undefined, readAfter: ReadAfter, onClose: () => void) {
    this.recipientId = recipientId;
    this.#position = after;
    this.#readAfter = readAfter;
    this.#onClose = onClose;
  }

  /** Why it ended; undefined while it is open. `closed` is the reader's own wish. */
  get ended(): EndReason | 'closed' | undefined {
    return this.#ended;
  }

  /** Items held in memory for it. */
  get queued(): number {
    return this.#queue.length;
  }

  /** An item was committed. */
  push(item: InboxItem, head: Head): void {
    if (this.#state !== 'live' || this.#position === undefined) {
      this.#fallBehind();
      return;
    }
    if (item.position === this.#position + 1 && this.#queue.length < MAX_QUEUED) {
      this.#position = item.position;
      this.#queue.push(item);
    } else if (item.position > this.#position) {
      this.#fallBehind();
    }
    this.#offerCounts(head);
  }

  /** States were marked in this process. */
  pushMarked(marked: Marked, as: Change): void {
    if (this.#marks === undefined) {
      this.#fallBehind();
      return;
    }
    const next =
      marked.head.marks === this.#marks + 1 && this.#changed === undefined && marked.ids.length <= MAX_CHANGED;
    if (next) this.#changed = { ids: marked.ids, as };
    else if (marked.head.marks > this.#marks) this.#changed = { ids: undefined, as: undefined };
    this.#marks = Math.max(this.#marks, marked.head.marks);
    this.#offerCounts(marked.head);
  }

  /** The head of the inbox was read from the database: is there anything that this reader has not heard of? */
  pushHead(head: Head): void {
    if (this.#position === undefined || head.position > this.#position) this.#fallBehind();
    if (this.#marks !== undefined && head.marks > this.#marks) this.#changed = { ids: undefined, as: undefined };
    this.#marks = Math.max(this.#marks ?? 0, head.marks);
    this.#offerCounts(head);
  }

  /** What is next; undefined once the stream has ended. Rejects when the database cannot be read. One call at a time. */
  async next(): Promise<InboxEvent | undefined> {
    this.#waitingSince = undefined;
    for (;;) {
      if (this.#ended) return undefined;
      const event = this.#take();
      if (event) return this.#handOut(event);
      if (this.#state === 'behind') await this.#catchUp();
      else await this.#somethingHappens();
    }
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<InboxEvent> {
    try {
      for (let event = await this.next(); event; event = await this.next()) yield event;
    } finally {
      this.close();
    }
  }

  /** Ends the stream; `next()` answers undefined from now on. */
  close(reason: EndReason | 'closed' = 'closed'): void {
    if (this.#ended) return;
    this.#ended = reason;
    this.#queue.length = 0;
    this.#onClose();
    this.#wake?.();
  }

  /** True when something has waited longer than `ms` for its reader to come and take it. */
  isStalled(now: number, ms: number): boolean {
    if (this.#waitingSince === undefined || !this.#hasSomething()) return false;
    return now - this.#waitingSince > ms;
  }

  #handOut(event: InboxEvent): InboxEvent {
    this.#waitingSince = Date.now();
    return event;
  }

  #hasSomething(): boolean {
    return (
      this.#queue.length > 0 || this.#state === 'behind' || this.#changed !== undefined || this.#counts !== undefined
    );
  }

  /** Items first, in order, then what changed, then the counts that result; but a new stream begins with counts. */
  #take(): InboxEvent | undefined {
    if (!this.#greeted) return this.#takeCounts();
    const item = this.#queue.shift();
    if (item) return { kind: 'item', item };
    if (this.#state === 'behind') return undefined;
    const changed = this.#changed;
    this.#changed = undefined;
    return changed ? { kind: 'changed', ...changed } : this.#takeCounts();
  }

  #takeCounts(): InboxEvent | undefined {
    const counts = this.#counts;
    if (!counts) return undefined;
    this.#counts = undefined;
    this.#greeted = true;
    return { kind: 'counts', counts };
  }

  #fallBehind(): void {
    if (this.#state === 'reading') this.#toldAgain = true;
    else this.#state = 'behind';
    this.#wake?.();
  }

  async #catchUp(): Promise<void> {
    this.#state = 'reading';
    this.#toldAgain = false;
    try {
      const { head, items } = await this.#readAfter(this.recipientId, this.#position, PAGE);
      this.#accept(head, items);
    } catch (error) {
      this.close('failed');
      throw error;
    }
  }

  #accept(head: Head, items: readonly InboxItem[]): void {
    this.#queue.push(...items);
    const full = items.length === PAGE;
    const last = items.at(-1)?.position ?? 0;
    // After the last page the head says where we are: retention may have taken items away.
    this.#position = full ? last : Math.max(last, head.position);
    this.#state = full || this.#toldAgain ? 'behind' : 'live';
    this.pushHead(head);
  }

  #offerCounts(head: Head): void {
    if (head.position + head.marks > this.#version) {
      this.#version = head.position + head.marks;
      this.#counts = { unseen: head.unseen, unread: head.unread };
    }
    this.#wake?.();
  }

  #somethingHappens(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = () => {
        this.#wake = undefined;
        resolve();
      };
    });
  }
}
