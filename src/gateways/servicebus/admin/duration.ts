// ISO 8601 durations in milliseconds. The largest .NET time span stands for "without limit".
import { Refusal } from '../../../kit/refusal.ts';

export const UNLIMITED = 'P10675199DT2H48M5.4775807S';
const UNLIMITED_MS = 10_675_199 * 86_400_000;

const DURATION = /^P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?$/;
const UNITS_MS = [365 * 86_400_000, 30 * 86_400_000, 7 * 86_400_000, 86_400_000, 3_600_000, 60_000, 1000];

/** `null` means without limit. */
export function parseDuration(text: string, field: string): number | null {
  const parts = DURATION.exec(text);
  if (!parts || text === 'P' || text.endsWith('T'))
    throw new Refusal('bad_request', `The value of '${field}' is no ISO 8601 duration.`);
  const ms = UNITS_MS.reduce((sum, unit, i) => sum + Number(parts[i + 1] ?? 0) * unit, 0);
  return ms >= UNLIMITED_MS ? null : Math.round(ms);
}

export function printDuration(ms: number | null): string {
  if (ms === null) return UNLIMITED;
  const days = Math.floor(ms / 86_400_000);
  const [hours, minutes, seconds] = [
    Math.floor(ms / 3_600_000) % 24,
    Math.floor(ms / 60_000) % 60,
    (ms % 60_000) / 1000,
  ];
  const time = [hours && `${hours}H`, minutes && `${minutes}M`, seconds && `${seconds}S`].filter(Boolean).join('');
  if (days === 0 && time === '') return 'PT0S';
  return `P${days ? `${days}D` : ''}${time ? `T${time}` : ''}`;
}
