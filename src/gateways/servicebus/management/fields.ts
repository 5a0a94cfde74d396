// The body of a management request: a map whose values are read by name and kind. A value of another kind is the
// client's mistake and is refused with its name.
import { Refusal } from '../../../kit/refusal.ts';
import { AmqpSymbol, AmqpUuid, type AmqpValue, textEntries } from '../amqp/decode.ts';

export class Fields {
  readonly #values: ReadonlyMap<string, AmqpValue>;

  constructor(body: AmqpValue) {
    this.#values = new Map(textEntries(body));
  }

  value(name: string): AmqpValue {
    return this.#values.get(name) ?? null;
  }

  text(name: string): string | undefined {
    const value = this.value(name);
    if (value === null) return undefined;
    if (value instanceof AmqpSymbol) return value.text;
    if (typeof value !== 'string') throw wrong(name, 'a string');
    return value;
  }

  requiredText(name: string): string {
    const value = this.text(name);
    if (value === undefined) throw wrong(name, 'given');
    return value;
  }

  number(name: string, otherwise: number): number {
    const value = this.value(name);
    if (value === null) return otherwise;
    if (typeof value === 'bigint') return Number(value);
    if (typeof value !== 'number') throw wrong(name, 'a number');
    return value;
  }

  date(name: string): Date | undefined {
    const value = this.value(name);
    if (value === null) return undefined;
    if (!(value instanceof Date) || Number.isNaN(value.getTime())) throw wrong(name, 'a timestamp');
    return value;
  }

  flag(name: string): boolean {
    return this.value(name) === true;
  }

  bytes(name: string): Buffer | undefined {
    const value = this.value(name);
    if (value === null) return undefined;
    if (!Buffer.isBuffer(value)) throw wrong(name, 'binary');
    return value;
  }

  list(name: string): AmqpValue[] {
    const value = this.value(name);
    if (!Array.isArray(value)) throw wrong(name, 'a list');
    return value;
  }

  numbers(name: string): number[] {
    return this.list(name).map((value) => {
      if (typeof value === 'number') return value;
      if (typeof value === 'bigint') return Number(value);
      throw wrong(name, 'a list of numbers');
    });
  }

  /** Lock tokens, as text. */
  tokens(name: string): string[] {
    return this.list(name).map((value) => {
      if (value instanceof AmqpUuid) return value.toString();
      if (typeof value === 'string') return value;
      throw wrong(name, 'a list of UUIDs');
    });
  }
}

export function wrong(name: string, what: string): Refusal {
  const condition = 'com.microsoft:argument-error';
  return new Refusal('bad_request', `"${name}" must be ${what}.`, { condition });
}
