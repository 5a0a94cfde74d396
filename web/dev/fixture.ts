// A stand-in for the server, to look at the pages in states that are hard to bring about: `node web/dev/fixture.ts`
// serves web/dist on port 8088 with made-up people and events. Not part of the product; no test uses it.
// `?` of the first visit chooses who you are: /me is Ada, / is the platform team, /signed-out forgets you.
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { extname, join } from 'node:path';

const dist = join(import.meta.dirname, '../dist');
const csp =
  "default-src 'self'; script-src 'self'; style-src 'self' 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='; " +
  "img-src 'self' data: https:; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
const now = Date.now();
const before = (minutes: number) => new Date(now - minutes * 60_000).toISOString();
const empty = process.argv.includes('--empty');
const signedOut = process.argv.includes('--signed-out');
const asAdmin = process.argv.includes('--admin');

type Item = Record<string, unknown> & {
  id: string;
  position: number;
  seenAt: string | null;
  readAt: string | null;
  archivedAt: string | null;
};
const stories = [
  [
    'hr',
    'Grace Hopper joined your team',
    'She starts on Monday as a compiler engineer. Say hello!',
    [
      ['Name', 'Grace Hopper'],
      ['Role', 'Compiler engineer'],
      ['Starts', 'Monday, 24 November'],
      ['Team', 'Platform'],
    ],
  ],
  [
    'finance',
    'Budget request: 12,400 EUR for load test hardware',
    'Linus asks for your approval before Friday.\n\nThe machines replace the ones that failed in October; the offer is valid until the end of the month.',
    [
      ['Amount', '12,400.00 EUR'],
      ['Cost centre', '4711 Platform'],
      ['Requested by', 'Linus Torvalds'],
      ['Needed by', 'Friday'],
    ],
  ],
  [
    'account',
    'A debit of 950.00 EUR left your account',
    'To: Northwind Traders. The balance is now 2,311.40 EUR.',
    [
      ['Amount', '950.00 EUR'],
      ['To', 'Northwind Traders'],
    ],
  ],
  [
    'hr',
    'Alan Turing switched to Research',
    'His tasks in Platform go to Barbara Liskov.',
    [
      ['From', 'Platform'],
      ['To', 'Research'],
    ],
  ],
  [
    'finance',
    'Your expense report was paid',
    '318.20 EUR for the trip to Zurich is on its way.',
    [['Report', '2026-1107']],
  ],
  ['hr', 'Edsger Dijkstra left the company', 'His last day was Friday. Access has been removed.', []],
] as const;
const items: Item[] = empty
  ? []
  : Array.from({ length: 64 }, (_, i) => makeItem(64 - i, i === 1 ? 9 : i * i * 4 + i * 3 + 2)).reverse();

function makeItem(position: number, minutes: number): Item {
  const [category, title, body, facts] = stories[(64 - position) % stories.length]!;
  const read = position < 60;
  const at = before(minutes);
  return {
    id: `ntc_${position}`,
    position,
    title,
    body,
    category,
    topic: category,
    notification: 'employee-joined',
    urgency: category === 'finance' && position > 60 ? 'high' : 'normal',
    createdAt: at,
    seenAt: read ? at : null,
    readAt: read ? at : null,
    archivedAt: position < 50 ? at : null,
    card: {
      title,
      body,
      facts: facts.map(([label, value]) => ({ label, value })),
      ...(category === 'finance' && { link: { label: 'Open the request', url: 'https://example.com/requests/42' } }),
    },
  };
}

const categories = [
  {
    name: 'hr',
    title: 'Human resources',
    description: 'Who joins, leaves or changes teams',
    channels: ['inbox', 'mobile', 'conversation', 'email'],
  },
  {
    name: 'finance',
    title: 'Finance',
    description: 'Budget requests that wait for you',
    channels: ['inbox', 'mobile', 'email'],
    mandatoryChannels: ['inbox'],
  },
  {
    name: 'account',
    title: 'Account',
    description: 'Debits of your account',
    channels: ['inbox', 'mobile', 'conversation', 'email'],
    fields: [{ name: 'data.amount', label: 'Amount', kind: 'number' }],
    defaults: { when: '[data.amount] > 100' },
  },
];
let preferences: unknown = {
  SendNotificationToMobileDevice: true,
  SendNotificationToConversation: false,
  categories: { hr: { email: false } },
};

