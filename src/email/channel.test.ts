import { afterEach, describe, expect, it } from 'vitest';
import { type MailHooks, MailServer, Reply } from '../../test/support/mail-server.ts';
import type { ClaimedDelivery } from '../deliveries/channel.ts';
import { EmailChannel, type EmailOptions } from './channel.ts';
import type { Letter } from './letter.ts';
import { verifyUnsubscribe } from './unsubscribe.ts';

const KEYS: EmailOptions['unsubscribeKeys'] = [Buffer.alloc(32, 7)];
const at = new Date('2026-01-01T00:00:00Z');

function delivery(id: string, over: Partial<ClaimedDelivery> = {}): ClaimedDelivery {
  const key = { id: `dlv_${id}`, noticeId: `ntc_${id}`, recipientId: 'ada', channel: 'email' as const };
  const rest = { urgency: 'normal' as const, attempt: 1, failures: 0, plannedFor: at, dueAt: at };
  return { ...key, endpoint: `${id}@example.org`, ...rest, ...over };
}

describe('the mail channel', () => {
  const open: { kill?: () => Promise<void>; stop?: () => void }[] = [];

  afterEach(async () => {
    for (const each of open.splice(0).reverse()) {
      each.stop?.();
      await each.kill?.();
    }
  });

  async function server(hooks: MailHooks = {}): Promise<MailServer> {
    const started = await MailServer.start(hooks);
    open.push(started);
    return started;
  }

  function channel(smtpUrl: string, more: Partial<EmailOptions> & { letter?: Partial<Letter> } = {}): EmailChannel {
    const made = new EmailChannel({
      smtpUrl,
      from: 'Carillon <no-reply@carillon.example>',
      publicUrl: 'https://carillon.example',
      unsubscribeKeys: KEYS,
      letters: async (deliveries) => new Map(deliveries.map((each) => [each.id, letterOf(each, more.letter)])),
      ...more,
    });
    open.push(made);
    return made;
  }

  function letterOf({ noticeId, recipientId }: ClaimedDelivery, over: Partial<Letter> = {}): Letter {
    return { card: { title: 'Grüße: a new colleague' }, category: 'hr', noticeId, recipientId, ...over };
  }

  it('sends text and HTML with the headers that mail clients and gateways look for', async () => {
    const smtp = await server();
    const outcomes = await channel(smtp.url, { letter: { recipientName: 'Ada <x@y> "L"' } }).deliver([
      delivery('ada', { urgency: 'high' }),
    ]);
    expect(outcomes).toMatchObject([{ kind: 'delivered', providerId: expect.stringMatching(/^250/) }]);
    const { headers, raw, to, from } = smtp.accepted[0]!;
    expect({ from, to }).toEqual({ from: 'no-reply@carillon.example', to: ['ada@example.org'] });
    expect(headers.get('message-id')).toBe('<dlv_ada@carillon.example>');
    expect(headers.get('content-type')).toContain('multipart/alternative');
    expect(raw).toMatch(/text\/plain; charset=utf-8[\s\S]*text\/html; charset=utf-8/);
    expect(headers.get('auto-submitted')).toBe('auto-generated');
    expect(headers.get('list-id')).toBe('<hr.carillon.example>');
    expect(headers.get('list-unsubscribe-post')).toBe('List-Unsubscribe=One-Click');
    expect(headers.get('x-priority')).toContain('1');
    const link = /^<https:\/\/carillon\.example\/v1\/unsubscribe\/(\S+)>$/.exec(headers.get('list-unsubscribe')!);
    expect(verifyUnsubscribe(link![1]!, KEYS)).toEqual({ recipientId: 'ada', category: 'hr' });
  });

  it('lets no text of a card or a name become a header', async () => {
    const smtp = await server();
    const evil = 'x\r\nBcc: eve@example.org\r\nX-Evil: 1';
    const letter = { card: { title: evil }, category: evil, recipientName: evil };
    await channel(smtp.url, { letter }).deliver([delivery('ada')]);
    const [mail] = smtp.accepted;
    expect(mail!.to).toEqual(['ada@example.org']);
    expect([...mail!.headers.keys()].filter((name) => name === 'bcc' || name === 'x-evil')).toEqual([]);
    expect(mail!.headers.get('subject')).toBe('x Bcc: eve@example.org X-Evil: 1');
  });

  it('keeps its connections', async () => {
    const smtp = await server();
    const mail = channel(smtp.url, { maxConnections: 2 });
    for (let i = 0; i < 10; i++) await mail.deliver([delivery(`a${i}`), delivery(`b${i}`)]);
    expect(smtp.accepted).toHaveLength(20);
    expect(smtp.connections).toBeLessThanOrEqual(2);
  });

  it('tells apart: taken, later, refused, unknown mailbox, no address, no letter', async () => {
    const replies: Record<string, Reply> = {
      'later@example.org': new Reply(451, '4.7.1 Greylisted'),
      'spam@example.org': new Reply(554, '5.7.1 Spam'),
      'nobody@example.org': new Reply(550, '5.1.1 <nobody@example.org>: no such user'),
    };
    const smtp = await server({
      onRecipient: (address) => {
        if (replies[address]) throw replies[address];
      },
    });
    const mail = channel(smtp.url, {
      letters: async (deliveries) =>
        new Map(deliveries.filter((each) => each.id !== 'dlv_forgotten').map((each) => [each.id, letterOf(each)])),
    });
    const outcomes = await mail.deliver([
      delivery('ada'),
      delivery('later'),
      delivery('spam'),
      delivery('nobody'),
      delivery('bad', { endpoint: 'not an address' }),
      delivery('forgotten'),
    ]);
    expect(outcomes).toMatchObject([
      { kind: 'delivered' },
      { kind: 'retry', cause: 'smtp_451_4.7.1' },
      { kind: 'refused', cause: 'smtp_554_5.7.1' },
      { kind: 'gone', cause: 'smtp_550_5.1.1', detail: expect.not.stringContaining('@') },
      { kind: 'refused', cause: 'address_invalid' },
      { kind: 'refused', cause: 'notice_missing' },
    ]);
    expect(smtp.accepted).toHaveLength(1);
  });

  it('says that the channel is down when nothing listens', async () => {
    const smtp = await server();
    await smtp.kill();
    const outcomes = await channel(smtp.url).deliver([delivery('a'), delivery('b')]);
    expect(outcomes).toMatchObject([
      { kind: 'down', cause: 'smtp_unreachable', alarm: false },
      { kind: 'down', cause: 'smtp_unreachable', alarm: false },
    ]);
  });

  it('raises an alarm when the password is wrong or the sender is refused', async () => {
    const locked = await server({ login: (_user, password) => password === 'right' });
    const wrong = channel(locked.url.replace('//', '//me:wrong@'));
    expect(await wrong.deliver([delivery('a')])).toMatchObject([{ kind: 'down', cause: 'smtp_auth', alarm: true }]);
    const right = channel(locked.url.replace('//', '//me:right@'));
    expect(await right.deliver([delivery('a')])).toMatchObject([{ kind: 'delivered' }]);
    const strict = await server({
      onSender: () => {
        throw new Reply(553, '5.7.1 Sender not allowed');
      },
    });
    expect(await channel(strict.url).deliver([delivery('a')])).toMatchObject([{ kind: 'down', alarm: true }]);
  });

  it('blames the mail, not the server, when the server answers everyone else', async () => {
    const smtp = await server({
      onMail: (mail) => (mail.to[0] === 'poison@example.org' ? new Promise<void>(() => {}) : undefined),
    });
    const mail = channel(smtp.url, { sendTimeoutMs: 300 });
    const outcomes = await mail.deliver([delivery('poison'), delivery('ada')]);
    expect(outcomes).toMatchObject([{ kind: 'retry', cause: 'smtp_timeout' }, { kind: 'delivered' }]);
  });

  it('sends on when the server had closed the kept connections meanwhile', async () => {
    const smtp = await server();
    const mail = channel(smtp.url);
    expect(await mail.deliver([delivery('one')])).toMatchObject([{ kind: 'delivered' }]);
    smtp.cutAll();
    const [outcome] = await mail.deliver([delivery('two')]);
    // A connection that dies unseen costs one attempt at most; it never stops the lane.
    expect(['delivered', 'retry']).toContain(outcome!.kind);
    expect(await mail.deliver([delivery('three')])).toMatchObject([{ kind: 'delivered' }]);
  });
});
