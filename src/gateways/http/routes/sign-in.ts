// People sign in by a one-time link, which sets a cookie. Also: who am I, and sign out.
import { Type } from 'typebox';
import type { Access } from '../../../access/access.ts';
import { authorize, type Identity, isAllowed } from '../../../access/rights.ts';
import { type Person, SESSION_LIVES_MS } from '../../../access/sign-in.ts';
import type { Database } from '../../../kit/database.ts';
import { Refusal } from '../../../kit/refusal.ts';
import { parseRecipientId } from '../../../people/recipient.ts';
import { findRecipients } from '../../../people/recipients.ts';
import type { App, Reply, Request } from '../app.ts';
import { readCookie, SESSION_COOKIE } from '../identity.ts';
import { plainPage } from '../plain-page.ts';
import { problemResponse, responses, Time } from '../schemas.ts';

export type SignInDeps = {
  readonly access: Access;
  readonly database: Database;
  /** Where people reach the server; it is known once the server listens. */
  readonly publicUrl: () => string;
};

const Me = Type.Object({
  role: Type.Enum(['admin', 'recipient', 'program'], { description: '`program` is a key without all rights.' }),
  recipientId: Type.Optional(Type.String()),
  displayName: Type.Optional(Type.String()),
  name: Type.Optional(Type.String({ description: 'The name of the key.' })),
});

const LinkRequest = Type.Object(
  { role: Type.Enum(['admin', 'recipient']), recipientId: Type.Optional(Type.String({ maxLength: 128 })) },
  { additionalProperties: false, examples: [{ role: 'recipient', recipientId: 'ada' }] },
);

const Link = Type.Object({ url: Type.String(), expiresAt: Time('15 minutes from now.') });

export function signInRoutes(app: App, deps: SignInDeps): void {
  app.get(
    '/v1/me',
    {
      config: { access: 'known' },
      schema: { operationId: 'me', summary: 'Who am I?', tags: ['access'], response: responses({ 200: Me }) },
    },
    async ({ identity }) => whoAmI(deps.database, identity!), // the guard let only known identities through
  );
  app.post(
    '/v1/sign-in-links',
    { config: { access: 'known' }, schema: linkSchema },
    async ({ identity, body }, reply) => {
      const person = personOf(body);
      authorize(identity!, 'manage', person.role === 'admin' ? '*' : `recipient:${person.recipientId}`);
      const { token, expiresAt } = await deps.access.createLink(person);
      return reply
        .code(201)
        .send({ url: `${deps.publicUrl()}/v1/sign-in/${token}`, expiresAt: expiresAt.toISOString() });
    },
  );
  // No HEAD: a mail scanner that looks at the link must not spend it.
  app.get(
    '/v1/sign-in/:token',
    { exposeHeadRoute: false, config: { access: 'open' }, schema: signInSchema },
    (request, reply) => signIn(deps, request.params.token, request, reply),
  );
  app.post('/v1/sign-out', { config: { access: 'known' }, schema: signOutSchema }, async (request, reply) => {
    const session = readCookie(request.headers.cookie, SESSION_COOKIE);
    if (session !== undefined) await deps.access.endSession(session);
    return reply
      .header('set-cookie', cookie('', 0, deps.publicUrl()))
      .code(204)
      .send(null);
  });
}

const linkSchema = {
  operationId: 'createSignInLink',
  summary: 'Make a one-time sign-in link',
  description: 'It works once, for 15 minutes: for the dashboard (`admin`) or for the own page of a recipient.',
  tags: ['access'],
  body: LinkRequest,
  response: responses({ 201: Link }),
};

const signInSchema = {
  operationId: 'signIn',
  summary: 'Sign in with a link',
  description: 'Sets the session cookie and redirects to `/` or `/me`.',
  tags: ['access'],
  params: Type.Object({ token: Type.String({ maxLength: 100 }) }),
  response: {
    ...responses({}),
    303: Type.Null({ description: 'Signed in; see `Location`.' }),
    410: {
      description: 'The link was used before or is too old; browsers get a page that says so.',
      content: { ...problemResponse(410).content, 'text/html': { schema: Type.String() } },
    },
  },
};

const signOutSchema = {
  operationId: 'signOut',
  summary: 'Sign out',
  tags: ['access'],
  response: responses({ 204: Type.Null({ description: 'The session is ended.' }) }),
};

async function whoAmI(database: Database, identity: Identity) {
  if (identity.kind === 'admin') return { role: 'admin' as const };
  if (identity.kind === 'key') {
    return {
      role: isAllowed(identity, 'manage', '*') ? ('admin' as const) : ('program' as const),
      name: identity.name,
    };
  }
  const { recipientId } = identity;
  const displayName = (await findRecipients(database, [recipientId])).get(recipientId)?.displayName;
  return { role: 'recipient' as const, recipientId, ...(displayName === undefined ? {} : { displayName }) };
}

function personOf({ role, recipientId }: { role: string; recipientId?: string }): Person {
  if (role === 'admin') return { role };
  if (recipientId === undefined)
    throw new Refusal('bad_request', 'The request is not valid: recipientId is missing.', {
      errors: [{ field: 'recipientId', problem: 'is missing' }],
    });
  return { role: 'recipient', recipientId: parseRecipientId(recipientId) };
}

const LINK_SPENT = `<p>A sign-in link works once, for 15 minutes. Ask for a new one where you got this one.</p>
<p>Whoever runs the server makes one with <code>carillon sign-in</code>, or by <a href="/docs#createSignInLink">the API</a>.</p>
<p>If you are signed in already, go on to <a href="/me">your inbox</a> or <a href="/">the dashboard</a>.</p>`;

async function signIn({ access, publicUrl }: SignInDeps, token: string, request: Request, reply: Reply) {
  try {
    const { session, person } = await access.spendLink(token);
    return reply
      .header('set-cookie', cookie(session, SESSION_LIVES_MS / 1000, publicUrl()))
      .header('referrer-policy', 'no-referrer')
      .header('cache-control', 'no-store')
      .redirect(person.role === 'admin' ? '/' : '/me', 303);
  } catch (error) {
    const isPerson = /\btext\/html\b/.test(request.headers.accept ?? '');
    if (isPerson && error instanceof Refusal && error.code === 'link_spent')
      return plainPage(reply, 410, 'This link does not work any more', LINK_SPENT);
    throw error;
  }
}

function cookie(value: string, maxAge: number, publicUrl: string): string {
  const secure = publicUrl.startsWith('https:') ? '; Secure' : '';
  return `${SESSION_COOKIE}=${value}; Path=/; Max-Age=${maxAge}; HttpOnly; SameSite=Lax${secure}`;
}
