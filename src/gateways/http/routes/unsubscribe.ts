// Where the unsubscribe link of a mail leads (RFC 8058). Mail clients POST to it; people see a page with one button. A GET
// changes nothing, because mail scanners follow every link.
import { Type } from 'typebox';
import { type Unsubscribe, type UnsubscribeKeys, unsubscribe, verifyUnsubscribe } from '../../../email/unsubscribe.ts';
import type { Database } from '../../../kit/database.ts';
import { getPreferences, putPreferences } from '../../../people/preference-records.ts';
import type { App } from '../app.ts';
import { escapeHtml, plainPage } from '../plain-page.ts';
import { responses } from '../schemas.ts';

export type UnsubscribeDeps = {
  readonly database: Database;
  /** Without keys there are no such links, and every one is refused. */
  readonly unsubscribeKeys?: UnsubscribeKeys | undefined;
};

const path = '/v1/unsubscribe/:token';
const config = { access: 'open' as const };
const params = Type.Object({
  token: Type.String({ maxLength: 600, description: 'Signed by the server, in its mails.' }),
});
const page = { description: 'A page for people.', content: { 'text/html': { schema: Type.String() } } };

export function unsubscribeRoutes(root: App, { database, unsubscribeKeys }: UnsubscribeDeps): void {
  if (unsubscribeKeys === undefined) return;
  const deps = { keys: unsubscribeKeys, switchOff: (what: Unsubscribe) => switchOff(database, what) };
  void root.register(async (app: App) => {
    app.removeAllContentTypeParsers();
    // The body says List-Unsubscribe=One-Click, as a form of either kind; the token says everything that counts.
    app.addContentTypeParser('*', { parseAs: 'buffer', bodyLimit: 4096 }, (_request, _body, done) => done(null));
    app.get(path, { config, schema: showSchema }, async (request, reply) => {
      const { category } = verifyUnsubscribe(request.params.token, unsubscribeKeys);
      return plainPage(
        reply,
        200,
        'No more mails?',
        `<p>You will get no more mails about <b>${escapeHtml(category)}</b>. Other ways to reach you stay as they are.</p>
<form method="post"><button>No more mails about ${escapeHtml(category)}</button></form>`,
      );
    });
    app.post(path, { config, schema: doSchema }, async (request, reply) => {
      const { category } = await unsubscribe(deps, request.params.token);
      const words = `<p>You will get no more mails about <b>${escapeHtml(category)}</b>.</p><p>You can change this on <a href="/me">your page</a>.</p>`;
      return plainPage(reply, 200, 'Done', words);
    });
  });
}

async function switchOff(database: Database, { recipientId, category }: Unsubscribe): Promise<void> {
  await database.transaction(async (tx) => {
    const preferences = await getPreferences(tx, recipientId);
    const setting = { ...preferences.categories[category], email: false };
    await putPreferences(tx, recipientId, {
      ...preferences,
      categories: { ...preferences.categories, [category]: setting },
    });
  });
}

const showSchema = {
  operationId: 'showUnsubscribe',
  summary: 'The page of an unsubscribe link',
  tags: ['people'],
  params,
  response: { ...responses({}), 200: page },
};
const doSchema = {
  operationId: 'unsubscribe',
  summary: 'Unsubscribe with one click',
  description: 'Switches mails of one category off for one recipient, both named by the signed token.',
  tags: ['people'],
  params,
  response: { ...responses({}), 200: page },
};
