// Files: a person's page sends them with an activity in one multipart body, or one file as the body; whoever has the link
// reads them. A file is never a page: its policy lets nothing run, and only pictures, sounds and films are shown in place.
import { userSays } from '../../assistant/agents/exchange.ts';
import type { Activity, Attachment } from '../../assistant/conversations/activity.ts';
import { findConversation } from '../../assistant/conversations/conversation.ts';
import {
  checkQuota,
  cleanName,
  findUpload,
  type NewUpload,
  newUpload,
  type Upload,
} from '../../assistant/conversations/uploads.ts';
import { parseJson } from '../../events/json.ts';
import { Refusal } from '../../kit/refusal.ts';
import { speakerOf } from './callers.ts';
import { shown } from './conversations.ts';
import type { Door } from './door.ts';
import { activityOfUser } from './read-activity.ts';
import { type App, baseOf, OPEN, PREFIX, type Reply, type Request } from './routing.ts';
import type { Claims } from './tokens.ts';

const MAX_FILES = 10;
const MAX_DEPTH = 32;

type Params = { readonly id: string };

export function uploadRoutes(app: App, door: Door): void {
  const { maxUploadBytes, maxConversationBytes } = door.limits;
  const bodyLimit = maxUploadBytes * 2 + 512 * 1024;
  app.register(async (own) => {
    // The body may be anything; as JSON it is a file like any other.
    own.removeAllContentTypeParsers();
    own.addContentTypeParser('*', { parseAs: 'buffer', bodyLimit }, (_request, body, done) => done(null, body));
    own.post<{ Params: Params }>(`${PREFIX}/conversations/:id/upload`, { ...OPEN, bodyLimit }, async (request) => {
      const claims = await speakerOf(door, request, request.params.id);
      door.posts.take(claims.conversationId);
      const { database } = door.exchange;
      const conversation = await findConversation(database, claims.conversationId);
      const { given, files } = await read(request, maxUploadBytes);
      const bytes = files.reduce((sum, { content }) => sum + content.byteLength, 0);
      await checkQuota(database, conversation.id, bytes, maxConversationBytes);
      const activity = compose(given, claims, files, baseOf(door, request));
      return shown(await userSays(door.exchange, conversation, activity, files));
    });
  });
  app.get<{ Params: Params }>(`${PREFIX}/uploads/:id/:name`, OPEN, async (request, reply) => {
    const upload = await findUpload(door.exchange.database, request.params.id);
    if (!upload) throw new Refusal('not_found', 'There is no such file, or not any more.');
    return sendFile(reply, upload);
  });
}

/** Where a file is read from. */
function linkOf(base: string, { id, name }: Pick<NewUpload, 'id' | 'name'>): string {
  return `${base}${PREFIX}/uploads/${id}/${encodeURIComponent(name)}`;
}

export function sendFile(reply: Reply, { name, type, content }: Upload): Reply {
  const how = /^(image|audio|video)\//.test(type) ? 'inline' : 'attachment';
  const ascii = name.replace(/[^\x20-\x7e]|[\\%]/g, '_');
  return reply
    .header('content-type', type)
    .header('content-security-policy', "default-src 'none'; sandbox")
    .header('x-content-type-options', 'nosniff')
    .header('cross-origin-resource-policy', 'cross-origin')
    .header('cache-control', 'private, max-age=86400, immutable')
    .header('content-disposition', `${how}; filename="${ascii}"; filename*=UTF-8''${encodeURIComponent(name)}`)
    .send(content);
}

type Sent = { readonly given: unknown; readonly files: readonly NewUpload[] };

async function read(request: Request, maxBytes: number): Promise<Sent> {
  const type = request.headers['content-type'] ?? 'application/octet-stream';
  const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
  if (/^multipart\/form-data\b/i.test(type)) return readMultipart(body, type, maxBytes);
  if (body.length === 0) throw new Refusal('bad_request', 'The body is empty; it is the file, or multipart/form-data.');
  const name = /filename="?([^";]+)"?/i.exec(request.headers['content-disposition'] ?? '')?.[1] ?? 'file';
  return { given: { type: 'message' }, files: [newUpload({ name, type, content: body }, maxBytes)] };
}

async function readMultipart(body: Buffer, type: string, maxBytes: number): Promise<Sent> {
  const form = await new Response(new Uint8Array(body), { headers: { 'content-type': type } })
    .formData()
    .catch((error: unknown) => {
      throw new Refusal('bad_request', 'The body is not valid multipart/form-data.', {}, error);
    });
  let given: unknown = { type: 'message' };
  const files: NewUpload[] = [];
  for (const [field, value] of form) {
    // The activity comes as a file as well, for the sake of its type.
    const text = typeof value === 'string' ? value : field === 'activity' ? await value.text() : undefined;
    if (field === 'activity') given = parseJson(text!, MAX_DEPTH, 'The part "activity"');
    else if (typeof value !== 'string') {
      const content = new Uint8Array(await value.arrayBuffer());
      files.push(newUpload({ name: value.name, type: value.type, content }, maxBytes));
    }
  }
  if (files.length > MAX_FILES) throw new Refusal('too_large', `At most ${MAX_FILES} files go together.`);
  return { given, files };
}

/** The activity with a link in each of its attachments; a file that none of them names gets one of its own. */
function compose(given: unknown, claims: Claims, files: readonly NewUpload[], base: string): Activity {
  const activity = activityOfUser(given, claims);
  const left = [...files];
  const take = (name: string | undefined) => {
    const at = name === undefined ? -1 : left.findIndex((file) => file.name === cleanName(name));
    return at < 0 ? undefined : left.splice(at, 1)[0];
  };
  const named = (activity.attachments ?? []).map((attachment): Attachment => {
    const file = attachment.contentUrl === undefined ? take(attachment.name) : undefined;
    return file ? { ...attachment, contentType: file.type, contentUrl: linkOf(base, file) } : attachment;
  });
  const more = left.map((file) => ({ contentType: file.type, contentUrl: linkOf(base, file), name: file.name }));
  return { ...activity, attachments: [...named, ...more] };
}
