// A registration as a line of a job's file.

import { newRegistrationId } from '../../hub/bulk.ts';
import type { LineForm } from '../../hub/job-worker.ts';
import type { TagLimits } from '../../hub/tags.ts';
import { printRegistrationLine, readRegistrationId, readRegistrationLine } from './registration-xml.ts';

export function registrationLine(limits: TagLimits): LineForm {
  return {
    read: (line, deletion) =>
      deletion
        ? { id: readRegistrationId(line) }
        : { device: { kind: 'registration', installation: readRegistrationLine(line, newRegistrationId, limits) } },
    write: printRegistrationLine,
  };
}
