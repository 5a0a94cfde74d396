// What a send reads of devices: pages in the order of their numbers, each from where the last one ended. Nothing is held but
// one page, and a node that takes over goes on behind the last number that was written down.

import { type Sql, statement } from '../kit/database.ts';
import { type AimDevice, aimDeviceOf, type Templates } from './aims.ts';
import { type DeviceKind, type DeviceRow, handleOf } from './devices.ts';
import type { Installation, InstallationPlatform, PushChannel } from './installation.ts';
import { pushPlatforms } from './lanes.ts';
import { ShortRows } from './short-rows.ts';
import { anchorTags, type TagExpression } from './tags.ts';

export type PushSelection = {
  readonly hub: string;
  /** Undefined: of all. */
  readonly platform: InstallationPlatform | undefined;
  /** Only looked up by its anchors here: whoever reads the page judges each template and tile exactly. */
  readonly expression?: TagExpression | undefined;
};

/** Devices of a page, as the database wrote them. */
export class PushPage {
  readonly rows: ShortRows;
  /** The number after which the next page begins. */
  readonly last: string;
  /** There are no more. */
  readonly walked: boolean;
  /** What it held in the database, about. */
  readonly bytes: number;
  readonly #kinds: string;
  readonly #numbers: string;
  readonly #tags: readonly string[] | undefined;
  readonly #templates: ReadonlyMap<string, Templates>;
  /** Those whose templates were changed after they were read. */
  readonly #changed: ReadonlyMap<string, AimDevice>;

  constructor(
    rows: ShortRows,
    { pushes, kinds, numbers, tags }: PageRow,
    { templates, changed }: Known,
    { last, walked }: { readonly last: string; readonly walked: boolean },
  ) {
    this.rows = rows;
    this.bytes = pushes?.length ?? 0;
    this.#kinds = kinds;
    this.#numbers = numbers;
    this.#tags = tags?.split(' ');
    this.#templates = templates;
    this.#changed = changed;
    this.last = last;
    this.walked = walked;
  }

  static empty(last: string, walked: boolean): PushPage {
    const none: PageRow = { pushes: '', kinds: '', numbers: '' };
    return new PushPage(new ShortRows('', 0), none, nothingKnown, { last, walked });
  }

  get length(): number {
    return this.rows.length;
  }

  kindAt(row: number): DeviceKind {
    return this.#kinds[row] === 'r' ? 'registration' : 'installation';
  }

  /** Of the app at this place among those of the rows; undefined: they are not known. */
  templatesOf(app: number): Templates | undefined {
    return this.#templates.get(this.rows.apps[app]!.key);
  }

  /** Canonical, where the page was read with them. */
  tagsAt(row: number): readonly string[] {
    return this.#tags === undefined ? noTags : this.#tags[row]!.split(',');
  }

  /** The numbers of the devices at these rows, which are in order. */
  numbersAt(rows: readonly number[]): string[] {
    let at = 0;
    let row = 0;
    return rows.map((wanted) => {
      for (; row < wanted; row += 1) at = this.#numbers.indexOf(',', at) + 1;
      const end = this.#numbers.indexOf(',', at);
      return this.#numbers.slice(at, end < 0 ? undefined : end);
    });
  }

  /** All of a device that matters here; undefined when it was unregistered while the page was read. */
  deviceAt(row: number): AimDevice | undefined {
    const kind = this.kindAt(row);
    // Written by the database from installations alone.
    const entry = JSON.parse(this.rows.text(row)) as Short | Installation;
    if (!isShort(entry)) return aimDeviceOf({ id: entry.installationId, kind, installation: entry });
    const [id, platform, address, key, variables] = entry;
    const templates = this.#templates.get(key);
    if (templates === undefined) return this.#changed.get(id);
    const place = { tile: '', address, handle: handleOf({ pushChannel: address }), templates, tags: this.tagsAt(row) };
    return { id, kind, platform, variables: variables ?? {}, places: [place] };
  }

  devices(): AimDevice[] {
    return Array.from({ length: this.length }, (_, row) => this.deviceAt(row) ?? []).flat();
  }
}

const noTags: readonly string[] = [];

/** How pages are found. `window`: devices of so many numbers are looked at for one page; undefined: of all. */
export type Lookup = { readonly byTags: boolean; readonly window: number | undefined; readonly highest: number };

