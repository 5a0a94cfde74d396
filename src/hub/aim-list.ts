// Aims in columns: to whom, what, and what becomes of it later is looked up by these few numbers. A broadcast goes through here with
// every device; an object and three texts for each of them cost more than all that is done with them.

import { Bytes, copyBytes, crc32Of, sameBytes } from './bytes.ts';
import type { Platform, PushList } from './drivers/driver.ts';
import type { PushChannel } from './installation.ts';
import { addressText } from './targets.ts';

/** A push as it is meant. */
export type Aim = {
  readonly platform: Platform;
  readonly address: PushChannel;
  readonly handle: string;
  readonly payload: string;
  readonly headers: Headers;
  /** Undefined for an address that no device of ours is known by. */
  readonly deviceId: string | undefined;
  /** Which of several pushes to the device: empty, or the name of the template, with that of the tile before it. */
  readonly part: string;
};
export type Headers = Readonly<Record<string, string>>;

/** What many aims have in common; those of one kind share a plan of the driver. */
export type AimKind = Pick<Aim, 'platform' | 'headers' | 'part'>;
/** What payloads are made of; see PushList. */
export type Form = object | undefined;

// Where its spans stand in the row of an aim. A device without an id of ours has none.
const idStart = 0;
const idEnd = 1;
const handleStart = 2;
const handleEnd = 3;
const addressStart = 4;
const addressEnd = 5;
const payloadStart = 6;
const payloadEnd = 7;
const columns = 8;
const nowhere = [-1, -1] as const;

export class AimList {
  length = 0;
  /** Ids, addresses and payloads. A payload is written to its end before `add` is told. */
  readonly bytes = new Bytes(128 * 1024);
  readonly kinds: AimKind[] = [];
  #spans = new Int32Array(512 * columns);
  /** Places among `kinds` and `#forms`. */
  #kinds = new Int32Array(512);
  #formOf = new Int32Array(512);
  readonly #forms: Form[] = [undefined];
  /** The device that is aimed at. */
  readonly #device = new Int32Array(6);
  /** The last text of a kind, which others may have as well. */
  readonly #shared: { readonly text: string; readonly start: number; readonly end: number }[] = [];

  static of(aims: readonly Aim[]): AimList {
    const list = new AimList();
    for (const { platform, address, handle, payload, headers, deviceId, part } of aims) {
      list.aimAt(deviceId, handle, address);
      list.addText({ platform, headers, part }, undefined, payload);
    }
    return list;
  }

  clear(): void {
    this.length = 0;
    this.bytes.length = 0;
    this.kinds.length = 0;
    this.#forms.length = 1;
    this.#shared.length = 0;
  }

  /** The next ones are for this device. */
  aimAt(id: string | undefined, handle: string, address: PushChannel): void {
    const own = id === undefined ? nowhere : this.#append(id);
    const known = this.#append(handle);
    const full = typeof address === 'string' ? known : this.#append(addressText(address));
    this.#device.set([...own, ...known, ...full]);
  }

  /** The same for one whose id and address, a text, stand in `from`. */
  aimAtBytes(from: Bytes, id: number, endOfId: number, address: number, endOfAddress: number): void {
    const { bytes } = this;
    bytes.reserve(endOfId - id + endOfAddress - address);
    const at = bytes.length;
    const between = at + endOfId - id;
    const end = between + endOfAddress - address;
    copyBytes(from, id, endOfId, bytes, at);
    copyBytes(from, address, endOfAddress, bytes, between);
    bytes.length = end;
    const device = this.#device;
    device[idStart] = at;
    device[idEnd] = between;
    device[handleStart] = between;
    device[handleEnd] = end;
    device[addressStart] = between;
    device[addressEnd] = end;
  }

  /** A push whose payload was written to the end of `bytes`, from `start` on. */
  add(kind: AimKind, form: Form, start: number): void {
    this.#add(this.#placeOf(kind), form, start, this.bytes.length);
  }

  addText(kind: AimKind, form: Form, payload: string): void {
    const place = this.#placeOf(kind);
    let shared = this.#shared[place];
    if (shared?.text !== payload) {
      const [start, end] = this.#append(payload);
      shared = { text: payload, start, end };
      this.#shared[place] = shared;
    }
    this.#add(place, form, shared.start, shared.end);
  }

