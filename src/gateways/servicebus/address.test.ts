// Addresses in every spelling that clients have for them.
import { describe, expect, it } from 'vitest';
import { parseAddress, pathOf } from './address.ts';
import { pathOfUri } from './authority.ts';

/** As it comes, what it names, which node of it. */
const addresses: readonly (readonly [string, string, string])[] = [
  ['orders', 'orders', 'entity'],
  ['/orders', 'orders', 'entity'],
  ['amqps://host:5671/orders', 'orders', 'entity'],
  ['sb://host/a/b/c', 'a/b/c', 'entity'],
  ['/a%2Fb', 'a/b', 'entity'],
  ['/hr/Subscriptions/gr%C3%B6%C3%9Fe', 'hr/Subscriptions/größe', 'entity'],
  ['HR/SUBSCRIPTIONS/audit', 'HR/Subscriptions/audit', 'entity'],
  ['hr/subscriptions/audit/$deadletterqueue', 'hr/Subscriptions/audit/$DeadLetterQueue', 'entity'],
  ['orders/$Transfer/$DeadLetterQueue', 'orders/$Transfer/$DeadLetterQueue', 'entity'],
  ['orders/$management', 'orders', 'management'],
  ['orders/$DeadLetterQueue/$management', 'orders/$DeadLetterQueue', 'management'],
  ['amqps://host/hr/Subscriptions/audit/$management', 'hr/Subscriptions/audit', 'management'],
  ['$management', '', 'management'],
  ['$cbs', '', 'cbs'],
  ['/$CBS', '', 'cbs'],
  ['hub/ConsumerGroups/$default/Partitions/3', 'hub/ConsumerGroups/$default/Partitions/3', 'entity'],
  ['100%', '100%', 'entity'],
];

describe('addresses', () => {
  it.each(addresses)('%s is %s (%s)', (text, path, node) => {
    const address = parseAddress(text);
    expect([pathOf(address), address.node]).toEqual([path, node]);
  });

  it.each([
    ['sb://host:5672/Orders', 'orders'],
    ['sb://host/', ''],
    ['amqps://host/hr/Subscriptions/Audit/$management', 'hr/subscriptions/audit'],
    ['http://host:5672/hr/subscriptions/audit?api-version=2021-05', 'hr/subscriptions/audit'],
    ['sb://host/$management', ''],
  ])('a token for %s is for "%s"', (audience, path) => {
    expect(pathOfUri(audience)).toBe(path);
  });
});
