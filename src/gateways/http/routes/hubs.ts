// Hubs: one per mobile app, with the credentials of its push services and the keys of its clients.
import { Type } from 'typebox';
import { parsePlatform, readCredentials, shownCredentials } from '../../../hub/credentials.ts';
import {
  createHub,
  deleteHub,
  editHub,
  getHub,
  type HubAdmin,
  type HubDetails,
  listHubs,
  setCredentials,
} from '../../../hub/hub-admin.ts';
import type { HubWatch } from '../../../hub/hub-status.ts';
import type { PushDeps } from '../../../hub/push.ts';
import { deleteRule, type HubRule, hubRights, putRule, rotateRule } from '../../../hub/rules.ts';
import { Refusal } from '../../../kit/refusal.ts';
import type { App } from '../app.ts';
import { decodeCursor, encodeCursor } from '../cursor.ts';
import { HubStatusSchema, shownHubStatus } from '../hub-json.ts';
import { onEntity, onHub } from '../identity.ts';
import { PageOf, PageQuery, responses, Time } from '../schemas.ts';
import { HubParams } from './devices.ts';

export type HubDeps = {
  readonly hubs: {
    readonly admin: HubAdmin;
    /** The rules of every hub. */
    readonly defaultRules: readonly HubRule[];
    readonly push: PushDeps;
    readonly watch: HubWatch;
    /** After a send was enqueued. */
    readonly wake: () => void;
    /** After a job was submitted. */
    readonly wakeJobs: () => void;
  };
};

const dayMs = 86_400_000;
const Settings = {
  deviceDays: Type.Optional(
    Type.Union([Type.Integer({ minimum: 1, maximum: 3650 }), Type.Null()], {
      description: 'How long a device lives after its app registered it last; null for ever.',
    }),
  ),
  note: Type.Optional(Type.String({ maxLength: 1024, description: 'Your own words about it.' })),
};
const HubInput = Type.Object(Settings, { additionalProperties: false, examples: [{ deviceDays: 365 }] });
const HubSchema = Type.Object({
  name: Type.String({ examples: ['main'] }),
  version: Type.Integer({ description: 'Rises with every change.' }),
  platforms: Type.Record(Type.String(), Type.Record(Type.String(), Type.String()), {
    description: 'The platforms that it has credentials for, with what of them is no secret.',
  }),
  ...Settings,
  createdAt: Time(),
  updatedAt: Time(),
});
const RuleParams = Type.Object({ ...HubParams.properties, rule: Type.String({ maxLength: 256 }) });
const PlatformParams = Type.Object({
  ...HubParams.properties,
  platform: Type.String({ maxLength: 20, examples: ['apns'], description: 'apns, fcmv1, wns or browser.' }),
});
const Rights = Type.Array(Type.Enum([...hubRights]), { minItems: 1, maxItems: 3, uniqueItems: true });
const RuleSchema = Type.Object({
  name: Type.String(),
  rights: Rights,
  primaryKey: Type.String(),
  secondaryKey: Type.Union([Type.String(), Type.Null()]),
  preset: Type.Boolean({ description: 'It is as the settings of the server have it.' }),
  connectionString: Type.String({ description: 'What clients of Azure Notification Hubs are configured with.' }),
});

type Deps = HubDeps & { readonly publicUrl: () => string; readonly tlsPort: () => number | undefined };

