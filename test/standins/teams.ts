// Teams as a bot meets it, on one port: the token service, the Bot Connector with its limits and errors, the Graph calls
// that install an app, the OpenID metadata of whoever signs, and people who write, press buttons, install and block.
// Sources: Microsoft "Bot Connector API reference", "Rate limiting", "Proactive installation by Graph".
//
// Addresses: token /{tenant}/oauth2/v2.0/token, connector /teams/v3/..., Graph /graph/v1.0/..., metadata /v1/.well-known/...
import { generateKeyPairSync, type JsonWebKey, type KeyObject, randomUUID, sign } from 'node:crypto';
import { json, Service, type StandinAnswer, type StandinRequest } from './service.ts';

export type TeamsMessage = {
  readonly id: string;
  /** As it stands now; an update replaces it. */
  activity: Record<string, unknown>;
  readonly at: number;
  updates: number;
};

type Person = { readonly id: string; name: string; email: string | undefined; installed: boolean; blocked: boolean };
type Chat = {
  readonly id: string;
  readonly personId: string;
  readonly messages: TeamsMessage[];
  readonly sends: number[];
};

export type TeamsOptions = {
  readonly port?: number;
  readonly appId?: string;
  readonly tenantId?: string;
  readonly secret?: string;
  readonly manifestId?: string;
  /** Where the bot listens: what people do is posted there. */
  readonly botUrl?: string;
  readonly now?: () => number;
};

export type BotAnswer = { readonly status: number; readonly body: Record<string, unknown> | undefined };

const LIMITS = [
  [7, 1_000],
  [8, 2_000],
  [60, 30_000],
  [1_800, 3_600_000],
] as const;
const TENANT_PER_SECOND = 50;
const MOST_BYTES = 100 * 1024;

export class TeamsStandin {
  readonly appId: string;
  readonly tenantId: string;
  readonly secret: string;
  readonly manifestId: string;
  readonly catalogueId = 'catalogue-app-1';
  botUrl: string | undefined;
  service!: Service;
  tokensIssued = 0;
  throttled = 0;
  installs = 0;
  /** Off: messages are accepted without an id, as some channels do. */
  tellsIds = true;
  readonly #people = new Map<string, Person>();
  readonly #chats = new Map<string, Chat>();
  readonly #tokens = new Map<string, string>();
  readonly #tenantSends: number[] = [];
  readonly #now: () => number;
  #key: { readonly kid: string; readonly privateKey: KeyObject; readonly jwk: JsonWebKey };

  private constructor(options: TeamsOptions) {
    this.appId = options.appId ?? '11111111-2222-3333-4444-555555555555';
    this.tenantId = options.tenantId ?? 'aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee';
    this.secret = options.secret ?? 'teams-secret';
    this.manifestId = options.manifestId ?? 'manifest-1';
    this.botUrl = options.botUrl;
    this.#now = options.now ?? Date.now;
    this.#key = makeKey();
  }

  static async start(options: TeamsOptions = {}): Promise<TeamsStandin> {
    const standin = new TeamsStandin(options);
    standin.service = await Service.start({
      port: options.port ?? 0,
      answer: (request) => standin.answer(request),
    });
    return standin;
  }

  stop(): Promise<void> {
    return this.service.stop();
  }

  /** The member `endpoints` of a connection. */
  get endpoints() {
    const { url } = this.service;
    return {
      service: `${url}/teams`,
      login: url,
      graph: `${url}/graph/v1.0`,
      metadata: `${url}/v1/.well-known/openidconfiguration`,
      issuer: 'https://api.botframework.com',
      scope: 'https://api.botframework.com/.default',
    };
  }

  get connection() {
    return { appId: this.appId, tenantId: this.tenantId, secret: this.secret, endpoints: this.endpoints };
  }

  /** Somebody of the tenant; not yet with the app. `id` is their id in Entra. */
  addPerson(id: string, { name = id, email }: { name?: string; email?: string } = {}): void {
    this.#people.set(id, { id, name, email, installed: false, blocked: false });
  }

  /** What stands in somebody's chat with the bot, oldest first. */
  messagesOf(personId: string): readonly TeamsMessage[] {
    return this.#chatOf(personId)?.messages ?? [];
  }

