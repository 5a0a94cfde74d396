// How long a service asks to be left alone. Source: RFC 9110, section 10.2.3; some write fractions of a second.

/** `Retry-After` (seconds or a date) in milliseconds from `now`; undefined when it says nothing that can be understood. */
export function retryAfterMs(value: string | null | undefined, now: number): number | undefined {
  if (value === undefined || value === null) return undefined;
  const ms = /^\s*\d+(\.\d+)?\s*$/.test(value) ? Number(value) * 1000 : Date.parse(value) - now;
  return Number.isNaN(ms) ? undefined : Math.max(ms, 0);
}
