// A device as a line of a job's file: JSON, as the API shows it. What only describes its present state is ignored.

import { userOf } from '../../hub/devices.ts';
import type { LineForm } from '../../hub/job-worker.ts';
import type { TagLimits } from '../../hub/tags.ts';
import { freshId } from '../../kit/ids.ts';
import { isRecord } from '../../kit/record.ts';
import { Refusal } from '../../kit/refusal.ts';
import { installationOf, shownDevice } from './device-json.ts';

export function deviceLine(limits: TagLimits): LineForm {
  return {
    read: (line, deletion) => {
      const given = readObject(line);
      if (deletion) return { id: idOf(given) ?? missingId() };
      for (const name of ['platform', 'address'])
        if (given[name] === undefined) throw new Refusal('bad_request', `The line has no ${name}.`);
      const kind = given.kind === 'registration' ? 'registration' : 'installation';
      const installation = installationOf(given, idOf(given) ?? freshId('dev'), limits);
      if (given.label === undefined || given.label === null) return { device: { kind, installation } };
      if (typeof given.label !== 'string' || given.label === '' || given.label.length > 200)
        throw new Refusal('bad_request', 'label is a text of 200 characters at most.');
      return { device: { kind, installation, label: given.label } };
    },
    write: (device) => JSON.stringify(shownDevice(device, userOf(device))),
  };
}

function readObject(line: string): Readonly<Record<string, unknown>> {
  const value = parsed(line);
  if (!isRecord(value)) throw new Refusal('bad_request', 'The line is no JSON object.');
  return value;
}

/** Undefined for what is no JSON: Node's words for it repeat a piece of the line. */
function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

function idOf({ id }: Readonly<Record<string, unknown>>): string | undefined {
  return typeof id === 'string' && id !== '' ? id : undefined;
}

function missingId(): never {
  throw new Refusal('bad_request', 'The line has no id.');
}