// The planner believes that testing an array costs next to nothing, so for a tag that 1 of 100 devices has it walks along
// the numbers instead of asking the index of the tags. It is asked how many devices it expects, and an order that no index
// has takes the walk away from it. Then, so that not all of them are read for one page, their numbers are bounded: PostgreSQL
// lays the two indexes over each other before it looks at a device.
const expected = (anchors: readonly unknown[]) =>
  `explain (format json) select 1 from device where hub = $1 ${anchors.map((_, i) => `and tags && $${i + 2}`).join(' ')}`;
const allDevices = statement(
  'hub.devices-in-all',
  `select reltuples as count, (select coalesce(max(number), 0) from unnest($2::text[]) as each (name) cross join lateral
     (select number from device where hub = $1 and platform = name order by number desc limit 1) as last) as highest
   from pg_class where oid = 'device'::regclass`,
);

const along: Lookup = { byTags: false, window: undefined, highest: 0 };

/** Once per send. Pages of few devices are looked up by tags, others along the numbers. */
export async function planLookup(
  sql: Sql,
  { hub, platform, expression }: PushSelection,
  limit: number,
): Promise<Lookup> {
  const anchors = expression === undefined ? [] : anchorTags(expression);
  if (anchors.length === 0) return along;
  type Plans = { readonly 'QUERY PLAN': readonly { readonly Plan: { readonly 'Plan Rows': number } }[] };
  const [[plans], [all]] = await Promise.all([
    sql.query<Plans>(expected(anchors), [hub, ...anchors]),
    sql.query<{ count: number; highest: number }>(allDevices, [
      hub,
      platform === undefined ? pushPlatforms : [platform],
    ]),
  ]);
  const rows = plans!['QUERY PLAN'][0]!.Plan['Plan Rows'];
  const { count, highest } = all!;
  // By tags a page costs the entries of the window in both indexes and the reading of its devices, along the numbers the
  // reading of all devices of the window.
  if (rows * 10 >= Math.max(count, 1)) return along;
  const window = Math.ceil((limit * Math.max(highest, 1) * 1.2) / Math.max(rows, 1));
  return { byTags: true, window: window < highest ? window : undefined, highest };
}

// No named statements: PostgreSQL plans them anew with the values each time, for which index is right depends on them. Each
// set of anchors is a condition.
const conditions = (anchors: readonly unknown[], ofPlatform: string) =>
  `hub = $1 and number > $2 and number <= $6 and gone_at is null and (expires_at is null or expires_at > $3)
   and platform ${ofPlatform} ${anchors.map((_, i) => `and tags && $${i + 7}`).join(' ')}`;
const columns = "number, kind, coalesce(push, definition) as push, array_to_string(tags, ',') as tags";

/** All platforms: the walk of each, laid together. */
function rowsOf(anchors: readonly unknown[], one: boolean, byTags: boolean): string {
  if (byTags)
    return `select ${columns} from device where ${conditions(anchors, one ? '= $4' : '= any ($4)')} order by number + 0 limit $5`;
  const walk = (platform: string) =>
    `select ${columns} from device where ${conditions(anchors, `= ${platform}`)} order by number limit $5`;
  if (one) return walk('$4');
  return `select walk.* from unnest($4::text[]) as each (platform) cross join lateral (${walk('each.platform')}) as walk
    order by number limit $5`;
}

// A page is put together there and read here in one go: a fifth of the cost of a row each.
const textOfPage = (
  anchors: readonly unknown[],
  one: boolean,
  { byTags, tags }: { readonly byTags: boolean; readonly tags: boolean },
) =>
  `select string_agg(push, ',' order by number) as pushes, string_agg(left(kind, 1), '' order by number) as kinds,
     string_agg(number::text, ',' order by number) as numbers
     ${tags ? ", string_agg(tags, ' ' order by number) as tags" : ''}
   from (${rowsOf(anchors, one, byTags)}) as page`;

type PageRow = {
  readonly pushes: string | null;
  readonly kinds: string;
  readonly numbers: string;
  readonly tags?: string;
};

/** Devices that may be meant, behind the number `after`; `lookup` as planned for the send. Empty only when there are no more. */
export async function readPushPage(
  sql: Sql,
  selection: PushSelection,
  { after, limit, lookup = along }: { readonly after: string; readonly limit: number; readonly lookup?: Lookup },
  now: Date,
): Promise<PushPage> {
  let from = Number(after);
  for (;;) {
    const end =
      lookup.window === undefined || from + lookup.window >= lookup.highest ? undefined : from + lookup.window;
    const page = await readWindow(sql, selection, { from, end, limit, byTags: lookup.byTags }, now);
    if (page.length > 0 || page.walked) return page;
    from = Number(page.last);
  }
}