  /** Each as an object. */
  all(): Aim[] {
    return Array.from({ length: this.length }, (_, index) => this.#aimAt(index));
  }

  kindAt(index: number): AimKind {
    return this.kinds[this.#kinds[index]!]!;
  }

  /** The place of its kind among `kinds`. */
  placeOfKind(index: number): number {
    return this.#kinds[index]!;
  }

  formAt(index: number): Form {
    return this.#forms[this.#formOf[index]!];
  }

  addressStart(index: number): number {
    return this.#spans[index * columns + addressStart]!;
  }

  addressEnd(index: number): number {
    return this.#spans[index * columns + addressEnd]!;
  }

  payloadStart(index: number): number {
    return this.#spans[index * columns + payloadStart]!;
  }

  payloadEnd(index: number): number {
    return this.#spans[index * columns + payloadEnd]!;
  }

  deviceId(index: number): string | undefined {
    const row = index * columns;
    const start = this.#spans[row + idStart]!;
    return start < 0 ? undefined : this.bytes.slice(start, this.#spans[row + idEnd]!);
  }

  handle(index: number): string {
    const row = index * columns;
    return this.bytes.slice(this.#spans[row + handleStart]!, this.#spans[row + handleEnd]!);
  }

  /** Four bytes that tell whose it is: the CRC-32 of the device's id, or of its address. */
  mark(index: number): number {
    const row = index * columns + (this.#spans[index * columns + idStart]! < 0 ? handleStart : idStart);
    return crc32Of(this.bytes, this.#spans[row]!, this.#spans[row + 1]!);
  }

  /** A number that is the same for equal addresses. */
  hash(index: number): number {
    const row = index * columns;
    const from = this.#spans[row + handleStart]!;
    const to = this.#spans[row + handleEnd]!;
    let hash = to - from;
    // Addresses differ at their ends, if anywhere.
    for (let at = to - 4; at >= Math.max(from, to - 16); at -= 4)
      hash = Math.imul(hash ^ this.bytes.view.getInt32(at), 0x9e37_79b1);
    return hash ^ (hash >>> 15);
  }

  /** Whether both push the same to the same address. */
  isSame(one: number, other: number): boolean {
    return this.#sameSpan(one, other, handleStart) && this.#sameSpan(one, other, payloadStart);
  }

  #sameSpan(one: number, other: number, column: number): boolean {
    const [a, b] = [one * columns + column, other * columns + column];
    const [start, end, from] = [this.#spans[a]!, this.#spans[a + 1]!, this.#spans[b]!];
    if (end - start !== this.#spans[b + 1]! - from) return false;
    return start === from || sameBytes(this.bytes, start, end, this.bytes, from);
  }

  #append(text: string): [start: number, end: number] {
    const start = this.bytes.length;
    this.bytes.text(text);
    return [start, this.bytes.length];
  }

  #aimAt(index: number): Aim {
    const handle = this.handle(index);
    const address = this.bytes.slice(this.addressStart(index), this.addressEnd(index));
    // An address that is a text is its own handle, and may look like anything.
    const isText = this.addressEnd(index) === this.#spans[index * columns + handleEnd];
    return {
      ...this.kindAt(index),
      address: isText ? handle : (JSON.parse(address) as PushChannel),
      handle,
      payload: this.bytes.slice(this.payloadStart(index), this.payloadEnd(index)),
      deviceId: this.deviceId(index),
    };
  }

  #placeOf(kind: AimKind): number {
    const last = this.length === 0 ? -1 : this.#kinds[this.length - 1]!;
    if (this.kinds[last] === kind) return last;
    const known = this.kinds.findIndex((each) => isSameKind(each, kind));
    return known >= 0 ? known : this.kinds.push(kind) - 1;
  }

  #placeOfForm(form: Form): number {
    const last = this.length === 0 ? 0 : this.#formOf[this.length - 1]!;
    if (this.#forms[last] === form) return last;
    const known = this.#forms.indexOf(form);
    return known >= 0 ? known : this.#forms.push(form) - 1;
  }

  #add(kind: number, form: Form, start: number, end: number): void {
    if (this.length === this.#kinds.length) this.#grow();
    const row = this.length * columns;
    for (let column = 0; column < payloadStart; column += 1) this.#spans[row + column] = this.#device[column]!;
    this.#spans[row + payloadStart] = start;
    this.#spans[row + payloadEnd] = end;
    this.#formOf[this.length] = this.#placeOfForm(form);
    this.#kinds[this.length] = kind;
    this.length += 1;
  }

  #grow(): void {
    this.#spans = doubled(this.#spans);
    this.#kinds = doubled(this.#kinds);
    this.#formOf = doubled(this.#formOf);
  }
}

function doubled(old: Int32Array): Int32Array<ArrayBuffer> {
  const column = new Int32Array(old.length * 2);
  column.set(old);
  return column;
}

function isSameKind(a: AimKind, b: AimKind): boolean {
  return a.platform === b.platform && a.headers === b.headers && a.part === b.part;
}

/** Aims of one kind, as the drivers take them: those at `places`. */
export class AimGroup implements PushList {
  readonly bytes: Bytes;
  readonly kind: AimKind;
  readonly places: readonly number[];
  readonly #aims: AimList;

  constructor(aims: AimList, kind: AimKind, places: readonly number[]) {
    this.bytes = aims.bytes;
    this.kind = kind;
    this.places = places;
    this.#aims = aims;
  }

  get length(): number {
    return this.places.length;
  }

  form(index: number): Form {
    return this.#aims.formAt(this.places[index]!);
  }

  addressStart(index: number): number {
    return this.#aims.addressStart(this.places[index]!);
  }

  addressEnd(index: number): number {
    return this.#aims.addressEnd(this.places[index]!);
  }

  payloadStart(index: number): number {
    return this.#aims.payloadStart(this.places[index]!);
  }

  payloadEnd(index: number): number {
    return this.#aims.payloadEnd(this.places[index]!);
  }

  /** All alike: the plan says what a push replaces. */
  id(): undefined {
    return undefined;
  }

  collapseId(): undefined {
    return undefined;
  }
}