const topicNames = ['hr', 'finance', 'account'];
const published: Record<string, number> = { hr: 1204, finance: 310, account: 9021 };
const handled: Record<string, number> = { ...published };
function stats() {
  return {
    at: new Date().toISOString(),
    notices: (published.hr ?? 0) * 2,
    openStreams: 12,
    topics: empty
      ? []
      : topicNames.map((name) => ({
          name,
          published: published[name],
          messages: published[name],
          subscriptions: [
            {
              name: 'carillon-handler',
              handled: handled[name],
              backlog: (published[name] ?? 0) - (handled[name] ?? 0),
              dead: name === 'finance' ? 3 : 0,
            },
            ...(name === 'hr' ? [{ name: 'directory-sync', handled: 1000, backlog: 204, dead: 0 }] : []),
          ],
        })),
    deliveries: [
      {
        channel: 'email',
        delivered: (published.hr ?? 0) + (published.finance ?? 0),
        retried: 4,
        dropped: 0,
        dead: empty ? 0 : 16,
        pending: 3,
      },
    ],
  };
}
const history: unknown[] = [];
function tick(at: number) {
  for (const name of topicNames) {
    published[name] =
      (published[name] ?? 0) +
      Math.max(0, Math.round((name === 'account' ? 40 : 6) * (1 + Math.sin(at / 7 + name.length)) + Math.random() * 5));
    handled[name] = (published[name] ?? 0) - Math.round(Math.random() * 3);
  }
}
for (let i = 60; i > 0; i--) {
  tick(i);
  history.push({ ...stats(), at: new Date(now - i * 1_000).toISOString() });
}

const event = (topic: string, sequence: number) => ({
  specversion: '1.0',
  id: `evt-${sequence}`,
  source: '/hr/directory',
  type: topic === 'hr' ? 'hr.employee.joined' : `${topic}.changed`,
  time: before((1300 - sequence) / 3),
  datacontenttype: 'application/json',
  data: { userid: 'ada', name: 'Grace Hopper', team: 'Platform' },
});
const chosen =
  'inbox on (default), mobile no endpoint, conversation off (switched off for this channel), email on (chosen for this category)';
const about = { notification: 'employee-changed' };
const steps = [
  { at: before(4), step: 'match', outcome: 'matched', ...about, detail: 'employee-changed' },
  { at: before(4), step: 'decide', outcome: 'notice', ...about, recipient: 'ada', notice: 'ntc_64', detail: chosen },
  { at: before(4), step: 'plan', outcome: 'planned', ...about, recipient: 'ada', notice: 'ntc_64', channel: 'email' },
  {
    at: before(4),
    step: 'attempt',
    outcome: 'retry',
    recipient: 'ada',
    notice: 'ntc_64',
    channel: 'email',
    detail: 'smtp_451: The mail server asks to try again later.',
  },
  { at: before(3), step: 'attempt', outcome: 'delivered', recipient: 'ada', notice: 'ntc_64', channel: 'email' },
  {
    at: before(4),
    step: 'decide',
    outcome: 'notice',
    ...about,
    recipient: 'alan',
    notice: 'ntc_65',
    detail: 'inbox on (default), email on (default)',
  },
  { at: before(4), step: 'plan', outcome: 'planned', ...about, recipient: 'alan', notice: 'ntc_65', channel: 'email' },
  {
    at: before(4),
    step: 'attempt',
    outcome: 'dead',
    recipient: 'alan',
    notice: 'ntc_65',
    channel: 'email',
    detail: 'smtp_550: There is no such mailbox.',
  },
  {
    at: before(4),
    step: 'decide',
    outcome: 'silent',
    ...about,
    recipient: 'katherine',
    detail: "inbox off (chosen for this category), email off (the person's condition does not match)",
  },
];

