// Where a push may go. Endpoint addresses of Web Push and WNS come from devices, that is from strangers: without a check they could make
// us post to services inside our own network (SSRF).

import { BlockList, isIPv6 } from 'node:net';

const inside = new BlockList();
for (const [address, prefix] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['224.0.0.0', 3],
] as const)
  inside.addSubnet(address, prefix, 'ipv4');
for (const [address, prefix] of [
  ['::', 128],
  ['::1', 128],
  ['64:ff9b::', 96],
  ['64:ff9b:1::', 48],
  ['2002::', 16],
  ['fc00::', 7],
  ['fe80::', 10],
  ['ff00::', 8],
] as const)
  inside.addSubnet(address, prefix, 'ipv6');

/** Why this address must not be connected to, or undefined. IPv4 in IPv6 (`::ffff:a.b.c.d`) is judged as IPv4. */
export function privateAddress(address: string): string | undefined {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  const plain = mapped ?? address.split('%')[0]!;
  return inside.check(plain, isIPv6(plain) ? 'ipv6' : 'ipv4') ? `${plain} is not a public address` : undefined;
}
