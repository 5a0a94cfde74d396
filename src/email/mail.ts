// A letter made into a mail: envelope, headers and both bodies.
import type { SendMailOptions } from 'nodemailer';
import type { ClaimedDelivery } from '../deliveries/channel.ts';
import { bareAddress } from './address.ts';
import { renderHtml } from './html.ts';
import { type Brand, type Letter, type LetterLinks, oneLine } from './letter.ts';
import { renderText } from './text.ts';
import { type UnsubscribeKeys, unsubscribePath } from './unsubscribe.ts';

export type MailSettings = {
  /** `Name <address>` or an address. */
  readonly from: string;
  /** Where recipients reach this server, without a slash at the end. One-click unsubscribe wants https (RFC 8058). */
  readonly publicUrl: string;
  readonly unsubscribeKeys: UnsubscribeKeys;
  readonly brand: Brand;
};

/** The mail for one delivery. The same delivery gives the same Message-ID, so that mailboxes can tell a repetition. */
export function mailOf(delivery: ClaimedDelivery, address: string, letter: Letter, settings: MailSettings) {
  const links = linksOf(letter, settings);
  return {
    from: settings.from,
    to: { name: oneLine(letter.recipientName ?? '', 100), address },
    subject: oneLine(letter.card.title),
    messageId: `<${delivery.id}@${domainOf(settings.from)}>`,
    text: renderText(letter, links, settings.brand),
    html: renderHtml(letter, links, settings.brand),
    headers: headersOf(letter, links, settings),
    ...(delivery.urgency === 'high' && { priority: 'high' as const }),
    // A card is data of someone else: nothing in it may make nodemailer read a file or fetch an address.
    disableFileAccess: true,
    disableUrlAccess: true,
  } satisfies SendMailOptions;
}

function linksOf(letter: Letter, { publicUrl, unsubscribeKeys }: MailSettings): LetterLinks {
  const { recipientId, category } = letter;
  return {
    notice: `${publicUrl}/me#/notice/${encodeURIComponent(letter.noticeId)}`,
    preferences: `${publicUrl}/me#/preferences`,
    answers: letter.answers && new Map([...letter.answers].map(([id, path]) => [id, `${publicUrl}${path}`])),
    unsubscribe: letter.mandatory
      ? undefined
      : `${publicUrl}${unsubscribePath({ recipientId, category }, unsubscribeKeys)}`,
  };
}

function headersOf(letter: Letter, links: LetterLinks, settings: MailSettings): Record<string, string> {
  const listId = letter.category.replaceAll(/[^A-Za-z0-9-]/g, '-').slice(0, 100);
  return {
    'Auto-Submitted': 'auto-generated', // RFC 3834: no vacation replies, please
    'X-Auto-Response-Suppress': 'All', // the same for Exchange
    'List-ID': `<${listId}.${domainOf(settings.from)}>`, // RFC 2919, so that mail can be sorted by category
    ...(links.unsubscribe && {
      'List-Unsubscribe': `<${links.unsubscribe}>`,
      'List-Unsubscribe-Post': 'List-Unsubscribe=One-Click', // RFC 8058
    }),
  };
}

function domainOf(from: string): string {
  return bareAddress(from).split('@').at(-1)!;
}
