// Hubs: what an app needs to know of its own.
import { Type } from 'typebox';
import { findHub } from '../../../hub/hubs.ts';
import type { Database } from '../../../kit/database.ts';
import { Refusal } from '../../../kit/refusal.ts';
import type { App } from '../app.ts';
import { responses } from '../schemas.ts';
import { HubParams } from './devices.ts';

export type HubDeps = {
  readonly database: Database;
  /** Opens the credentials. */
  readonly sealingKey: Buffer;
};

export function hubRoutes(app: App, { database, sealingKey }: HubDeps): void {
  app.get(
    '/v1/hubs/:hub/web-push-key',
    { config: { access: 'known' }, schema: webPushKeySchema },
    async ({ params }) => {
      const publicKey = (await findHub(database, sealingKey, params.hub))?.credentials.browser?.publicKey;
      if (publicKey === undefined) throw new Refusal('not_found', `There is no hub "${params.hub}" for Web Push.`);
      return { publicKey };
    },
  );
}

const webPushKeySchema = {
  operationId: 'getWebPushKey',
  summary: 'Read the key that browsers subscribe with',
  description: 'Goes into `applicationServerKey` of `pushManager.subscribe`.',
  tags: ['devices'],
  params: HubParams,
  response: responses({
    200: Type.Object({ publicKey: Type.String({ description: 'Base64url, uncompressed P-256.' }) }),
  }),
};
