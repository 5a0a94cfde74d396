// Until when: what people say about a time, in the time zone that they live in. Pure.

export type LocalDay = { readonly year: number; readonly month: number; readonly day: number };

const DAYS = ['sunday', 'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday'];
const UNITS: Readonly<Record<string, number>> = { minute: 60_000, hour: 3_600_000, day: 86_400_000, week: 604_800_000 };
/** Whoever says a day means its morning. */
const MORNING = 8;
const MOST_MS = 366 * 86_400_000;

/**
 * The end of `for 2 hours`, `until Monday`, `until tomorrow 14:00`, `until 5pm`, `until 2026-12-24`; undefined where the
 * words say no time, or one that is past or more than a year ahead.
 */
export function parseUntil(words: string, timeZone: string, now: Date): Date | undefined {
  const text = words
    .trim()
    .toLowerCase()
    .replace(/[.!?]+$/, '');
  const end = afterDuration(text, now) ?? atTime(text, timeZone, now);
  if (!end || end.getTime() <= now.getTime() || end.getTime() - now.getTime() > MOST_MS) return undefined;
  return end;
}

function afterDuration(text: string, now: Date): Date | undefined {
  const [, count, unit] = /^(?:for )?(an?|\d{1,4}) (minute|hour|day|week)s?$/.exec(text) ?? [];
  if (count === undefined || unit === undefined) return undefined;
  return new Date(now.getTime() + (/^an?$/.test(count) ? 1 : Number(count)) * UNITS[unit]!);
}

function atTime(text: string, timeZone: string, now: Date): Date | undefined {
  const bare = text
    .replace(/^(?:until|till|to) /, '')
    .replace(/^next /, '')
    .trim();
  const [, dayWords = '', clock] =
    /^(.*?)(?:\s*(?:at )?(\d{1,2}(?::\d{2})?\s*(?:am|pm)|\d{1,2}:\d{2}|noon|midnight))?$/.exec(bare) ?? [];
  const day = dayOf(dayWords.trim(), timeZone, now);
  const time = clock === undefined ? { hour: MORNING, minute: 0 } : clockOf(clock);
  if (!day || !time || (dayWords.trim() === '' && clock === undefined)) return undefined;
  const at = zoned(day, time.hour, time.minute, timeZone);
  // "until 5pm", said at six, means tomorrow's.
  if (dayWords.trim() === '' && at <= now) return zoned(plusDays(day, 1), time.hour, time.minute, timeZone);
  return at;
}

function dayOf(words: string, timeZone: string, now: Date): LocalDay | undefined {
  const today = localDay(now, timeZone);
  if (words === '' || words === 'today') return today;
  if (words === 'tonight') return plusDays(today, 1);
  if (words === 'tomorrow' || words === 'tomorrow morning') return plusDays(today, 1);
  const [, year, month, day] = /^(\d{4})-(\d{2})-(\d{2})$/.exec(words) ?? [];
  if (year !== undefined) return { year: Number(year), month: Number(month), day: Number(day) };
  const weekday = DAYS.findIndex((name) => name === words || name.slice(0, 3) === words);
  if (weekday < 0) return undefined;
  const ahead = (weekday - weekdayOf(today) + 7) % 7;
  return plusDays(today, ahead === 0 ? 7 : ahead);
}

function clockOf(text: string): { hour: number; minute: number } | undefined {
  if (text === 'noon') return { hour: 12, minute: 0 };
  if (text === 'midnight') return { hour: 24, minute: 0 };
  const [, hours, minutes = '0', half] = /^(\d{1,2})(?::(\d{2}))?\s*(am|pm)?$/.exec(text) ?? [];
  const hour = (Number(hours) % (half ? 12 : 25)) + (half === 'pm' ? 12 : 0);
  const minute = Number(minutes);
  return hour > 24 || minute > 59 ? undefined : { hour, minute };
}

function weekdayOf({ year, month, day }: LocalDay): number {
  return new Date(Date.UTC(year, month - 1, day)).getUTCDay();
}

function plusDays({ year, month, day }: LocalDay, days: number): LocalDay {
  const date = new Date(Date.UTC(year, month - 1, day + days));
  return { year: date.getUTCFullYear(), month: date.getUTCMonth() + 1, day: date.getUTCDate() };
}

function localDay(at: Date, timeZone: string): LocalDay {
  const [year, month, day] = wall(at, timeZone);
  return { year: year!, month: month!, day: day! };
}

/** The moment at which the clocks of the zone show this; where they are set on over it, a little later. */
function zoned({ year, month, day }: LocalDay, hour: number, minute: number, timeZone: string): Date {
  const wanted = Date.UTC(year, month - 1, day, hour, minute);
  const guess = wanted - offset(wanted, timeZone);
  return new Date(wanted - offset(guess, timeZone));
}

function offset(at: number, timeZone: string): number {
  const [year, month, day, hour, minute] = wall(new Date(at), timeZone);
  return Date.UTC(year!, month! - 1, day, hour, minute) - Math.floor(at / 60_000) * 60_000;
}

function wall(at: Date, timeZone: string): number[] {
  const names = { year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric', minute: 'numeric' } as const;
  const parts = new Intl.DateTimeFormat('en', { ...names, timeZone, hourCycle: 'h23' }).formatToParts(at);
  const order = ['year', 'month', 'day', 'hour', 'minute'];
  return order.map((name) => Number(parts.find(({ type }) => type === name)?.value));
}
