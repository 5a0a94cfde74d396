// What is pushed to a browser (src/hub/drivers/payloads.ts, webPushPayload), and how it is shown. Pure.

export type ShownPush = {
  readonly title: string;
  readonly options: NotificationOptions;
  readonly data: { readonly notice?: string; readonly link?: string };
};

/** Something must be shown for every push: browsers take the permission away from who shows nothing. */
export function parsePush(text: string | undefined): ShownPush {
  const given = membersOf(text);
  const { title, body, notice, link } = { ...given };
  const data = {
    ...(typeof notice === 'string' && { notice }),
    ...(typeof link === 'string' && isWeb(link) && { link }),
  };
  const options: NotificationOptions = {
    icon: '/me/icon-192.png',
    badge: '/me/badge-96.png',
    data,
    // A later push about the same notice takes the place of the earlier one.
    ...(data.notice !== undefined && { tag: data.notice }),
    ...(typeof body === 'string' && { body }),
  };
  return { title: typeof title === 'string' && title !== '' ? title : 'You have a new notice', options, data };
}

function membersOf(text: string | undefined): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text ?? '{}');
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return { title: text };
  }
}

function isWeb(url: string): boolean {
  return ['https:', 'http:'].includes(URL.parse(url)?.protocol ?? '');
}