type Answer = (path: RegExpMatchArray, url: URL, body: Record<string, unknown>) => unknown;
const routes: readonly [string, RegExp, Answer][] = [
  [
    'GET',
    /^\/v1\/me$/,
    () => (asAdmin ? { role: 'admin' } : { role: 'recipient', recipientId: 'ada', displayName: 'Ada' }),
  ],
  ['GET', /^\/v1\/categories$/, () => ({ items: categories })],
  ['GET', /^\/v1\/recipients\/[^/]+\/inbox$/, (_, url) => page(url)],
  ['POST', /^\/v1\/recipients\/[^/]+\/inbox\/mark$/, (_, _url, body) => mark(body)],
  ['GET', /^\/v1\/recipients\/[^/]+\/preferences$/, () => preferences],
  ['PUT', /^\/v1\/recipients\/[^/]+\/preferences$/, (_, _url, body) => (preferences = body)],
  [
    'GET',
    /^\/v1\/recipients\/[^/]+\/trace$/,
    () => ({
      steps: steps
        .filter((step) => step.recipient === 'ada')
        .map((step) => ({ ...step, topic: 'hr', sequence: 1204, eventId: 'evt-1204' })),
    }),
  ],
  [
    'GET',
    /^\/v1\/recipients\/([^/]+)$/,
    (path) => ({
      id: path[1],
      displayName: 'Ada Lovelace',
      email: 'ada@example.com',
      locale: 'en-GB',
      timeZone: 'Europe/London',
      attributes: { team: 'Platform' },
    }),
  ],
  [
    'GET',
    /^\/v1\/recipients$/,
    () => ({
      items: empty
        ? []
        : ['ada', 'alan', 'barbara', 'grace', 'linus'].map((id) => ({
            id,
            displayName: id[0]!.toUpperCase() + id.slice(1),
            email: `${id}@example.com`,
          })),
    }),
  ],
  ['GET', /^\/v1\/stats$/, () => ({ ...stats(), history })],
  [
    'GET',
    /^\/v1\/topics\/([^/]+)\/events\/(\d+)\/trace$/,
    (path) => ({
      event: { ...event(path[1]!, Number(path[2])), topic: path[1], sequence: Number(path[2]), enqueuedAt: before(4) },
      steps,
    }),
  ],
  [
    'GET',
    /^\/v1\/topics\/([^/]+)\/events$/,
    (path) => ({
      items: Array.from({ length: 12 }, (_, i) => ({
        sequence: 1204 - i,
        partition: 0,
        enqueuedAt: before(i * 3 + 1),
        event: event(path[1]!, 1204 - i),
      })),
      next: null,
    }),
  ],
  [
    'GET',
    /^\/v1\/notifications$/,
    () => ({
      items: [
        {
          name: 'employee-joined',
          topic: 'hr',
          category: 'hr',
          when: "type = 'hr.employee.joined'",
          channels: ['inbox', 'email'],
          mandatory: false,
        },
      ],
    }),
  ],
  [
    'GET',
    /^\/v1\/deliveries\/causes$/,
    () => ({
      items: empty
        ? []
        : [
            { channel: 'email', reason: 'refused', cause: 'smtp_550', count: 14 },
            { channel: 'email', reason: 'expired', cause: 'smtp_connect', count: 2 },
          ],
    }),
  ],
  [
    'POST',
    /^\/v1\/sign-in-links$/,
    (_, _url, body) => ({
      url: `http://localhost:8080/v1/sign-in/lnk_${body.recipientId}_0123456789abcdef`,
      expiresAt: before(-15),
    }),
  ],
  [
    'GET',
    /^\/v1\/deliveries$/,
    () => ({
      items: [1, 2].map((n) => ({
        id: `dlv_${n}`,
        noticeId: 'ntc_1',
        recipientId: 'grace',
        channel: 'email',
        endpoint: 'grace@example.com',
        reason: 'refused',
        cause: 'smtp_550',
        detail: 'The mail server says there is no such mailbox.',
        attempts: 1,
        diedAt: before(n * 9),
        plannedFor: before(n * 10),
      })),
    }),
  ],
];

