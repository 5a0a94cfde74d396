// What the bench and its clients tell each other.

export type ToClients = { readonly urls: readonly string[] };
export type FromClients =
  | { readonly kind: 'open'; readonly count: number }
  /** The text of what came, and when, in milliseconds since 1970 with fractions. */
  | { readonly kind: 'heard'; readonly text: string; readonly at: number };