export function hubRoutes(app: App, deps: Deps): void {
  const { admin } = deps.hubs;
  const path = '/v1/hubs/:hub';
  app.get('/v1/hubs', { config: { access: onEntity('listen', 'hub:') }, schema: listSchema }, async ({ query }) => {
    const { limit } = query;
    const hubs = await listHubs(admin.database, admin.key, decodeCursor('hubs', query.cursor) ?? '', limit);
    return {
      items: hubs.map(shown),
      next: encodeCursor('hubs', hubs.length === limit ? hubs.at(-1)!.name : undefined),
    };
  });
  app.get(path, { config: { access: onHub('listen') }, schema: getSchema }, async ({ params }) =>
    shown(await getHub(admin.database, admin.key, params.hub)),
  );
  app.get(`${path}/status`, { config: { access: onHub('listen') }, schema: statusSchema }, async ({ params }) =>
    shownHubStatus(await deps.hubs.watch.one(params.hub)),
  );
  app.put(path, { config: { access: onHub('manage') }, schema: putSchema }, async ({ params, body }) => {
    const settings = {
      registrationTtlMs: typeof body.deviceDays === 'number' ? body.deviceDays * dayMs : undefined,
      userMetadata: body.note,
    };
    const changed = editHub(admin, params.hub, () => ({ settings }));
    return shown(
      await changed.catch((error: unknown) => {
        if (error instanceof Refusal && error.code === 'not_found') return createHub(admin, params.hub, { settings });
        throw error;
      }),
    );
  });
  app.delete(path, { config: { access: onHub('manage') }, schema: deleteSchema }, async ({ params }, reply) => {
    await deleteHub(admin.database, params.hub);
    return reply.code(204).send(null);
  });
  app.get(`${path}/web-push-key`, { config: { access: 'known' }, schema: webPushKeySchema }, async ({ params }) => {
    const { browser } = (await getHub(admin.database, admin.key, params.hub)).credentials;
    if (browser === undefined) throw new Refusal('not_found', `The hub "${params.hub}" has no keys for Web Push.`);
    return { publicKey: browser.publicKey };
  });
  credentialRoutes(app, deps.hubs);
  ruleRoutes(app, deps);
}

function credentialRoutes(app: App, { admin, push }: HubDeps['hubs']): void {
  const path = '/v1/hubs/:hub/credentials/:platform';
  const config = { access: onHub('manage') };
  app.put(path, { config, schema: putCredentialsSchema }, async ({ params, body }) => {
    const platform = parsePlatform(params.platform);
    const changed = await setCredentials(admin, params.hub, platform, readCredentials(platform, body));
    push.lanes.changed(params.hub);
    return shown(changed);
  });
  app.delete(path, { config, schema: deleteCredentialsSchema }, async ({ params }) => {
    const changed = await setCredentials(admin, params.hub, parsePlatform(params.platform), undefined);
    push.lanes.changed(params.hub);
    return shown(changed);
  });
}

function ruleRoutes(app: App, { hubs, publicUrl, tlsPort }: Deps): void {
  const { admin, defaultRules } = hubs;
  const { database, key, now } = admin;
  const path = '/v1/hubs/:hub/rules';
  const config = { access: onHub('manage') };
  const shownRule = (rule: HubRule) => ({
    name: rule.name,
    rights: [...rule.rights],
    primaryKey: rule.primaryKey,
    secondaryKey: rule.secondaryKey ?? null,
    preset: defaultRules.includes(rule),
    connectionString: `Endpoint=sb://${new URL(publicUrl()).hostname}:${tlsPort() ?? 443}/;SharedAccessKeyName=${rule.name};SharedAccessKey=${rule.primaryKey}`,
  });
  app.get(path, { config, schema: listRulesSchema }, async ({ params }) => {
    const { rules } = await getHub(database, key, params.hub);
    const own = new Set(rules.map(({ name }) => name));
    return { items: [...defaultRules.filter(({ name }) => !own.has(name)), ...rules].map(shownRule) };
  });
  app.put(`${path}/:rule`, { config, schema: putRuleSchema }, async ({ params, body }) =>
    shownRule(await putRule(database, key, params.hub, { name: params.rule, ...body }, now())),
  );
  app.post(`${path}/:rule/rotate`, { config, schema: rotateRuleSchema }, async ({ params }) => {
    const which = { hub: params.hub, name: params.rule, defaults: defaultRules };
    return shownRule(await rotateRule(database, key, which, now()));
  });
  app.delete(`${path}/:rule`, { config, schema: deleteRuleSchema }, async ({ params }, reply) => {
    await deleteRule(database, key, params.hub, params.rule, now());
    return reply.code(204).send(null);
  });
}

function shown({ name, version, credentials, settings, createdAt, updatedAt }: HubDetails) {
  const { registrationTtlMs, userMetadata } = settings;
  return {
    name,
    version,
    platforms: shownCredentials(credentials) as Record<string, Record<string, string>>, // only given ones
    deviceDays: registrationTtlMs === undefined ? null : Math.ceil(registrationTtlMs / dayMs),
    ...(userMetadata === undefined ? {} : { note: userMetadata }),
    createdAt: createdAt.toISOString(),
    updatedAt: updatedAt.toISOString(),
  };
}

