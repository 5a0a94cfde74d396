// Feedback: what push services said of dead devices. The vendor answers with the signed address of a container of blobs, and
// so do we: whoever has the address may list its blobs and read them for a day, as clients of its storage do.

import { createHmac, timingSafeEqual } from 'node:crypto';
import { type Feedback, feedbackBlocks, readFeedback } from '../../hub/feedback.ts';
import { tag, textTag } from '../../kit/xml.ts';
import { connectNamespace, DoorError, formats } from './answers.ts';
import type { Answer, Call, HubDoorDeps, Operation } from './door.ts';

const readableSeconds = 86_400;

export const feedbackOperations: readonly Operation[] = [
  { method: 'GET', kind: 'feedbackcontainer', rest: 'none', right: 'Manage', run: container },
  { method: 'GET', kind: 'feedback', rest: 'none', right: 'signature', run: listBlobs },
  { method: 'GET', kind: 'feedback', rest: 'some', right: 'signature', run: readBlob },
];

async function container({ admin, now }: HubDoorDeps, { hub, origin }: Call): Promise<Answer> {
  const expiry = String(Math.floor(now().getTime() / 1000) + readableSeconds);
  const query = `sp=rl&se=${expiry}&sig=${encodeURIComponent(signature(admin.key, hub, expiry))}`;
  const body = `${origin}/${encodeURIComponent(hub)}/feedback?${query}`;
  return { status: 200, body, type: 'text/plain; charset=utf-8' };
}

async function listBlobs(deps: HubDoorDeps, call: Call): Promise<Answer> {
  checkSignature(deps, call);
  const blobs = (await feedbackBlocks(deps.database, call.hub)).map(({ block, at }) =>
    tag('Blob', textTag('Name', nameOf(block)) + tag('Properties', textTag('Last-Modified', at.toUTCString()))),
  );
  const address = `${call.origin}/${encodeURIComponent(call.hub)}/feedback`;
  return {
    status: 200,
    body: `<?xml version="1.0" encoding="utf-8"?>${tag('EnumerationResults', tag('Blobs', blobs.join('')) + tag('NextMarker', ''), `ContainerName="${address}"`)}`,
  };
}

/** One record per line. */
async function readBlob(deps: HubDoorDeps, call: Call): Promise<Answer> {
  checkSignature(deps, call);
  const block = /^feedback-(\d{1,9})\.xml$/.exec(call.rest)?.[1];
  if (block === undefined) throw new DoorError(404, 'There is no blob of this name.');
  const records = await readFeedback(deps.database, call.hub, Number(block));
  return { status: 200, body: records.map((record) => `${printFeedback(record)}\n`).join('') };
}

function printFeedback({ at, platform, handle, deviceId, kind, cause }: Feedback): string {
  const parts = [
    textTag('FeedbackTime', at.toISOString()),
    textTag('NotificationSystemError', cause),
    textTag('Platform', formats[platform as keyof typeof formats] ?? platform),
    textTag('PnsHandle', handle),
    textTag('RegistrationId', kind === 'registration' ? deviceId : undefined),
    textTag('InstallationId', kind === 'installation' ? deviceId : undefined),
  ];
  return tag('PnsFeedback', parts.join(''), connectNamespace);
}

function nameOf(block: number): string {
  return `feedback-${String(block).padStart(9, '0')}.xml`;
}

function checkSignature({ admin, now }: HubDoorDeps, { hub, query }: Call): void {
  const [expiry, given] = [query.get('se') ?? '', Buffer.from(query.get('sig') ?? '')];
  const wanted = Buffer.from(signature(admin.key, hub, expiry));
  if (given.length !== wanted.length || !timingSafeEqual(given, wanted) || Number(expiry) * 1000 < now().getTime())
    throw new DoorError(403, 'The address is not signed, or too old: ask for the feedback container again.');
}

function signature(key: Buffer, hub: string, expiry: string): string {
  return createHmac('sha256', key).update(`feedback of ${hub}\n${expiry}`).digest('base64url');
}
