// A title and a text for everybody, in the own form of each platform: a native send for each that the hub can push to.

import type { Message } from './aims.ts';
import type { Platform } from './drivers/driver.ts';
import { payloads } from './drivers/payloads.ts';

/** `platforms`: those that the hub has credentials for. */
export function noticeMessages(
  text: { readonly title: string; readonly body?: string | undefined; readonly link?: string | undefined },
  platforms: readonly Platform[],
  id: string,
): Extract<Message, { kind: 'native' }>[] {
  const { title, body, link } = text;
  const card = {
    title,
    ...(body === undefined ? {} : { body }),
    ...(link === undefined ? {} : { link: { label: title, url: link } }),
  };
  return platforms.map((platform) => {
    const { payload, headers } = payloads[platform]({ noticeId: id, card });
    return { kind: 'native', platform, body: payload, headers };
  });
}
