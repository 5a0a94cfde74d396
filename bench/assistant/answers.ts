// How long it takes until an answer is everywhere. A whole server (its own PostgreSQL, fsync on) is a process of its own;
// here are the people and the backend: a page with the inbox stream, a web chat socket, the stand-ins of Teams and Slack,
// and a Service Bus client that waits for the reply. Each request asks four people, one on each surface; one of them
// answers, by turns in the inbox and in the web chat. The clock runs from before the answer is sent until
//   inbox    the page's stream has the frame that says so
//   webchat  the socket has the card as it now is
//   teams    the connector has been asked to put the card as it now is in its place
//   slack    likewise `chat.update`
//   reply    the backend's receiver has the message
// and likewise from before a request is sent until its card is there, through the log, the handler and the deliveries.
// Prints figures; about a minute. Run: node bench/assistant/answers.ts [--rounds 120]
import { parseArgs } from 'node:util';
import { ServiceBusClient } from '@azure/service-bus';
import { WebSocket } from 'ws';
import { SlackStandin } from '../../test/standins/slack.ts';
import { TeamsStandin } from '../../test/standins/teams.ts';
import { ADMIN_KEY, type ServerProcess } from '../../test/support/server-process.ts';
import { connectionString, SAS_KEY } from '../../test/support/service-bus.ts';
import { startWithSurfaces } from '../../test/support/teams-server.ts';

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '120' } } });
const ROUNDS = Number(values.rounds);
/** Slack takes three messages in two seconds in one conversation; each round is two of them. So several take turns. */
const CHATS = 10;
const EVERY_MS = 400;
const WARM_UP = 10;
const QUEUE = 'bench-replies';

const surfaces = ['inbox', 'webchat', 'teams', 'slack', 'reply'] as const;
type Surface = (typeof surfaces)[number];

/** Who waits for what; `seen` is told of everything that arrives, and finds the request in its words. */
class Arrivals {
  readonly #waiting = new Map<string, (at: number) => void>();

  wait(surface: Surface, request: string, state: 'asked' | 'answered'): Promise<number> {
    return new Promise((resolve) => this.#waiting.set(`${surface} ${request} ${state}`, resolve));
  }

  seen(surface: Surface, text: string, state: 'asked' | 'answered'): void {
    const at = performance.now();
    const [request] = /request-\d+/.exec(text) ?? [];
    this.#waiting.get(`${surface} ${request} ${state}`)?.(at);
  }
}

type Page = { readonly noticeOf: Map<string, string>; readonly socket: WebSocket; readonly token: string };

const teams = await TeamsStandin.start();
const slack = await SlackStandin.start();
const server = await startWithSurfaces({ teams, slack, env: { CARILLON_SAS_KEY: SAS_KEY } });
try {
  await run(server);
} finally {
  await server[Symbol.asyncDispose]();
  await Promise.all([teams.stop(), slack.stop()]);
}

async function run(server: ServerProcess): Promise<void> {
  const arrivals = new Arrivals();
  watchStandins(arrivals);
  await people(server);
  await server.call('PUT', `/v1/queues/${QUEUE}`, {});
  const client = new ServiceBusClient(connectionString(server.amqpPort));
  const sender = client.createSender('finance');
  const receiver = client.createReceiver(QUEUE, { receiveMode: 'receiveAndDelete' });
  receiver.subscribe({
    processMessage: async ({ correlationId }) => arrivals.seen('reply', String(correlationId), 'answered'),
    processError: async ({ error }) => console.error(error),
  });
  const page = await openPage(server, arrivals);
  const took: Record<Surface, number[]> = { inbox: [], webchat: [], teams: [], slack: [], reply: [] };
  const asks: Record<Surface, number[]> = { inbox: [], webchat: [], teams: [], slack: [], reply: [] };
  for (let round = 0; round < ROUNDS; round++) {
    const request = `request-${round}`;
    const asked = surfaces.filter((each) => each !== 'reply').map((each) => arrivals.wait(each, request, 'asked'));
    const chat = round % CHATS;
    const sent = performance.now();
    await sender.sendMessages({
      body: {
        request,
        requester: { id: 'rae', name: 'Rae' },
        approvers: ['ivy', 'wes', `tea-${chat}`, `sal-${chat}`],
        amount: 100,
        currency: 'EUR',
        purpose: request,
      },
      contentType: 'application/json',
      correlationId: request,
      replyTo: QUEUE,
      applicationProperties: { type: 'finance.budget.requested' },
    });
    const shown = await Promise.all(asked);
    if (round >= WARM_UP) for (const [i, at] of shown.entries()) asks[surfaces[i]!].push(at - sent);
    const answered = surfaces.map((each) => arrivals.wait(each, request, 'answered'));
    const began = performance.now();
    await (round % 2 === 0 ? answerInInbox(server, page, request) : answerInChat(server, page, request));
    const times = await Promise.all(answered);
    if (round >= WARM_UP) for (const [i, at] of times.entries()) took[surfaces[i]!].push(at - began);
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, EVERY_MS - (performance.now() - began))));
  }
  report('request', asks);
  report('answer', took);
  page.socket.close();
  await client.close();
}

