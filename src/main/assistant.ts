// The assistant, with what it needs: conversations and their streams, the agents of the config with the keys for them, and
// the door through which pages and agents come in.
import type { Access } from '../access/access.ts';
import { Agents } from '../assistant/agents/agents.ts';
import type { ExchangeDeps } from '../assistant/agents/exchange.ts';
import { AgentKeys } from '../assistant/agents/keys.ts';
import { polish } from '../assistant/agents/polish.ts';
import { remoteAgent } from '../assistant/agents/remote.ts';
import { authorityOf, issuerOf, type SigningDeps } from '../assistant/agents/signing.ts';
import { ConversationStreams } from '../assistant/conversations/streams.ts';
import { Turns } from '../assistant/conversations/turns.ts';
import type { Broadcasts } from '../gateways/directline/broadcast.ts';
import { directLineDoor } from '../gateways/directline/door.ts';
import { Sidecar, sidecarUrl } from '../gateways/directline/sidecar.ts';
import { Tokens } from '../gateways/directline/tokens.ts';
import type { Database } from '../kit/database.ts';
import { sealingKey } from '../kit/sealing.ts';
import type { Emit, Signal } from '../kit/signals.ts';
import type { LoadedAssistant } from './config/assistant.ts';
import type { Settings } from './settings-table.ts';

export type AssistantSettings = Pick<
  Settings,
  | 'agentPort'
  | 'agentTimeout'
  | 'corsOrigins'
  | 'directlinePosts'
  | 'directlineTokenMinutes'
  | 'publicUrl'
  | 'socketLimit'
  | 'uploadLimit'
>;

type AssistantDeps = {
  readonly settings: AssistantSettings;
  readonly config: Omit<LoadedAssistant, 'connections'>;
  readonly linkKey: string;
  readonly database: Database;
  readonly emit: Emit<Signal>;
  /** Where agents reach us; asked when it is needed, because the port may not be known before. */
  readonly serviceUrl: () => string;
  readonly broadcasts?: Broadcasts | undefined;
};

const MIB = 1024 * 1024;
const LOOK_AT_KEYS_EVERY_MS = 60 * 60_000;
/** All files of one conversation, as a multiple of the largest one. */
const FILES_PER_CONVERSATION = 50;

export class Assistant {
  readonly #deps: AssistantDeps;
  readonly streams: ConversationStreams;
  readonly turns = new Turns();
  readonly agents = new Agents();
  readonly exchange: ExchangeDeps;
  readonly #signing: SigningDeps;
  readonly #keyTimer: NodeJS.Timeout;
  #sidecar: Sidecar | undefined;

  private constructor(deps: AssistantDeps, streams: ConversationStreams) {
    const { database, emit, config, settings, linkKey, serviceUrl } = deps;
    this.#deps = deps;
    this.streams = streams;
    const keys = new AgentKeys(database, sealingKey(linkKey, 'agent keys'));
    this.#signing = { keys, agents: config.agents, serviceUrl };
    this.exchange = { database, streams, turns: this.turns, agents: this.agents, emit, polish };
    const remote = { ...this.#signing, emit, timeoutMs: settings.agentTimeout * 1000 };
    for (const agent of config.agents) this.agents.use(remoteAgent(remote, agent));
    const rotate = () =>
      void this.rotateKeys().catch((error: unknown) => emit({ name: 'assistant.keys-failed', error } as Signal));
    this.#keyTimer = setInterval(rotate, LOOK_AT_KEYS_EVERY_MS).unref();
  }

  static async start(deps: AssistantDeps): Promise<Assistant> {
    const { database, emit, settings } = deps;
    const streams = await ConversationStreams.start({ database, emit, settings: { maxStreams: settings.socketLimit } });
    const assistant = new Assistant(deps, streams);
    try {
      await assistant.#openSidecar();
    } catch (error) {
      await assistant.stop();
      throw error;
    }
    return assistant;
  }

  async stop(): Promise<void> {
    clearInterval(this.#keyTimer);
    await this.#sidecar?.stop();
    await this.streams.stop();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /** For `HttpDeps.gateways`. */
  door(access: Access): ReturnType<typeof directLineDoor> {
    const { settings, config, linkKey, emit } = this.#deps;
    const maxUploadBytes = settings.uploadLimit * MIB;
    return directLineDoor({
      access,
      emit,
      exchange: this.exchange,
      broadcasts: this.#deps.broadcasts,
      signing: this.#signing,
      tokens: new Tokens(linkKey, settings.directlineTokenMinutes),
      origins: { trusted: config.trustedOrigins, keyOrigins: settings.corsOrigins ?? [] },
      publicUrl: settings.publicUrl,
      limits: {
        postsPerMinute: settings.directlinePosts,
        maxUploadBytes,
        maxConversationBytes: maxUploadBytes * FILES_PER_CONVERSATION,
      },
    });
  }

  /** Makes a new key if the one in use is old enough. */
  async rotateKeys(): Promise<void> {
    if (this.#signing.agents.some(({ auth }) => auth !== 'anonymous')) await this.#signing.keys.rotate();
  }

  /** What to tell whoever starts the server: how agents in signed mode are configured, and which are anonymous. */
  describe(): string[] {
    return this.#deps.config.agents.flatMap((agent) => {
      if (agent.auth === 'anonymous')
        return [`  agent ${agent.name}  ${agent.url}, ANONYMOUS: for development on this machine only`];
      const service = this.#deps.serviceUrl();
      return [
        `  agent ${agent.name}  ${agent.url}, signed; its environment:`,
        ...Object.entries({
          NODE_ENV: 'production',
          connections__svc__settings__clientId: agent.auth.clientId,
          connections__svc__settings__authType: 'EntraAuthSideCar',
          connections__svc__settings__authorityEndpoint: authorityOf(service),
          connections__svc__settings__issuers: issuerOf(service),
          connections__svc__settings__validateIssuer: 'true',
          SIDECAR_URL: sidecarUrl(this.#deps.linkKey, this.#sidecar!.port, agent),
          OutboundHostValidator__Enabled: 'true',
          OutboundHostValidator__IncludeDefaultMicrosoftHosts: 'false',
          OutboundHostValidator__Hosts: new URL(service).hostname,
        }).map(([name, value]) => `    ${name}=${value}`),
      ];
    });
  }

  async #openSidecar(): Promise<void> {
    const { config, settings, emit, linkKey } = this.#deps;
    if (config.agents.every(({ auth }) => auth === 'anonymous')) return;
    this.#sidecar = await Sidecar.start({ ...this.#signing, emit, secret: linkKey }, settings.agentPort);
  }
}
