// Small parts that both pages show.
import { Button } from '@fluentui/react-button';
import { ArrowClockwiseRegular, CheckmarkRegular, CopyRegular, ErrorCircleRegular } from '@fluentui/react-icons';
import { Spinner } from '@fluentui/react-spinner';
import { Tooltip } from '@fluentui/react-tooltip';
import { type CSSProperties, type ReactNode, useState } from 'react';
import { sentence } from './api.ts';

/** Waits a moment before it shows, so that quick answers do not flicker. */
export function Waiting({ what }: { readonly what: string }) {
  return (
    <div className="waiting">
      <Spinner size="small" label={`Loading ${what}`} />
    </div>
  );
}

export function Failure({
  what,
  error,
  retry,
}: {
  readonly what: string;
  readonly error: unknown;
  readonly retry?: () => void;
}) {
  return (
    <div className="note note-bad" role="alert">
      <ErrorCircleRegular className="note-icon" />
      <div className="note-text">
        <strong>Could not {what}</strong>
        <p>{sentence(error)}</p>
      </div>
      {retry && (
        <Button size="small" icon={<ArrowClockwiseRegular />} onClick={retry}>
          Try again
        </Button>
      )}
    </div>
  );
}

type EmptyProps = {
  readonly icon: ReactNode;
  readonly title: string;
  /** Its title is the page's. */
  readonly whole?: boolean;
  readonly children?: ReactNode;
};

export function Empty({ icon, title, whole = false, children }: EmptyProps) {
  const Title = whole ? 'h1' : 'h2';
  return (
    <div className="empty">
      <div className="empty-icon">{icon}</div>
      <Title>{title}</Title>
      {children}
    </div>
  );
}

/** A coloured letter: the same name has the same colour everywhere. */
export function Glyph({ name, label }: { readonly name: string; readonly label?: string }) {
  return (
    <span className="glyph" style={{ '--hue': hueOf(name) } as CSSProperties} aria-hidden="true">
      {(label ?? name).slice(0, 1).toUpperCase()}
    </span>
  );
}

export function Chip({ name, children }: { readonly name: string; readonly children?: ReactNode }) {
  return (
    <span className="chip" style={{ '--hue': hueOf(name) } as CSSProperties}>
      {children ?? name}
    </span>
  );
}

// FNV-1a, then one of 16 hues that an eye tells apart.
function hueOf(name: string): number {
  let hash = 0x811c9dc5;
  for (const char of name) hash = Math.imul(hash ^ (char.codePointAt(0) ?? 0), 0x01000193) >>> 0;
  return (((hash ^ (hash >>> 15)) >>> 0) % 16) * 22.5 + 20;
}

/** Text to be pasted into a terminal. */
export function Command({ text, label }: { readonly text: string; readonly label: string }) {
  return (
    <section className="command" aria-label={label}>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls sideways, so the keyboard must reach it */}
      <pre tabIndex={0}>
        <code>{text}</code>
      </pre>
      <CopyButton text={text} label={`Copy ${label}`} />
    </section>
  );
}

export function CopyButton({ text, label }: { readonly text: string; readonly label: string }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    await copyText(text);
    setCopied(true);
    setTimeout(() => setCopied(false), 2_000);
  };
  return (
    <Tooltip content={copied ? 'Copied' : label} relationship="label">
      <Button appearance="subtle" size="small" icon={copied ? <CheckmarkRegular /> : <CopyRegular />} onClick={copy} />
    </Tooltip>
  );
}

// `navigator.clipboard` exists on https and localhost only; a server on the company's network may be plain http.
async function copyText(text: string): Promise<void> {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.createElement('textarea');
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand('copy');
  area.remove();
}

export function JsonView({ value }: { readonly value: unknown }) {
  const text = typeof value === 'string' ? value : JSON.stringify(value, null, 2);
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls sideways, so the keyboard must reach it
    <pre className="json" tabIndex={0}>
      <code>{text}</code>
    </pre>
  );
}
