// Makes what an agent says fit for pages. Agents are programs of the organisation, but what they say may come from
// elsewhere (a mail, a language model), and renderers let more through than they should: Web Chat loads images in texts,
// passes any address of a button on, and does nothing on Action.Execute. Unlike cards of notifications, which are held to
// the schema, what is unknown here stays: the agent's author knows the page.
import { tame } from '../cards/markdown.ts';
import { safeLink } from '../cards/raw/addresses.ts';
import type { Activity } from '../conversations/activity.ts';

type Thing = Record<string, unknown>;

/** Read as Markdown by renderers. */
const TEXTS = new Set(['text', 'title', 'subtitle', 'label', 'fallbackText', 'altText', 'placeholder', 'errorMessage']);
/** Addresses that something is loaded from. */
const SOURCES = new Set(['url', 'iconUrl', 'poster', 'contentUrl', 'thumbnailUrl']);
const MAX_DEPTH = 32;

/** Texts without HTML, images and scripts behind links; buttons that lead to no script; Execute as Submit. */
export function polish(activity: Activity): Activity {
  const { text, attachments, suggestedActions } = activity;
  return {
    ...activity,
    ...(typeof text === 'string' && activity.textFormat !== 'plain' && { text: tame(text) }),
    ...(Array.isArray(attachments) && { attachments: cleanList(attachments, 0) }),
    ...(suggestedActions !== undefined && { suggestedActions: clean(suggestedActions, 0) }),
  } as Activity; // the same fields, cleaned
}

/** Undefined: it is better left out. */
function clean(value: unknown, depth: number): unknown {
  if (depth > MAX_DEPTH) return undefined;
  if (Array.isArray(value)) return cleanList(value, depth);
  if (typeof value !== 'object' || value === null) return value;
  const thing = value as Thing;
  const { type } = thing;
  if (isLink(type) && safeLink(String(thing.url ?? thing.value ?? '')) === undefined) return undefined;
  const kept = Object.entries(thing).flatMap(([name, each]) => {
    const cleaned = cleanField(name, each, depth);
    return cleaned === undefined ? [] : [[name, cleaned] as const];
  });
  return asSubmit(Object.fromEntries(kept));
}

function cleanList(list: readonly unknown[], depth: number): unknown[] {
  return list.map((each) => clean(each, depth + 1)).filter((each) => each !== undefined);
}

function cleanField(name: string, value: unknown, depth: number): unknown {
  // What a button sends back is the agent's own.
  if (name === 'data') return value;
  // A renderer shows a number in a list of facts as nothing.
  if (name === 'facts' && Array.isArray(value)) return value.map(cleanFact);
  if (typeof value !== 'string') return clean(value, depth + 1);
  if (TEXTS.has(name)) return tame(value);
  return SOURCES.has(name) && !isSource(value) ? undefined : value;
}

function cleanFact(fact: unknown): unknown {
  if (typeof fact !== 'object' || fact === null) return fact;
  return Object.fromEntries(
    Object.entries(fact).map(([name, value]) => [name, typeof value === 'object' ? value : tame(String(value))]),
  );
}

function isLink(type: unknown): boolean {
  return (
    typeof type === 'string' &&
    ['action.openurl', 'openurl', 'downloadfile', 'playaudio', 'playvideo', 'showimage'].includes(type.toLowerCase())
  );
}

function isSource(address: string): boolean {
  return (
    /^data:(image\/(png|jpeg|gif|webp)|audio\/|video\/)/i.test(address) ||
    /^https?:$/.test(URL.parse(address)?.protocol ?? '')
  );
}

/** Direct Line's pages know no Execute; the agent gets the verb with the data, as the value of a message. */
function asSubmit(thing: Thing): Thing {
  if (thing.type !== 'Action.Execute') return thing;
  const { verb, data, fallback: _, ...look } = thing;
  const given = typeof data === 'object' && data !== null ? data : {};
  return { ...look, type: 'Action.Submit', data: { ...(typeof verb === 'string' && { verb }), ...given } };
}
