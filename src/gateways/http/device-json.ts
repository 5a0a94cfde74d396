// Devices as the API shows and takes them.
import { Type } from 'typebox';
import type { Device } from '../../hub/devices.ts';
import { type Installation, parseInstallation, platforms } from '../../hub/installation.ts';
import type { TagLimits } from '../../hub/tags.ts';
import { isRecord } from '../../kit/record.ts';
import { Nullable, Time } from './schemas.ts';

const Address = Type.Union([
  Type.String({ maxLength: 4096, description: "A token of APNs or FCM, a channel's URI of WNS." }),
  Type.Object(
    {
      endpoint: Type.String({ maxLength: 4096 }),
      p256dh: Type.Optional(Type.String({ maxLength: 200 })),
      auth: Type.Optional(Type.String({ maxLength: 100 })),
      keys: Type.Optional(
        Type.Object({ p256dh: Type.String({ maxLength: 200 }), auth: Type.String({ maxLength: 100 }) }),
      ),
      expirationTime: Type.Optional(Type.Unknown()),
    },
    { description: "A browser's subscription, as `PushSubscription.toJSON()` writes it." },
  ),
]);
const Template = Type.Object({
  body: Type.String({ maxLength: 16_384, examples: ['{"aps":{"alert":"$(message)"}}'] }),
  headers: Type.Optional(Type.Record(Type.String(), Type.String())),
  expiry: Type.Optional(Type.String({ maxLength: 200 })),
  tags: Type.Optional(Type.Array(Type.String())),
});
const OwnTemplate = Type.Object(
  { body: Template.properties.body, headers: Template.properties.headers, expiry: Template.properties.expiry },
  { additionalProperties: false },
);
const tagList = Type.Array(Type.String({ maxLength: 1000 }), { maxItems: 1000 });
const label = Type.String({
  minLength: 1,
  maxLength: 200,
  description: 'What its owner calls it.',
  examples: ['Work phone'],
});
const pushVariables = Type.Record(Type.String(), Type.String(), {
  description: 'Further properties for its templates.',
});

const required = { platform: Type.Enum([...platforms]), address: Address };
const shared = {
  pushVariables: Type.Optional(pushVariables),
  label: Type.Optional(label),
  expiresAt: Type.Optional(Time()),
};

export const DeviceInput = Type.Object(
  {
    ...required,
    recipientId: Type.Optional(Type.String({ minLength: 1, maxLength: 128, description: 'Whose device it is.' })),
    tags: Type.Optional(tagList),
    templates: Type.Optional(Type.Record(Type.String(), Template)),
    ...shared,
  },
  {
    additionalProperties: false,
    examples: [{ platform: 'fcmv1', address: 'fXd9...', recipientId: 'ada', tags: ['beta'], label: 'Work phone' }],
  },
);

/** What a person's own app may say: who gets what is the organisation's to decide, so there are no tags. */
export const OwnDeviceInput = Type.Object(
  {
    ...required,
    hub: Type.Optional(Type.String({ maxLength: 128, default: 'main', description: 'The hub of the app.' })),
    templates: Type.Optional(Type.Record(Type.String(), OwnTemplate)),
    ...shared,
  },
  {
    additionalProperties: false,
    examples: [{ platform: 'fcmv1', address: 'fXd9...', label: 'Work phone' }],
  },
);

export const DevicePatch = Type.Object(
  {
    address: Type.Optional(Address),
    recipientId: Type.Optional(Nullable(Type.String({ minLength: 1, maxLength: 128 }))),
    tags: Type.Optional(Nullable(tagList)),
    templates: Type.Optional(Nullable(Type.Record(Type.String(), Nullable(Template)))),
    pushVariables: Type.Optional(Nullable(Type.Record(Type.String(), Nullable(Type.String())))),
    label: Type.Optional(label),
    expiresAt: Type.Optional(Nullable(Time())),
  },
  {
    additionalProperties: false,
    description: 'A merge patch (RFC 7396): what is absent stays, null removes.',
    examples: [{ tags: ['beta', 'floor-3'], expiresAt: null }],
  },
);

export const DeviceSchema = Type.Object({
  hub: Type.String({ examples: ['main'] }),
  id: Type.String(),
  kind: Type.Enum(['installation', 'registration'], { description: 'In which words its app registered it.' }),
  platform: Type.Enum([...platforms]),
  address: Type.Unknown({ description: 'A text; of a browser `endpoint`, `p256dh` and `auth`.' }),
  recipientId: Nullable(Type.String()),
  tags: Type.Array(Type.String()),
  templates: Type.Record(Type.String(), Template),
  pushVariables: Type.Record(Type.String(), Type.String()),
  label: Nullable(Type.String()),
  reachable: Type.Boolean({ description: 'False once the push service called the address dead.' }),
  expiresAt: Nullable(Time()),
  etag: Type.Integer({ description: 'Rises with every change; for `If-Match`.' }),
  createdAt: Time(),
  updatedAt: Time(),
});

export function shownDevice(device: Device, recipientId: string | undefined) {
  const { installation } = device;
  return {
    hub: device.hub,
    id: device.id,
    kind: device.kind,
    platform: installation.platform,
    address: installation.pushChannel as unknown,
    recipientId: recipientId ?? null,
    tags: [...installation.tags],
    templates: structuredClone(installation.templates) as Record<string, { body: string }>, // the lists are read-only for us
    pushVariables: { ...installation.pushVariables },
    label: device.label ?? null,
    reachable: !device.gone,
    expiresAt: installation.expirationTime?.toISOString() ?? null,
    etag: device.etag,
    createdAt: device.createdAt.toISOString(),
    updatedAt: device.updatedAt.toISOString(),
  };
}

type Members = Readonly<Record<string, unknown>>;

/** The API's words in those of an installation. Throws Refusal('bad_request'). */
export function installationOf(body: Members, id: string, limits: TagLimits): Installation {
  const { platform, address, recipientId, tags, templates, pushVariables, expiresAt } = body;
  return parseInstallation(
    {
      platform,
      pushChannel: channelOf(address),
      userId: recipientId,
      tags,
      templates,
      pushVariables,
      expirationTime: expiresAt,
    },
    id,
    limits,
  );
}

/** The device with the patch merged into it. Throws Refusal('bad_request'). */
export function patchedInstallation(device: Device, patch: Members, limits: TagLimits): Installation {
  const { installation } = device;
  const { address, recipientId, expiresAt, ...rest } = patch;
  const changes = {
    ...('address' in patch ? { pushChannel: channelOf(address) } : {}),
    ...('recipientId' in patch ? { userId: recipientId } : {}),
    ...('expiresAt' in patch ? { expirationTime: expiresAt } : {}),
  };
  return parseInstallation({ ...(merged(installation, rest) as Members), ...changes }, device.id, limits);
}

function merged(target: unknown, patch: unknown): unknown {
  if (!isRecord(patch)) return patch;
  const whole = new Map(Object.entries(isRecord(target) ? target : {}));
  for (const [name, value] of Object.entries(patch))
    if (value === null) whole.delete(name);
    else whole.set(name, merged(whole.get(name), value));
  return Object.fromEntries(whole);
}

/** A browser's own way of writing it has the keys in an object of their own. */
function channelOf(address: unknown): unknown {
  if (typeof address !== 'object' || address === null) return address;
  const { endpoint, p256dh, auth, keys } = address as Members & { readonly keys?: Members };
  return { endpoint, p256dh: p256dh ?? keys?.p256dh, auth: auth ?? keys?.auth };
}
