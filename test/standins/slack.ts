// Slack as an app meets it: the Web API with its limits and errors, and people who write and press buttons, whose requests
// are signed as Slack signs them. Source: docs.slack.dev (Web API methods, block kit limits, verifying requests).
import { createHmac, randomUUID } from 'node:crypto';
import { json, Service, type StandinAnswer, type StandinRequest } from './service.ts';

export type SlackMessage = { readonly ts: string; text: string; blocks: readonly Block[]; updates: number };
type Block = Record<string, unknown> & { readonly type: string };
type Person = { readonly id: string; readonly email: string; state: 'active' | 'deactivated' };
type Channel = { readonly id: string; readonly userId: string; readonly messages: SlackMessage[]; lastAt: number };
export type SlackView = Record<string, unknown> & { readonly callback_id?: string; readonly private_metadata?: string };

export class SlackStandin {
  readonly teamId = 'T0001';
  readonly token = 'xoxb-stand-in';
  readonly signingSecret = 'slack-signing-secret';
  /** Where the app listens, up to `/actions` and `/events`. */
  baseUrl: string | undefined;
  service!: Service;
  /** Off: more than one message a second and channel is let through. */
  limits = true;
  rateLimited = 0;
  revoked = false;
  readonly views: SlackView[] = [];
  readonly #people = new Map<string, Person>();
  readonly #channels = new Map<string, Channel>();
  #counter = 0;

  static async start(port = 0): Promise<SlackStandin> {
    const standin = new SlackStandin();
    standin.service = await Service.start({ port, answer: (request) => standin.answer(request) });
    return standin;
  }

  stop(): Promise<void> {
    return this.service.stop();
  }

  get apiUrl(): string {
    return `${this.service.url}/api/`;
  }

  addPerson(id: string, email: string): void {
    this.#people.set(id, { id, email, state: 'active' });
  }

  deactivate(id: string): void {
    this.#people.get(id)!.state = 'deactivated';
  }

  messagesOf(userId: string): readonly SlackMessage[] {
    return this.#channelOf(userId)?.messages ?? [];
  }