  chatIdOf(personId: string): string | undefined {
    return this.#chatOf(personId)?.id;
  }

  /** The person installs the app by themselves, or removes it. */
  async install(personId: string): Promise<BotAnswer | undefined> {
    this.#people.get(personId)!.installed = true;
    this.#open(personId);
    return this.#tell(personId, { type: 'installationUpdate', action: 'add' });
  }

  async uninstall(personId: string): Promise<BotAnswer | undefined> {
    const answer = await this.#tell(personId, { type: 'installationUpdate', action: 'remove' });
    this.#people.get(personId)!.installed = false;
    return answer;
  }

  /** The person blocks the bot in the client: messages are refused, and nobody is told. */
  block(personId: string, blocked = true): void {
    this.#people.get(personId)!.blocked = blocked;
  }

  /** The chat disappears, as when a person left the tenant. */
  removeChat(personId: string): void {
    const chat = this.#chatOf(personId);
    if (chat) this.#chats.delete(chat.id);
  }

  say(personId: string, text: string, more: Record<string, unknown> = {}): Promise<BotAnswer | undefined> {
    return this.#tell(personId, { type: 'message', text, textFormat: 'plain', ...more });
  }

  /** Presses the button of this title on a card; a card in the answer replaces it for this person. */
  async press(
    personId: string,
    messageId: string,
    title: string,
    inputs: Record<string, string> = {},
  ): Promise<BotAnswer | undefined> {
    const message = this.messagesOf(personId).find(({ id }) => id === messageId);
    const action = message && findAction(message.activity, title);
    if (!action) throw new Error(`There is no button ${title} on ${messageId}.`);
    const data = { ...(action.data as object), ...inputs };
    const value = { action: { type: 'Action.Execute', title, verb: action.verb, data }, trigger: 'manual' };
    return this.#tell(personId, { type: 'invoke', name: 'adaptiveCard/action', value, replyToId: messageId });
  }

