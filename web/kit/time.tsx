// Times as people say them, in the reader's own language and zone.
import { useSyncExternalStore } from 'react';

const ago = new Intl.RelativeTimeFormat(undefined, { numeric: 'auto', style: 'narrow' });
const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const clockSeconds = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit' });
const day = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long' });
const dayShort = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'short' });

/** `now`, `5 min ago`, `14:03`, `3 May`: short, and a hover tells the whole. */
export function Ago({ at }: { readonly at: string }) {
  const now = useMinute();
  return (
    <time dateTime={at} title={full.format(new Date(at))}>
      {shortTime(new Date(at), new Date(Math.max(now, Date.now())))}
    </time>
  );
}

type ExactProps = { readonly at: string; readonly seconds?: boolean; readonly short?: boolean };

/** `short`: the clock alone where it is today's. */
export function Exact({ at, seconds = false, short = false }: ExactProps) {
  const moment = new Date(at);
  const today = short && sameDay(moment, new Date());
  const text = today ? clock.format(moment) : seconds ? clockSeconds.format(moment) : full.format(moment);
  return (
    <time dateTime={at} title={full.format(moment)}>
      {text}
    </time>
  );
}

export function shortTime(at: Date, now: Date): string {
  const seconds = (at.getTime() - now.getTime()) / 1_000;
  if (seconds > -45) return 'now';
  if (seconds > -3_600) return ago.format(Math.min(-1, Math.round(seconds / 60)), 'minute');
  if (sameDay(at, now)) return clock.format(at);
  return dayShort.format(at);
}

/** The heading of a group of things: `Today`, `Yesterday`, else the day's name. */
export function dayName(at: Date, now: Date): string {
  if (sameDay(at, now)) return 'Today';
  if (sameDay(at, new Date(now.getFullYear(), now.getMonth(), now.getDate() - 1))) return 'Yesterday';
  return day.format(at);
}

function sameDay(a: Date, b: Date): boolean {
  return a.toDateString() === b.toDateString();
}

// One timer for all the times of a page.
let minute = Date.now();
const watchers = new Set<() => void>();
setInterval(() => {
  minute = Date.now();
  for (const watcher of watchers) watcher();
}, 20_000);

function useMinute(): number {
  return useSyncExternalStore(
    (changed) => {
      watchers.add(changed);
      return () => watchers.delete(changed);
    },
    () => minute,
  );
}