async function readWindow(
  sql: Sql,
  { hub, platform, expression }: PushSelection,
  range: { readonly from: number; readonly end: number | undefined; readonly limit: number; readonly byTags: boolean },
  now: Date,
): Promise<PushPage> {
  const { from, end, limit, byTags } = range;
  const anchors = expression === undefined ? [] : anchorTags(expression);
  const values = [hub, from, now, platform ?? pushPlatforms, limit, end ?? Number.MAX_SAFE_INTEGER, ...anchors];
  const [row] = await sql.query<PageRow>(
    textOfPage(anchors, platform !== undefined, { byTags, tags: expression !== undefined }),
    values,
  );
  const through = String(end ?? from);
  if (row === undefined || row.pushes === null) return PushPage.empty(through, end === undefined);
  const rows = new ShortRows(row.pushes, row.kinds.length);
  const known = await learn(sql, hub, rows, now);
  const full = row.kinds.length === limit;
  const last = full || end === undefined ? row.numbers.slice(row.numbers.lastIndexOf(',') + 1) : through;
  return new PushPage(rows, row, known, { last, walked: !full && end === undefined });
}

/** As the function device_push of the database makes it. */
type Short = readonly [
  id: string,
  platform: InstallationPlatform,
  address: PushChannel,
  templates: string,
  variables: Readonly<Record<string, string>> | null,
];

/** Templates by their keys. The devices of an app share a few; of many strange ones the rest is read again and again. */
const known = new Map<string, Templates>();
const mostKnown = 5_000;

type Known = {
  readonly templates: ReadonlyMap<string, Templates>;
  readonly changed: ReadonlyMap<string, AimDevice>;
};
const nothingKnown: Known = { templates: new Map(), changed: new Map() };

/** What the rows do not say of their devices. */
async function learn(sql: Sql, hub: string, rows: ShortRows, now: Date): Promise<Known> {
  const templates = await templatesOf(sql, hub, rows);
  if (rows.apps.every(({ key }) => templates.has(key))) return { templates, changed: nothingKnown.changed };
  // They were changed between the two reads, so that nobody knows their templates yet.
  const unknown = Array.from({ length: rows.length }, (_, row) => row).filter((row) => {
    const app = rows.apps[rows.appAt(row)];
    return app !== undefined && !templates.has(app.key);
  });
  const ids = unknown.map((row) => rows.idAt(row));
  return { templates, changed: await findPushDevices(sql, hub, ids, now) };
}

function isShort(entry: Short | Installation): entry is Short {
  return Array.isArray(entry);
}

const definitions = statement(
  'hub.push-definitions',
  'select push::json ->> 3 as key, definition from device where hub = $1 and id = any ($2)',
);

/**
 * Templates by their keys, those that are new from one device of each. What a page needs is its own: other sends may forget
 * what is remembered while it is put together.
 */
async function templatesOf(sql: Sql, hub: string, rows: ShortRows): Promise<ReadonlyMap<string, Templates>> {
  const found = new Map<string, Templates>();
  const unknown = new Map<string, string>();
  for (const { key, row } of rows.apps) {
    const templates = known.get(key);
    if (templates === undefined) unknown.set(key, rows.idAt(row));
    else found.set(key, templates);
  }
  if (unknown.size === 0) return found;
  type DefinitionRow = { readonly key: string | null; readonly definition: string };
  const read = await sql.query<DefinitionRow>(definitions, [hub, [...unknown.values()]]);
  if (known.size > mostKnown) known.clear();
  for (const { key, definition } of read) {
    if (key === null) continue;
    const { templates } = JSON.parse(definition) as Installation;
    known.set(key, templates);
    found.set(key, templates);
  }
  return found;
}

const byIds = `select id, kind, definition from device
   where hub = $1 and id = any ($2) and gone_at is null and (expires_at is null or expires_at > $3)`;

/** Those of the devices that can still be pushed to, by id. */
export async function findPushDevices(
  sql: Sql,
  hub: string,
  ids: readonly string[],
  now: Date,
): Promise<ReadonlyMap<string, AimDevice>> {
  if (ids.length === 0) return new Map();
  type Row = Pick<DeviceRow, 'id' | 'kind' | 'definition'>;
  const rows = await sql.query<Row>(byIds, [hub, ids, now]);
  return new Map(
    rows.map(({ id, kind, definition }) => [
      id,
      aimDeviceOf({ id, kind, installation: JSON.parse(definition) as Installation }),
    ]),
  );
}
