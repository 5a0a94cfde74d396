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

  /** A whole number; one that is beyond what a number of ours can be is as good as the largest. */
  whole(name: string, otherwise: number): number {
    const value = this.value(name);
    if (value === null) return otherwise;
    if (typeof value === 'bigint') return value < 0n ? Number.MIN_SAFE_INTEGER : Number.MAX_SAFE_INTEGER;
    if (typeof value !== 'number' || !Number.isSafeInteger(value)) throw wrong(name, 'a whole number');
    return value;
  }

  /** How many, or how many to pass over. */
  count(name: string, otherwise: number, least = 0): number {
    const value = this.whole(name, otherwise);
    if (value < least) throw wrong(name, `a whole number, ${least} or more`);
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

  /** Numbers of messages. One that no message can have is refused as that of a message which is not there. */
  sequences(name: string): number[] {
    return this.list(name).map((value) => {
      if (typeof value !== 'number' && typeof value !== 'bigint') throw wrong(name, 'a list of numbers');
      if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
      throw new Refusal('message_not_found', `There is no message ${value}.`);
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
