// What the text of a setting may be. A kind turns text into a value or says what it wants instead.

export type Kind<T> = {
  /** Shown after the flag in help: `--port <number>`. */
  readonly shows: string;
  readonly unit?: string;
  /** Throws an Error whose message completes "<name> ...". */
  readonly parse: (text: string) => T;
};

export function text(shows = 'text'): Kind<string> {
  return { shows, parse: (value) => value };
}

export function integer(min: number, max: number, unit?: string): Kind<number> {
  const parse = (value: string) => {
    const number = Number(value);
    if (/^\d+$/.test(value) && number >= min && number <= max) return number;
    throw new Error(`must be a whole number from ${min} to ${max}`);
  };
  return unit === undefined ? { shows: 'number', parse } : { shows: 'number', unit, parse };
}

/** 0 takes a free port. */
export const port: Kind<number> = { ...integer(0, 65_535), shows: 'port' };

export function choice<const C extends string>(...choices: readonly C[]): Kind<C> {
  return {
    shows: choices.join('|'),
    parse: (value) => {
      const found = choices.find((known) => known === value);
      if (found !== undefined) return found;
      throw new Error(`must be one of ${choices.join(', ')}`);
    },
  };
}

/** An address of one of these schemes, without a slash at its end. */
export function url(...schemes: readonly string[]): Kind<string> {
  return {
    shows: 'url',
    parse: (value) => {
      const scheme = URL.canParse(value) ? new URL(value).protocol.slice(0, -1) : undefined;
      if (scheme !== undefined && schemes.includes(scheme)) return value.replace(/\/+$/, '');
      throw new Error(`must be a URL that begins with ${schemes.map((name) => `${name}://`).join(' or ')}`);
    },
  };
}

/** Origins such as https://app.example.org, separated by commas; * for all. */
export const origins: Kind<readonly string[]> = {
  shows: 'origins',
  parse: (value) => {
    const list = value.split(',').map((origin) => origin.trim());
    if (list.every((origin) => origin === '*' || (URL.canParse(origin) && new URL(origin).origin === origin)))
      return list;
    throw new Error('must be origins such as https://app.example.org, separated by commas, or *');
  },
};

/** What libpq takes; more than a URL may be, because the host may be absent: postgres://user@/name?host=/socket/folder */
export const databaseUrl: Kind<string> = {
  shows: 'url',
  parse: (value) => {
    if (/^postgres(ql)?:\/\/./.test(value)) return value;
    throw new Error('must be a URL that begins with postgres:// or postgresql://');
  },
};

/** A key that programs send: long enough not to be guessed, and safe in a header. */
export function secretKey(minLength: number): Kind<string> {
  return {
    shows: 'key',
    parse: (value) => {
      if (value.length >= minLength && /^[\x21-\x7e]+$/.test(value)) return value;
      throw new Error(`must be at least ${minLength} printable ASCII characters without spaces`);
    },
  };
}

/** `Name <address>` or an address. */
export const mailbox: Kind<string> = {
  shows: 'address',
  parse: (value) => {
    if (/^([^<>@]+<[^\s<>@]+@[^\s<>@]+>|[^\s<>@]+@[^\s<>@]+)$/.test(value)) return value;
    throw new Error('must be a mail address, or a name and <address>');
  },
};