function watchStandins(arrivals: Arrivals): void {
  for (const [surface, standin] of [
    ['teams', teams],
    ['slack', slack],
  ] as const) {
    const answer = standin.answer.bind(standin);
    standin.answer = (request) => {
      const answered = answer(request);
      const text = surface === 'slack' ? decodeURIComponent(String(request.body)) : String(request.body);
      const isEdit = surface === 'slack' ? request.path.endsWith('chat.update') : request.method === 'PUT';
      if (text.includes('request-')) arrivals.seen(surface, text, isEdit ? 'answered' : 'asked');
      return answered;
    };
  }
}

async function people(server: ServerProcess): Promise<void> {
  const put = (id: string, body: object) => server.call('PUT', `/v1/recipients/${id}`, body);
  await put('ivy', { displayName: 'Ivy' });
  await put('wes', { displayName: 'Wes' });
  for (let n = 0; n < CHATS; n++) {
    teams.addPerson(`id-${n}`, { name: `Tea ${n}`, email: `tea-${n}@example.org` });
    slack.addPerson(`U${n}`, `sal-${n}@example.org`);
    await put(`tea-${n}`, { displayName: `Tea ${n}`, email: `tea-${n}@example.org` });
    await put(`sal-${n}`, { displayName: `Sal ${n}`, email: `sal-${n}@example.org` });
    await teams.install(`id-${n}`);
  }
}

/** Ivy's inbox stream, and Wes' web chat. */
async function openPage(server: ServerProcess, arrivals: Arrivals): Promise<Page> {
  const noticeOf = new Map<string, string>();
  const requestOf = new Map<string, string>();
  const headers = { authorization: `Bearer ${ADMIN_KEY}` };
  const stream = await fetch(`${server.url}/v1/recipients/ivy/inbox/stream`, { headers });
  void readFrames(stream, (event, data) => {
    if (event === 'item') {
      noticeOf.set(data.body, data.id);
      requestOf.set(data.id, data.body);
      arrivals.seen('inbox', data.body, 'asked');
    }
    if (event === 'decided')
      for (const { id } of data.items) arrivals.seen('inbox', requestOf.get(id) ?? '', 'answered');
  });
  const made = await server.call<{ token: string }>('POST', '/v3/directline/tokens/generate', { user: { id: 'wes' } });
  const authorization = `Bearer ${made.token}`;
  type Opened = { conversationId: string; streamUrl: string };
  const opened = await server.call<Opened>('POST', '/v3/directline/conversations', {}, { authorization });
  const socket = new WebSocket(opened.streamUrl);
  socket.on('message', (frame) => {
    if (String(frame) === '') return;
    for (const { id, summary = '', attachments } of JSON.parse(String(frame)).activities) {
      const [request] = /request-\d+/.exec(summary) ?? [];
      if (!request) continue;
      const isOpen = summary.includes('Answers:');
      if (isOpen) noticeOf.set(`${request} data`, JSON.stringify({ id, data: submitOf(attachments) }));
      arrivals.seen('webchat', summary, isOpen ? 'asked' : 'answered');
    }
  });
  await new Promise((resolve) => socket.once('open', resolve));
  return { noticeOf, socket, token: `${opened.conversationId} ${made.token}` };
}

async function answerInInbox(server: ServerProcess, { noticeOf }: Page, request: string): Promise<void> {
  await server.call('POST', `/v1/recipients/ivy/inbox/${noticeOf.get(request)}/actions/approve`, {});
}

/** Presses the button as Web Chat does: a message without words, whose value is what the button carries. */
async function answerInChat(server: ServerProcess, { noticeOf, token }: Page, request: string): Promise<void> {
  const [conversation, secret] = token.split(' ');
  const { data } = JSON.parse(noticeOf.get(`${request} data`)!);
  const activity = { type: 'message', from: { id: 'wes' }, value: data, channelData: { postBack: true } };
  const path = `/v3/directline/conversations/${conversation}/activities`;
  await server.call('POST', path, activity, { authorization: `Bearer ${secret}` });
}

function submitOf(attachments: unknown): unknown {
  const found: unknown[] = [];
  JSON.stringify(attachments, (_, value) => {
    if (value?.type === 'Action.Submit') found.push(value.data);
    return value;
  });
  return found[0];
}

// biome-ignore lint/suspicious/noExplicitAny: frames of every shape
async function readFrames(stream: Response, take: (event: string, data: any) => void): Promise<void> {
  let text = '';
  try {
    for await (const chunk of stream.body!.pipeThrough(new TextDecoderStream())) {
      text += chunk;
      for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
        const [, event, data] = /event: (.*)\ndata: (.*)/.exec(text.slice(0, end)) ?? [];
        text = text.slice(end + 2);
        if (event && data) take(event, JSON.parse(data));
      }
    }
  } catch {
    // The server has stopped.
  }
}

function report(what: string, took: Record<string, number[]>): void {
  for (const [surface, all] of Object.entries(took)) {
    if (all.length === 0) continue;
    all.sort((a, b) => a - b);
    const at = (share: number) => all[Math.ceil(all.length * share) - 1]!.toFixed(1);
    console.log(
      `${what} -> ${surface.padEnd(8)} p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, longest ${at(1)} ms (${all.length} rounds)`,
    );
  }
}
