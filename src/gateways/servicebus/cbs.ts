// `$cbs`: clients put a token per entity, and put it again before it expires. A missing entity is answered here, in the
// words by which clients know it; told only at the attach, a JavaScript sender would try for minutes.
import { Refusal } from '../../kit/refusal.ts';
import { parseAddress, seekEntity, type Topics } from './address.ts';
import type { AmqpValue } from './amqp/decode.ts';
import * as to from './amqp/encode.ts';
import type { WireReply, WireRequest } from './amqp/request.ts';
import { type Authority, type Grant, pathOfUri } from './authority.ts';
import { statusOf, type Tell } from './errors.ts';

export type CbsDeps = {
  readonly authority: Authority;
  readonly topics: Topics;
  readonly grant: (grant: Grant) => void;
  readonly tell: Tell;
};

/** Handles `put-token`; the grant is in force when the reply is made. */
export async function answerCbs(deps: CbsDeps, request: WireRequest): Promise<WireReply> {
  try {
    const { operation, type, name } = textsOf(request.properties);
    if (operation !== 'put-token') throw new Refusal('method_not_allowed', `$cbs has no operation "${operation}".`);
    const audience = name ?? '';
    const token = textOf(request.body);
    deps.grant(await grantFor(deps.authority, type ?? '', token, audience));
    const address = parseAddress(pathOfUri(audience));
    if (address.entity !== '') await seekEntity(deps.topics, address);
    return reply(202, 'Accepted');
  } catch (error) {
    const { condition, description } = deps.tell(error);
    return reply(statusOf(error), description, condition);
  }
}

/** Python's Event Hubs client says `jwt` of every token, so what a signature looks like counts more than its type. */
function grantFor(authority: Authority, type: string, token: string, audience: string): Promise<Grant> {
  if (type.endsWith(':sastoken') || token.startsWith('SharedAccessSignature ')) return authority.bySas(token, audience);
  if (type === 'jwt' || type === 'amqp:jwt') return authority.byBearer(token, audience);
  throw new Refusal('key_missing', `Tokens of type "${type.slice(0, 100)}" are not accepted.`);
}

function reply(status: number, description: string, condition?: string): WireReply {
  const properties: [string, to.Encoded][] = [
    ['status-code', to.int(status)],
    ['status-description', to.string(description)],
  ];
  if (condition !== undefined) properties.push(['error-condition', to.symbol(condition)]);
  return { properties, body: to.nothing() };
}

function textsOf(properties: ReadonlyMap<string, AmqpValue>): { [name in 'operation' | 'type' | 'name']?: string } {
  return {
    operation: textOf(properties.get('operation')),
    type: textOf(properties.get('type')),
    name: textOf(properties.get('name')),
  };
}

function textOf(value: AmqpValue | undefined): string {
  if (Buffer.isBuffer(value)) return value.toString('utf8');
  return value === null || value === undefined || typeof value === 'object' ? '' : String(value);
}
