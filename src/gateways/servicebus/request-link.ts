// The two ends of a request/response node: requests come in on one link, replies leave on another of the same
// connection, found by the `reply-to` of the request.

import { Refusal } from '../../kit/refusal.ts';
import { addressOf, echoAttach, isPending, type LinkContext, type WireLink } from './amqp/link.ts';
import { hook, isOversize } from './amqp/mend.ts';
import type { WireReply, WireRequest } from './amqp/request.ts';
import { readRequest, writeReply } from './amqp/request.ts';
import type { Tell } from './errors.ts';
import { accepted, boxed, rejected } from './outcomes.ts';

/** Clients wait a second for credit and fail; they never have this many requests open. */
const CREDIT = 500;
const MAX_REQUEST_BYTES = 4 * 1024 * 1024;
/** Replies that a client leaves lying without credit; beyond, the oldest ones are forgotten. */
const MAX_WAITING = 500;

/** Told to who has taken a node of requests for a queue: the message would be gone. */
const NOBODY_LISTENS =
  'This takes requests, and answers them on a receiver of the same node, which has to be there first.';

export type Answer = (request: WireRequest) => Promise<WireReply>;

/** Opens the link on which requests come. */
export function serveRequests(link: WireLink, answer: Answer, replies: ReplyLinks, tell: Tell): void {
  echoAttach(link);
  hook(link, { maxMessageSize: MAX_REQUEST_BYTES });
  link.on('message', (context) => void respond(context, link, answer, replies, tell));
  link.flow(CREDIT);
}

async function respond(
  context: LinkContext,
  link: WireLink,
  answer: Answer,
  replies: ReplyLinks,
  tell: Tell,
): Promise<void> {
  link.flow(1);
  try {
    if (isOversize(context.delivery))
      throw new Refusal('too_large', `A request has at most ${MAX_REQUEST_BYTES} bytes.`);
    const request = readRequest(context.message);
    const reply = replies.find(link, request.replyTo);
    if (!reply) throw new Refusal('bad_request', NOBODY_LISTENS);
    context.delivery.update(true, boxed(accepted()));
    reply.send(writeReply(request, await answer(request)));
  } catch (error) {
    context.delivery.update(true, boxed(rejected(tell(error))));
  }
}

/** The links of one connection on which replies leave. */
export class ReplyLinks {
  readonly #links = new Map<WireLink, ReplyLink>();

  add(link: WireLink): void {
    echoAttach(link);
    this.#links.set(link, new ReplyLink(link));
    link.on('sender_close', () => this.#links.delete(link));
  }

  /**
   * By the target that the client gave the link, or by its name; else the one of the same node, or any, of the same
   * session (Python's Event Hubs client names none, and asks two nodes in one session).
   */
  find(request: WireLink, replyTo: string | undefined): ReplyLink | undefined {
    const links = [...this.#links];
    const named = links.find(([link]) => addressOf(link.remote.attach.target) === replyTo || link.name === replyTo);
    if (replyTo !== undefined && named) return named[1];
    const near = links.filter(([link]) => link.session === request.session);
    const node = addressOf(request.remote.attach.target);
    return (near.find(([link]) => addressOf(link.remote.attach.source) === node) ?? near[0])?.[1];
  }
}

class ReplyLink {
  readonly #link: WireLink;
  #waiting: Buffer[] = [];
  #limit = 0;
  #sent = 0;

  constructor(link: WireLink) {
    this.#link = link;
    link.on('sender_flow', () => this.#flow());
    if (link.credit > 0) this.#flow();
  }

  #flow(): void {
    this.#limit = this.#link.delivery_count + this.#link.credit;
    this.#drain();
  }

  send(reply: Buffer): void {
    this.#waiting.push(reply);
    if (this.#waiting.length > MAX_WAITING) this.#waiting.shift();
    this.#drain();
  }

  #drain(): void {
    if (isPending(this.#link)) {
      if (this.#waiting.length > 0) setImmediate(() => this.#drain());
      return;
    }
    while (this.#waiting.length > 0 && this.#sent < this.#limit && this.#link.is_open()) {
      const tag = Buffer.alloc(4);
      tag.writeUInt32BE(this.#sent++ >>> 0);
      const delivery = this.#link.send(this.#waiting.shift()!, tag, 0);
      delivery.update(true);
    }
  }
}
