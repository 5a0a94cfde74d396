// What the configuration defines, for the pages: notifications, and the categories that preferences are grouped by.
import { Type } from 'typebox';
import { type ChannelName, channelNames } from '../../../deliveries/channel.ts';
import type { Defined, Definitions } from '../../../handler/notification.ts';
import type { App } from '../app.ts';
import { onEntity } from '../identity.ts';
import { responses } from '../schemas.ts';

export type DefinitionDeps = { readonly definitions: Definitions };

const Channels = Type.Array(Type.Enum([...channelNames]));

const NotificationView = Type.Object({
  name: Type.String(),
  topic: Type.String(),
  category: Type.String(),
  when: Type.Optional(Type.String()),
  channels: Channels,
  mandatory: Type.Union([Type.Boolean(), Channels]),
  urgency: Type.Enum(['low', 'normal', 'high']),
});
const CategoryView = Type.Object({
  name: Type.String(),
  title: Type.Optional(Type.String()),
  description: Type.Optional(Type.String()),
  channels: Channels,
  mandatoryChannels: Type.Array(Type.Enum([...channelNames]), { description: 'Nobody can switch these off.' }),
  locked: Type.Boolean({ description: 'Nobody can choose otherwise.' }),
  defaults: Type.Optional(Type.Unknown({ description: 'What holds for whoever did not choose.' })),
  fields: Type.Optional(
    Type.Array(Type.Object({ name: Type.String(), label: Type.String(), kind: Type.Enum(['number', 'text']) }), {
      description: 'What a condition may ask for.',
    }),
  ),
});

export function definitionRoutes(app: App, { definitions }: DefinitionDeps): void {
  const notifications = { items: definitions.all.map(notificationView) };
  const categories = { items: categoryNames(definitions).map((name) => categoryView(name, definitions)) };
  app.get(
    '/v1/notifications',
    { config: { access: onEntity('listen', 'system:notifications') }, schema: notificationSchema },
    async () => notifications,
  );
  app.get('/v1/categories', { config: { access: 'known' }, schema: categorySchema }, async () => categories);
}

const notificationSchema = {
  operationId: 'listNotifications',
  summary: 'What the configuration defines',
  tags: ['system'],
  response: responses({ 200: Type.Object({ items: Type.Array(NotificationView) }) }),
};
const categorySchema = {
  operationId: 'listCategories',
  summary: 'What a person can choose about',
  tags: ['people'],
  response: responses({ 200: Type.Object({ items: Type.Array(CategoryView) }) }),
};

function notificationView({ name, topic, category, when, channels, mandatory, urgency }: Defined) {
  const open = typeof mandatory === 'object' ? [...mandatory] : (mandatory ?? false);
  return {
    name,
    topic,
    category,
    ...(when === undefined ? {} : { when }),
    channels: [...channels],
    mandatory: open,
    urgency,
  };
}

function categoryNames({ all, categories }: Definitions): string[] {
  return [...new Set([...categories.keys(), ...all.map(({ category }) => category)])].sort();
}

function categoryView(name: string, { all, categories }: Definitions) {
  const { title, description, defaults, fields, locked = false } = categories.get(name) ?? {};
  const ofIt = all.filter(({ category }) => category === name);
  const channels = channelNames.filter((channel) => ofIt.some((each) => each.channels.includes(channel)));
  const isMandatory = (channel: ChannelName) => ofIt.every((each) => mandatoryOn(each, channel));
  return {
    name,
    ...(title === undefined ? {} : { title }),
    ...(description === undefined ? {} : { description }),
    channels,
    mandatoryChannels: channels.filter(isMandatory),
    locked,
    ...(defaults === undefined ? {} : { defaults }),
    ...(fields === undefined ? {} : { fields: [...fields] }),
  };
}

function mandatoryOn({ mandatory = false }: Defined, channel: ChannelName): boolean {
  return typeof mandatory === 'boolean' ? mandatory : mandatory.includes(channel);
}
