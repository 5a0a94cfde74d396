// JSON of a request, no deeper than anybody writes it.

import { parseJson } from '../../events/json.ts';

const mostDepth = 32;

/** Throws Refusal('bad_request'), which names the place of the fault. */
export function readJson(text: string, what = 'The body'): unknown {
  return parseJson(text, mostDepth, what);
}