  /** The person writes to the app. */
  say(userId: string, text: string, more: { eventId?: string; retry?: number } = {}): Promise<Response> {
    const channel = this.#open(userId).id;
    const event = { type: 'message', channel_type: 'im', user: userId, channel, text, ts: this.#ts() };
    const body = { type: 'event_callback', team_id: this.teamId, event_id: more.eventId ?? `Ev${randomUUID()}`, event };
    const retry: Record<string, string> = more.retry === undefined ? {} : { 'x-slack-retry-num': String(more.retry) };
    return this.send('/events', JSON.stringify(body), 'application/json', retry);
  }

  /** Presses the button with these words; `values` are what the inputs of the message hold, by action id. */
  press(userId: string, ts: string, label: string, values: Record<string, string> = {}): Promise<Response> {
    const channel = this.#open(userId);
    const message = channel.messages.find((each) => each.ts === ts);
    const button = message?.blocks.flatMap(buttonsIn).find((each) => textOf(each.text) === label);
    if (!button) throw new Error(`There is no button ${label} on ${ts}.`);
    const state = Object.fromEntries(
      Object.entries(values).map(([id, value]) => [id, { [id]: { type: 'plain_text_input', value } }]),
    );
    return this.#interact({
      type: 'block_actions',
      user: { id: userId },
      channel: { id: channel.id },
      message: { ts },
      trigger_id: randomUUID(),
      state: { values: state },
      actions: [{ ...button, type: 'button', action_ts: this.#ts() }],
    });
  }

  /** Fills in a form that was opened, and sends it. */
  submit(userId: string, view: SlackView, values: Record<string, string>): Promise<Response> {
    const state = Object.fromEntries(Object.entries(values).map(([id, value]) => [id, { [id]: { value } }]));
    return this.#interact({
      type: 'view_submission',
      user: { id: userId },
      view: { ...view, id: `V${++this.#counter}`, state: { values: state } },
    });
  }

  #interact(payload: object): Promise<Response> {
    const text = JSON.stringify({ team: { id: this.teamId }, ...payload });
    return this.send(
      '/actions',
      new URLSearchParams({ payload: text }).toString(),
      'application/x-www-form-urlencoded',
    );
  }

  /** A request as Slack signs it; `at` in seconds and `secret` can be wrong. */
  send(
    path: string,
    body: string,
    type: string,
    headers: Record<string, string> = {},
    { at = Math.floor(Date.now() / 1000), secret = this.signingSecret }: { at?: number; secret?: string } = {},
  ): Promise<Response> {
    const signature = `v0=${createHmac('sha256', secret).update(`v0:${at}:${body}`).digest('hex')}`;
    const signed = { 'x-slack-request-timestamp': String(at), 'x-slack-signature': signature };
    return fetch(`${this.baseUrl}${path}`, {
      method: 'POST',
      headers: { 'content-type': type, ...signed, ...headers },
      body,
    });
  }

  answer(request: StandinRequest): StandinAnswer {
    if (this.revoked) return failed('token_revoked');
    if (request.headers.authorization !== `Bearer ${this.token}`) return failed('invalid_auth');
    const given = Object.fromEntries(new URLSearchParams(String(request.body)));
    switch (request.path) {
      case '/api/chat.postMessage':
        return this.#post(given);
      case '/api/chat.update':
        return this.#update(given);
      case '/api/users.lookupByEmail':
        return this.#lookup(given.email ?? '');
      case '/api/users.info':
        return this.#info(given.user ?? '');
      case '/api/views.open':
        this.views.push(JSON.parse(given.view!) as SlackView);
        return json(200, { ok: true });
      default:
        return failed('unknown_method');
    }
  }

  #post({ channel: target = '', text = '', blocks = '[]' }: Record<string, string>): StandinAnswer {
    const person = this.#people.get(target);
    if (target.startsWith('U') && !person) return failed('user_not_found');
    const channel = person ? this.#open(target) : this.#channels.get(target);
    if (!channel) return failed('channel_not_found');
    if (this.#people.get(channel.userId)?.state === 'deactivated') return failed('is_inactive');
    const wrong = checkBlocks(blocks, text);
    if (wrong) return wrong;
    const limited = this.#limit(channel);
    if (limited) return limited;
    const message = { ts: this.#ts(), text, blocks: JSON.parse(blocks) as Block[], updates: 0 };
    channel.messages.push(message);
    return json(200, { ok: true, channel: channel.id, ts: message.ts });
  }

  #update({ channel: id = '', ts, text = '', blocks = '[]' }: Record<string, string>): StandinAnswer {
    const message = this.#channels.get(id)?.messages.find((each) => each.ts === ts);
    if (!message) return failed('message_not_found');
    const wrong = checkBlocks(blocks, text);
    if (wrong) return wrong;
    Object.assign(message, { text, blocks: JSON.parse(blocks), updates: message.updates + 1 });
    return json(200, { ok: true, channel: id, ts });
  }

  #limit(channel: Channel): StandinAnswer | undefined {
    const now = Date.now();
    // About one a second, with room for a short burst.
    channel.lastAt = Math.max(channel.lastAt + 1_000, now - 4_000);
    if (!this.limits || channel.lastAt <= now) return undefined;
    channel.lastAt -= 1_000;
    this.rateLimited += 1;
    return { status: 429, headers: { 'retry-after': '1' }, body: 'ratelimited' };
  }

  #lookup(email: string): StandinAnswer {
    const found = [...this.#people.values()].find((each) => each.email === email && each.state === 'active');
    return found ? json(200, { ok: true, user: { id: found.id } }) : failed('users_not_found');
  }

  #info(id: string): StandinAnswer {
    const found = this.#people.get(id);
    if (!found) return failed('user_not_found');
    return json(200, { ok: true, user: { id, deleted: false, is_bot: false, profile: { email: found.email } } });
  }

  #channelOf(userId: string): Channel | undefined {
    return [...this.#channels.values()].find((each) => each.userId === userId);
  }

  #open(userId: string): Channel {
    const known = this.#channelOf(userId);
    if (known) return known;
    const channel = { id: `D${userId}`, userId, messages: [], lastAt: 0 };
    this.#channels.set(channel.id, channel);
    return channel;
  }

  #ts(): string {
    return `${Math.floor(Date.now() / 1000)}.${String(++this.#counter).padStart(6, '0')}`;
  }
}

function failed(error: string, messages: readonly string[] = []): StandinAnswer {
  return json(200, { ok: false, error, response_metadata: { messages } });
}

/** The limits that matter to us. */
function checkBlocks(blocks: string, text: string): StandinAnswer | undefined {
  if (text === '') return failed('no_text');
  if (blocks.length > 13_200) return failed('msg_blocks_too_long');
  const list = JSON.parse(blocks) as Block[];
  if (list.length > 50) return failed('invalid_blocks', ['no more than 50 blocks allowed']);
  const wrong = list.find((block) => (textOf(block.text)?.length ?? 0) > (block.type === 'header' ? 150 : 3_000));
  return wrong ? failed('invalid_blocks', [`must be less than 3001 characters [${wrong.type}]`]) : undefined;
}

function textOf(value: unknown): string | undefined {
  return (value as { text?: string } | undefined)?.text;
}

function buttonsIn(block: Block): Record<string, unknown>[] {
  return block.type === 'actions' ? (block.elements as Record<string, unknown>[]) : [];
}