function page(url: URL) {
  const filter = url.searchParams.get('filter');
  const from = Number(url.searchParams.get('cursor') ?? Number.MAX_SAFE_INTEGER);
  const limit = Number(url.searchParams.get('limit') ?? 50);
  const shown = items
    .filter(
      (item) =>
        item.position < from &&
        (filter === 'archived') === (item.archivedAt !== null) &&
        (filter !== 'unread' || item.readAt === null),
    )
    .sort((a, b) => b.position - a.position);
  return {
    items: shown.slice(0, limit),
    ...counts(),
    position: items.length,
    next: shown.length > limit ? String(shown[limit - 1]?.position) : undefined,
  };
}

function counts() {
  const open = items.filter((item) => item.archivedAt === null);
  return {
    unseen: open.filter((item) => item.seenAt === null).length,
    unread: open.filter((item) => item.readAt === null).length,
  };
}

function mark(body: Record<string, unknown>) {
  const at = new Date().toISOString();
  for (const item of items.filter(({ id }) => body.all || (body.ids as string[]).includes(id))) {
    if (body.as === 'unread') item.readAt = null;
    else if (body.as === 'unarchived') item.archivedAt = null;
    else
      Object.assign(item, {
        seenAt: at,
        ...(body.as === 'read' && { readAt: at }),
        ...(body.as === 'archived' && { archivedAt: at }),
      });
  }
  return counts();
}

function stream(url: URL, response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  response.write(': ping\n\n');
  const send = (name: string, data: unknown, id?: number) =>
    response.write(`event: ${name}\n${id ? `id: ${id}\n` : ''}data: ${JSON.stringify(data)}\n\n`);
  const isStats = url.pathname.endsWith('/stats/stream');
  const timer = setInterval(
    () => {
      if (isStats) return send('stats', stats());
      if (items.length > 66 || empty) return;
      items.push(makeItem(items.length + 1, 0));
      send('item', items.at(-1), items.length);
      send('counts', counts());
    },
    isStats ? 1_000 : 6_000,
  );
  response.on('close', () => clearInterval(timer));
}

async function file(path: string, response: ServerResponse): Promise<void> {
  const name = path === '/' ? '/index.html' : path === '/me' || path === '/me/' ? '/me/index.html' : path;
  const types: Record<string, string> = {
    '.html': 'text/html',
    '.js': 'text/javascript',
    '.css': 'text/css',
    '.svg': 'image/svg+xml',
  };
  const bytes = await readFile(join(dist, name)).catch(() => undefined);
  response.writeHead(bytes ? 200 : 404, {
    'content-type': types[extname(name)] ?? 'application/json',
    'content-security-policy': csp,
  });
  response.end(bytes);
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://localhost');
  if (!url.pathname.startsWith('/v1/')) return file(url.pathname, response);
  const json = (status: number, body: unknown) =>
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  if (signedOut) return void json(401, { title: 'The request carries no valid key', status: 401, code: 'key_missing' });
  if (url.pathname.endsWith('/stream')) return stream(url, response);
  let text = '';
  for await (const piece of request) text += piece;
  for (const [method, pattern, make] of routes) {
    const match = request.method === method && url.pathname.match(pattern);
    if (match) return void json(200, make(match, url, text ? JSON.parse(text) : {}));
  }
  json(404, { title: 'There is no such thing', status: 404, code: 'not_found' });
}

setInterval(() => tick(Date.now() / 1_000), 1_000);
const port = Number(process.env.PORT ?? 8088);
createServer((request, response) => void answer(request, response)).listen(port, '127.0.0.1', () =>
  console.log(`http://localhost:${port}`),
);
