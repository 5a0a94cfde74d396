/** Whether a card's link may be followed: the renderer hands on whatever the card says, `javascript:` included. */
export function isSafeAddress(url: string): boolean {
  return ['https:', 'http:', 'mailto:', 'tel:'].includes(URL.parse(url)?.protocol ?? '');
}
