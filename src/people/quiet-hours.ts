// Quiet hours: what could disturb waits until they end. Pure; the wall clock of the person's time zone decides, so the
// hours stay where they are when the clocks change.
export type QuietHours = {
  /** `22:00`; later than `to` means over midnight. */
  readonly from: string;
  readonly to: string;
  /** IANA name; the time zone of the recipient's record when left out, else UTC. */
  readonly timeZone?: string;
};

const TIME = /^([01]\d|2[0-3]):([0-5]\d)$/;
const DAY = 24 * 60;
const MINUTE_MS = 60_000;

export function isTimeOfDay(text: string): boolean {
  return TIME.test(text);
}

/** When the quiet hours end that `now` lies in; undefined outside of them. */
export function endOfQuiet({ from, to }: QuietHours, timeZone: string, now: Date): Date | undefined {
  const [begin, end] = [minutesOf(from), minutesOf(to)];
  const minute = minuteOfDay(now, timeZone);
  const quiet = begin < end ? minute >= begin && minute < end : minute >= begin || minute < end;
  if (!quiet) return undefined;
  const wholeMinute = now.getTime() - (now.getTime() % MINUTE_MS);
  const guess = wholeMinute + ((end - minute + DAY) % DAY) * MINUTE_MS;
  return new Date(guess + clockChange(guess, end, timeZone) * MINUTE_MS);
}

/** By how many minutes the clocks were set in between: what is missing at `at` to the minute `end` of the day. */
function clockChange(at: number, end: number, timeZone: string): number {
  const off = ((end - minuteOfDay(new Date(at), timeZone) + DAY + DAY / 2) % DAY) - DAY / 2;
  const settled = minuteOfDay(new Date(at + off * MINUTE_MS), timeZone) === end;
  // The end itself may not exist on the day on which the clocks go forward: then the first guess is right after it.
  return settled ? off : 0;
}

function minutesOf(text: string): number {
  const [, hours, minutes] = TIME.exec(text) ?? [];
  return Number(hours) * 60 + Number(minutes);
}

const MAX_CLOCKS = 1_000;
const clocks = new Map<string, Intl.DateTimeFormat>();

function minuteOfDay(at: Date, timeZone: string): number {
  const parts = clockOf(timeZone).formatToParts(at);
  const part = (type: string) => Number(parts.find((each) => each.type === type)?.value);
  return part('hour') * 60 + part('minute');
}

/** Making one costs 50 us, asking one 2 us. */
function clockOf(timeZone: string): Intl.DateTimeFormat {
  let clock = clocks.get(timeZone);
  if (clock === undefined) {
    clock = new Intl.DateTimeFormat('en', { timeZone, hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
    if (clocks.size >= MAX_CLOCKS) clocks.clear();
    clocks.set(timeZone, clock);
  }
  return clock;
}
