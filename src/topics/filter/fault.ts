// A filter that cannot be evaluated on a message gives a fault: a value, not an exception, because one bad message may
// meet thousands of filters. The caller decides what a fault means (a subscription may dead-letter the message).

export type FaultCode =
  | 'no_such_system_property'
  | 'types_differ'
  | 'not_a_condition'
  | 'division_by_zero'
  | 'overflow'
  | 'too_long'
  | 'bad_pattern'
  | 'read_only';

/** `position` is the place in the text, from 0. Faults of fixed text are made once, when the filter is compiled. */
export class FilterFault {
  readonly code: FaultCode;
  readonly message: string;
  readonly position: number;

  constructor(code: FaultCode, message: string, position: number) {
    this.code = code;
    this.message = message;
    this.position = position;
  }
}
