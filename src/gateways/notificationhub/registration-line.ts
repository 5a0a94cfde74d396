// A registration as a line of a job's file.

import { newRegistrationId } from '../../hub/bulk.ts';
import type { LineForm } from '../../hub/job-worker.ts';
import { printRegistrationLine, readRegistrationId, readRegistrationLine } from './registration-xml.ts';

export const registrationLine: LineForm = {
  read: (line, deletion) =>
    deletion
      ? { id: readRegistrationId(line) }
      : { device: { kind: 'registration', installation: readRegistrationLine(line, newRegistrationId) } },
  write: printRegistrationLine,
};
