// LIKE without regular expressions: the pattern is cut at its % signs into runs, and the runs are looked for from left
// to right. The leftmost place is always good enough for a run between two %, so there is nothing to go back to: the
// cost is at most length of text x length of pattern. `_` is one UTF-16 unit, as a .NET char is.

export type Matcher = (text: string) => boolean;

/** Characters to find in a row; `undefined` stands for `_`. `text` is set when there is no `_` in it. */
type Run = { readonly units: readonly (number | undefined)[]; readonly text: string | undefined };

const PERCENT = 37;
const UNDERSCORE = 95;

/** undefined if the pattern ends with its escape character: then there is nothing that it escapes. */
export function likeMatcher(pattern: string, escapeSign: string | undefined): Matcher | undefined {
  const runs = cut(pattern, escapeSign?.charCodeAt(0));
  if (!runs) return undefined;
  const first = runs[0]!;
  if (runs.length === 1) return whole(first);
  const last = runs[runs.length - 1]!;
  const middle = runs.slice(1, -1).filter((run) => run.units.length > 0);
  const shortest = runs.reduce((sum, run) => sum + run.units.length, 0);
  if (middle.length === 0) return (text) => text.length >= shortest && startsWith(text, first) && endsWith(text, last);
  return (text) =>
    text.length >= shortest && startsWith(text, first) && endsWith(text, last) && holds(text, first, middle, last);
}

function cut(pattern: string, escapeUnit: number | undefined): Run[] | undefined {
  const runs: (number | undefined)[][] = [[]];
  for (let i = 0; i < pattern.length; i++) {
    const unit = pattern.charCodeAt(i);
    if (unit === escapeUnit) {
      if (++i === pattern.length) return undefined;
      runs.at(-1)!.push(pattern.charCodeAt(i));
    } else if (unit === PERCENT) runs.push([]);
    else runs.at(-1)!.push(unit === UNDERSCORE ? undefined : unit);
  }
  return runs.map(asRun);
}

function asRun(units: readonly (number | undefined)[]): Run {
  const plain = units.every((unit) => unit !== undefined);
  return { units, text: plain ? units.map((unit) => String.fromCharCode(unit!)).join('') : undefined };
}

function whole(run: Run): Matcher {
  const { text: plain, units } = run;
  if (plain !== undefined) return (text) => text === plain;
  return (text) => text.length === units.length && fits(text, 0, units);
}

function startsWith(text: string, run: Run): boolean {
  return run.text !== undefined ? text.startsWith(run.text) : fits(text, 0, run.units);
}

function endsWith(text: string, run: Run): boolean {
  return run.text !== undefined ? text.endsWith(run.text) : fits(text, text.length - run.units.length, run.units);
}

/** Whether the middle runs stand one after the other between the first and the last. */
function holds(text: string, first: Run, middle: readonly Run[], last: Run): boolean {
  const end = text.length - last.units.length;
  let at = first.units.length;
  for (const run of middle) {
    const found = find(text, run, at, end - run.units.length);
    if (found === -1) return false;
    at = found + run.units.length;
  }
  return true;
}

/** The first place from `from` up to `to` where the run stands, or -1. */
function find(text: string, run: Run, from: number, to: number): number {
  if (run.text !== undefined) {
    const found = text.indexOf(run.text, from);
    return found <= to ? found : -1;
  }
  for (let at = from; at <= to; at++) if (fits(text, at, run.units)) return at;
  return -1;
}

function fits(text: string, at: number, units: readonly (number | undefined)[]): boolean {
  for (let i = 0; i < units.length; i++) {
    if (units[i] !== undefined && text.charCodeAt(at + i) !== units[i]) return false;
  }
  return true;
}
