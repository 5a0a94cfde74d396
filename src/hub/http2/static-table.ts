// HPACK's static table (RFC 7541 appendix A): 61 names and values, counted from 1.

export const staticNames: readonly string[] = [
  '',
  ':authority',
  ':method',
  ':method',
  ':path',
  ':path',
  ':scheme',
  ':scheme',
  ':status',
  ':status',
  ':status',
  ':status',
  ':status',
  ':status',
  ':status',
  'accept-charset',
  'accept-encoding',
  'accept-language',
  'accept-ranges',
  'accept',
  'access-control-allow-origin',
  'age',
  'allow',
  'authorization',
  'cache-control',
  'content-disposition',
  'content-encoding',
  'content-language',
  'content-length',
  'content-location',
  'content-range',
  'content-type',
  'cookie',
  'date',
  'etag',
  'expect',
  'expires',
  'from',
  'host',
  'if-match',
  'if-modified-since',
  'if-none-match',
  'if-range',
  'if-unmodified-since',
  'last-modified',
  'link',
  'location',
  'max-forwards',
  'proxy-authenticate',
  'proxy-authorization',
  'range',
  'referer',
  'refresh',
  'retry-after',
  'server',
  'set-cookie',
  'strict-transport-security',
  'transfer-encoding',
  'user-agent',
  'vary',
  'via',
  'www-authenticate',
];

const values: Readonly<Record<number, string>> = {
  2: 'GET',
  3: 'POST',
  4: '/',
  5: '/index.html',
  6: 'http',
  7: 'https',
  8: '200',
  9: '204',
  10: '206',
  11: '304',
  12: '400',
  13: '404',
  14: '500',
  16: 'gzip, deflate',
};

export const staticCount = 61;
export const staticValues: readonly string[] = staticNames.map((_, index) => values[index] ?? '');

/** The first index that has the name. */
export const staticNameIndex: ReadonlyMap<string, number> = new Map(
  staticNames
    .map((name, index) => [name, index] as const)
    .slice(1)
    .reverse(),
);

/** `name\0value` -> index. */
export const staticFieldIndex: ReadonlyMap<string, number> = new Map(
  staticNames
    .map((name, index) => [`${name}\0${staticValues[index]}`, index] as const)
    .slice(1)
    .reverse(),
);