  /** Posts any activity as this person, signed as Teams signs; `forge` changes what is signed. */
  async #tell(personId: string, activity: Record<string, unknown>): Promise<BotAnswer | undefined> {
    if (this.botUrl === undefined) return undefined;
    return this.postToBot(this.activityFrom(personId, activity));
  }

  /** As it arrives at a bot: people of Teams have no `role`. */
  activityFrom(personId: string, activity: Record<string, unknown>): Record<string, unknown> {
    const person = this.#people.get(personId)!;
    const chat = this.#open(personId);
    return {
      id: String(this.#now()),
      timestamp: new Date(this.#now()).toISOString(),
      channelId: 'msteams',
      serviceUrl: `${this.endpoints.service}/`,
      from: { id: `29:${personId}`, aadObjectId: personId, name: person.name },
      recipient: { id: `28:${this.appId}`, name: 'Carillon' },
      conversation: { id: chat.id, conversationType: 'personal', tenantId: this.tenantId },
      channelData: { tenant: { id: this.tenantId } },
      locale: 'en-GB',
      ...activity,
    };
  }

  async postToBot(activity: Record<string, unknown>, token = this.sign()): Promise<BotAnswer> {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const response = await fetch(this.botUrl!, { method: 'POST', headers, body: JSON.stringify(activity) });
    const text = await response.text();
    const body = text === '' ? undefined : (JSON.parse(text) as Record<string, unknown>);
    return { status: response.status, body };
  }

  /** A token as Teams sends it; tests change the claims, the header or the key. */
  sign(claims: Record<string, unknown> = {}, header: Record<string, unknown> = {}, key = this.#key.privateKey): string {
    const now = Math.floor(Date.now() / 1000);
    const all = {
      iss: this.endpoints.issuer,
      aud: this.appId,
      serviceurl: `${this.endpoints.service}/`,
      nbf: now - 10,
      iat: now - 10,
      exp: now + 3600,
      ...claims,
    };
    const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const signed = `${encode({ alg: 'RS256', typ: 'JWT', kid: this.#key.kid, ...header })}.${encode(all)}`;
    return `${signed}.${sign('sha256', Buffer.from(signed), key).toString('base64url')}`;
  }

  /** New signing keys: the old one is no longer told. */
  rotate(): void {
    this.#key = makeKey();
  }

  /** Tokens that were given out are refused from now on. */
  revokeTokens(): void {
    this.#tokens.clear();
  }

  answer(request: StandinRequest): StandinAnswer {
    const { pathname, searchParams } = new URL(request.path, 'http://any');
    const segments = pathname.split('/').slice(1).map(decodeURIComponent);
    if (pathname === `/${this.tenantId}/oauth2/v2.0/token`)
      return this.#token(new URLSearchParams(String(request.body)));
    if (pathname === '/v1/.well-known/openidconfiguration')
      return json(200, { issuer: this.endpoints.issuer, jwks_uri: `${this.service.url}/v1/.well-known/keys` });
    if (pathname === '/v1/.well-known/keys')
      return json(200, { keys: [{ ...this.#key.jwk, kid: this.#key.kid, use: 'sig', endorsements: ['msteams'] }] });
    const scope = this.#tokens.get((request.headers.authorization ?? '').replace(/^Bearer /, ''));
    if (segments[0] === 'teams') {
      if (scope !== this.endpoints.scope) return failure(401, 'Unauthorized', 'Authorization has been denied.');
      return this.#connector(request, segments.slice(2));
    }
    if (segments[0] === 'graph') {
      if (scope !== `${this.service.url}/.default`) return failure(401, 'InvalidAuthenticationToken', 'Wrong token.');
      return this.#graph(request, segments.slice(2), searchParams);
    }
    return failure(404, 'NotFound', 'There is nothing here.');
  }

  #token(form: URLSearchParams): StandinAnswer {
    const right = form.get('client_id') === this.appId && form.get('client_secret') === this.secret;
    if (!right || form.get('grant_type') !== 'client_credentials')
      return json(401, {
        error: 'invalid_client',
        error_description: 'AADSTS7000215: Invalid client secret provided.',
      });
    const token = randomUUID();
    this.tokensIssued += 1;
    this.#tokens.set(token, form.get('scope') ?? '');
    return json(200, { token_type: 'Bearer', expires_in: 3599, access_token: token });
  }

  #connector({ method, body }: StandinRequest, [first, id, kind, item]: string[]): StandinAnswer {
    if (first !== 'conversations') return failure(404, 'NotFound', 'There is nothing here.');
    if (Buffer.byteLength(String(body), 'utf16le') > MOST_BYTES)
      return failure(413, 'MessageSizeTooBig', 'Message size too large.');
    const content = body.length > 0 ? (JSON.parse(String(body)) as Record<string, unknown>) : {};
    if (id === undefined) return this.#create(content);
    const chat = this.#chats.get(id);
    if (!chat) return failure(404, 'ConversationNotFound', 'Conversation not found.');
    const person = this.#people.get(chat.personId)!;
    if (kind === 'members' && method === 'GET')
      return json(200, {
        id: `29:${person.id}`,
        aadObjectId: person.id,
        objectId: person.id,
        name: person.name,
        ...(person.email && { email: person.email, userPrincipalName: person.email }),
        tenantId: this.tenantId,
      });
    const refused = refusalFor(person) ?? this.#throttle(chat.sends);
    if (refused) return refused;
    if (kind !== 'activities') return failure(404, 'NotFound', 'There is nothing here.');
    if (method === 'PUT') return this.#update(chat, item!, content);
    return this.#post(chat, content);
  }

  #create(content: Record<string, unknown>): StandinAnswer {
    const [member] = (content.members ?? []) as { id: string }[];
    const personId = member?.id.replace(/^29:/, '') ?? '';
    const person = this.#people.get(personId);
    if (content.tenantId !== this.tenantId || (content.bot as { id?: string })?.id !== `28:${this.appId}`)
      return failure(400, 'BadSyntax', 'Bad format of conversation.');
    if (!person) return failure(400, 'BadArgument', 'Failed to decrypt pairwise id.');
    if (!person.installed)
      return failure(403, 'BotNotInConversationRoster', 'The bot is not part of the conversation roster.');
    return json(201, { id: this.#open(personId).id });
  }

  #post(chat: Chat, activity: Record<string, unknown>): StandinAnswer {
    const id = `${this.#now()}${chat.messages.length}`;
    chat.messages.push({ id, activity, at: this.#now(), updates: 0 });
    return json(201, this.tellsIds ? { id } : { id: '' });
  }

  #update(chat: Chat, id: string, activity: Record<string, unknown>): StandinAnswer {
    const message = chat.messages.find((each) => each.id === id);
    if (!message) return failure(404, 'ActivityNotFoundInConversation', 'Activity not found.');
    message.activity = activity;
    message.updates += 1;
    return json(200, { id });
  }

  #throttle(sends: number[]): StandinAnswer | undefined {
    const now = this.#now();
    const full = LIMITS.find(([count, within]) => sends.filter((at) => at > now - within).length >= count);
    const tenant = this.#tenantSends.filter((at) => at > now - 1_000).length >= TENANT_PER_SECOND;
    if (full || tenant) {
      this.throttled += 1;
      const seconds = full ? Math.ceil(full[1] / 1_000) : 1;
      return { ...failure(429, 'TooManyRequests', 'API calls quota exceeded.', { 'retry-after': String(seconds) }) };
    }
    sends.push(now);
    this.#tenantSends.push(now);
    if (this.#tenantSends.length > 10 * TENANT_PER_SECOND) this.#tenantSends.splice(0, 5 * TENANT_PER_SECOND);
    return undefined;
  }

  #graph({ method, body }: StandinRequest, path: string[], query: URLSearchParams): StandinAnswer {
    if (path[0] === 'appCatalogs' && method === 'GET') {
      const found = query.get('$filter') === `externalId eq '${this.manifestId}'`;
      return json(200, { value: found ? [{ id: this.catalogueId, externalId: this.manifestId }] : [] });
    }
    const [, userId, , , installation, chat] = path;
    const person = this.#people.get(userId ?? '');
    if (!person) return failure(404, 'NotFound', `User ${userId} does not exist.`);
    if (chat === 'chat') return json(200, { id: this.#open(person.id).id, chatType: 'oneOnOne' });
    if (method === 'GET' && installation === undefined)
      return json(200, { value: person.installed ? [{ id: `installation-of-${person.id}` }] : [] });
    if (method === 'POST') return this.#installByGraph(person, String(body));
    return failure(404, 'NotFound', 'There is nothing here.');
  }

  #installByGraph(person: Person, body: string): StandinAnswer {
    const bound = (JSON.parse(body) as Record<string, string>)['teamsApp@odata.bind'];
    if (!bound?.endsWith(`/appCatalogs/teamsApps/${this.catalogueId}`))
      return failure(400, 'BadRequest', 'There is no such app.');
    if (person.installed) return failure(409, 'Conflict', 'The app is installed already.');
    person.installed = true;
    this.installs += 1;
    this.#open(person.id);
    return { status: 201 };
  }

  #chatOf(personId: string): Chat | undefined {
    return [...this.#chats.values()].find((chat) => chat.personId === personId);
  }

  #open(personId: string): Chat {
    const known = this.#chatOf(personId);
    if (known) return known;
    const chat = { id: `a:${personId}-${this.#chats.size}`, personId, messages: [], sends: [] };
    this.#chats.set(chat.id, chat);
    return chat;
  }
}

function refusalFor(person: Person): StandinAnswer | undefined {
  if (!person.installed)
    return failure(403, 'BotNotInConversationRoster', 'The bot is not part of the conversation roster.');
  if (!person.blocked) return undefined;
  const error = { code: 'Forbidden', subCode: 'MessageWritesBlocked', message: 'Message writes are blocked.' };
  return json(403, { error });
}

function findAction(value: unknown, title: string): Record<string, unknown> | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const record = value as Record<string, unknown>;
  if (record.type === 'Action.Execute' && record.title === title) return record;
  for (const each of Object.values(record)) {
    const found = findAction(each, title);
    if (found) return found;
  }
  return undefined;
}

function failure(status: number, code: string, message: string, headers: Record<string, string> = {}): StandinAnswer {
  return json(status, { error: { code, message } }, headers);
}

function makeKey() {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { kid: randomUUID(), privateKey, jwk: publicKey.export({ format: 'jwk' }) };
}