const tags = ['devices'];
const listSchema = {
  operationId: 'listHubs',
  summary: 'List hubs',
  tags,
  querystring: Type.Object(PageQuery),
  response: responses({ 200: PageOf(HubSchema) }),
};
const getSchema = {
  operationId: 'getHub',
  summary: 'Read a hub',
  tags,
  params: HubParams,
  response: responses({ 200: HubSchema }),
};
const statusSchema = {
  operationId: 'getHubStatus',
  summary: 'Read how a hub does',
  description:
    'How many devices it has on each platform, how its ways to the push services stand and what to do about it, and what they pushed. Lanes and pushes are those of the node that answers, since its start; devices are counted now and then, the more of them the less often.',
  tags,
  params: HubParams,
  response: responses({ 200: HubStatusSchema }),
};
const putSchema = {
  operationId: 'putHub',
  summary: 'Make a hub, or change its settings',
  description: 'A new hub has keys for Web Push of its own. Hubs of the config file are made at each start.',
  tags,
  params: HubParams,
  body: HubInput,
  response: responses({ 200: HubSchema }),
};
const deleteSchema = {
  operationId: 'deleteHub',
  summary: 'Delete a hub with all its devices',
  tags,
  params: HubParams,
  response: responses({ 204: Type.Null({ description: 'It is gone.' }) }),
};
const webPushKeySchema = {
  operationId: 'getWebPushKey',
  summary: 'Read the key that browsers subscribe with',
  description: 'Goes into `applicationServerKey` of `pushManager.subscribe`.',
  tags,
  params: HubParams,
  response: responses({
    200: Type.Object({ publicKey: Type.String({ description: 'Base64url, uncompressed P-256.' }) }),
  }),
};
const putCredentialsSchema = {
  operationId: 'putHubCredentials',
  summary: 'Give a hub the credentials of a push service',
  description:
    'Kept encrypted, never shown again; all nodes use them within seconds, pushes under way end with the older ones. apns: `keyId`, `teamId`, `bundleId`, `privateKey`, `environment`; fcmv1: the key file of a service account as it is; wns: `packageSid` or `tenantId` and `appId`, and `secret`; browser: `publicKey`, `privateKey`, `subject`, each of which stays where it is not given.',
  tags,
  params: PlatformParams,
  body: Type.Record(Type.String(), Type.Unknown(), {
    examples: [{ packageSid: 'ms-app://s-1-15-2-1', secret: 'from the Partner Center' }],
  }),
  response: responses({ 200: HubSchema }),
};
const deleteCredentialsSchema = {
  operationId: 'deleteHubCredentials',
  summary: 'Take the credentials of a push service away from a hub',
  description: 'Of Web Push it makes new keys: browsers that subscribed with the older ones must do so again.',
  tags,
  params: PlatformParams,
  response: responses({ 200: HubSchema }),
};
const listRulesSchema = {
  operationId: 'listHubRules',
  summary: 'List the keys that clients of Azure Notification Hubs use',
  tags,
  params: HubParams,
  response: responses({ 200: Type.Object({ items: Type.Array(RuleSchema) }) }),
};
const putRuleSchema = {
  operationId: 'putHubRule',
  summary: 'Give a hub a rule with keys of its own',
  description: 'Keys that are not given are made. A rule of the name of a preset one takes its place at this hub.',
  tags,
  params: RuleParams,
  body: Type.Object(
    {
      rights: Rights,
      primaryKey: Type.Optional(Type.String({ minLength: 16, maxLength: 256 })),
      secondaryKey: Type.Optional(Type.String({ minLength: 16, maxLength: 256 })),
    },
    { additionalProperties: false, examples: [{ rights: ['Listen'] }] },
  ),
  response: responses({ 200: RuleSchema }),
};
const rotateRuleSchema = {
  operationId: 'rotateHubRule',
  summary: 'Give a rule a new primary key',
  description: 'The one that it had becomes the secondary one and goes on working until the next rotation.',
  tags,
  params: RuleParams,
  response: responses({ 200: RuleSchema }),
};
const deleteRuleSchema = {
  operationId: 'deleteHubRule',
  summary: 'Remove a rule of a hub',
  description: 'A preset one is then as the settings have it.',
  tags,
  params: RuleParams,
  response: responses({ 204: Type.Null({ description: 'It is gone.' }) }),
};
