// The sessions that the links of one connection hold, by path and session id: requests about a session come on another
// link than the one that locked it.
import type { Receiver } from '../../topics/receive/receiver.ts';

export type SessionLocks = Map<string, Receiver>;

export function sessionKey(path: string, session: string): string {
  return `${path.toLowerCase()}\n${session}`;
}
