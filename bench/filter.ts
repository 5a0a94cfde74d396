// How many messages a second the rules of one topic can judge, on one thread: 2,000 SQL filters, and 100,000 correlation
// filters. Prints figures; about 16 seconds. Run: node bench/filter.ts
import { CorrelationIndex } from '../src/topics/filter/correlation.ts';
import { compileFilter, type Filter } from '../src/topics/filter/filter.ts';
import { FilterIndex } from '../src/topics/filter/filter-index.ts';
import { type Lookup, lookupIn, type PropertyValue } from '../src/topics/filter/lookup.ts';

const seconds = 1;

/** The n-th message: ten properties, as a business event has them. */
function message(n: number): { user: Record<string, PropertyValue>; sys: Record<string, PropertyValue> } {
  return {
    user: {
      type: `order.${['placed', 'paid', 'sent'][n % 3]}`,
      store: `store-${n % 2000}`,
      quantity: n % 50,
      price: (n % 1000) / 4,
      country: ['de', 'fr', 'gb', 'us'][n % 4]!,
      express: n % 5 === 0,
      customer: `customer-${n % 100_000}`,
      channel: 'web',
      currency: 'EUR',
      version: 3,
    },
    sys: { MessageId: `m-${n}`, Subject: `subject-${n % 500}`, CorrelationId: `c-${n % 100_000}`, SessionId: null },
  };
}

const lookups: Lookup[] = Array.from({ length: 1000 }, (_, n) => {
  const { user, sys } = message(n * 97);
  return lookupIn(user, sys);
});

/** Prints messages per second of `judge`, which answers how many filters matched. */
function measure(what: string, judge: (lookup: Lookup) => number): void {
  for (let i = 0; i < 50; i++) judge(lookups[i]!);
  let messages = 0;
  let matched = 0;
  const began = performance.now();
  while (performance.now() - began < seconds * 1000) {
    for (let i = 0; i < 20; i++) matched += judge(lookups[messages++ % lookups.length]!);
  }
  const rate = messages / ((performance.now() - began) / 1000);
  const perMessage = (matched / messages).toFixed(1);
  console.log(
    `${what.padEnd(66)} ${Math.round(rate).toLocaleString('en').padStart(9)} messages/s, ${perMessage} matches each`,
  );
}

function sql(what: string, text: (n: number) => string): void {
  const filters: Filter[] = Array.from({ length: 2000 }, (_, n) => compileFilter(text(n)));
  measure(`2,000 SQL filters: ${what}`, (lookup) => {
    let matched = 0;
    for (const filter of filters) if (filter.matches(lookup)) matched++;
    return matched;
  });
  const index = new FilterIndex<number>();
  filters.forEach((filter, n) => {
    index.add(n, filter);
  });
  measure('  the same in an index', (lookup) => {
    let matched = 0;
    index.match(lookup, () => matched++);
    return matched;
  });
}

function correlation(
  what: string,
  names: boolean,
  filter: (n: number) => Parameters<CorrelationIndex<number>['add']>[1],
): void {
  const before = process.memoryUsage().heapUsed;
  const index = new CorrelationIndex<number>();
  const began = performance.now();
  for (let n = 0; n < 100_000; n++) index.add(n, filter(n));
  const took = Math.round(performance.now() - began);
  const size = Math.round((process.memoryUsage().heapUsed - before) / 2 ** 20);
  const hint = names ? new Set(Object.keys(message(0).user)) : undefined;
  measure(`100,000 correlation filters: ${what}`, (lookup) => {
    let matched = 0;
    index.match(lookup, () => matched++, hint);
    return matched;
  });
  console.log(`${''.padEnd(66)} (${took} ms to add all, about ${size} MiB)`);
}

const began = performance.now();
let compiled = 0;
while (performance.now() - began < 500) {
  compileFilter(`type = 'order.placed' AND quantity > ${compiled++ % 50} AND store IN ('a', 'b')`);
}
console.log(`compile a filter of three terms: ${Math.round(compiled * 2).toLocaleString('en')} a second\n`);

sql("store = 'store-n'", (n) => `store = 'store-${n}'`);
sql('type and quantity', (n) => `type = 'order.placed' AND quantity > ${n % 50}`);
sql('LIKE, IN, comparison', (n) => `type LIKE 'order.%' AND country IN ('de','fr') AND price < ${n % 250}`);
sql("sys.Label = 'subject-n' OR store LIKE '%-n'", (n) => `sys.Label = 'subject-${n}' OR store LIKE '%-${n}'`);
sql('arithmetic', (n) => `quantity * price + ${n} > 5000`);
console.log('');
correlation('CorrelationId', false, (n) => ({ system: { CorrelationId: `c-${n}` } }));
correlation('Subject and customer', false, (n) => ({
  system: { Subject: `subject-${n % 500}` },
  properties: { customer: `customer-${n}` },
}));
correlation('ten shapes', false, (n) => ({
  properties: Object.fromEntries([
    ['customer', `customer-${n}`],
    ...Object.entries(message(n).user).slice(n % 10, (n % 10) + 1),
  ]),
}));
correlation('100,000 property names, names known', true, (n) => ({ properties: { [`property${n}`]: 'x', type: 'y' } }));
