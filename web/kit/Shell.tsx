// The frame of both pages: name, places to go, how live it is, light or dark, who is signed in.
import { Button } from '@fluentui/react-button';
import {
  DarkThemeRegular,
  PersonRegular,
  SignOutRegular,
  WeatherMoonRegular,
  WeatherSunnyRegular,
} from '@fluentui/react-icons';
import { Menu, MenuDivider, MenuItem, MenuList, MenuPopover, MenuTrigger } from '@fluentui/react-menu';
import { Tooltip } from '@fluentui/react-tooltip';
import type { ReactElement, ReactNode } from 'react';
import { post } from './api.ts';
import type { LiveState } from './live.ts';
import { type Mode, useMode } from './theme.tsx';

export type Place = {
  readonly name: string;
  readonly href: string;
  readonly current: boolean;
  readonly icon: ReactNode;
  readonly badge?: number | undefined;
  /** What the badge counts, for those who hear it. */
  readonly badgeLabel?: string;
  readonly badgeTone?: 'bad';
};

type ShellProps = {
  readonly home: string;
  readonly label: string;
  readonly places: readonly Place[];
  readonly live: LiveState;
  readonly who: string;
  /** What must be done while the person is still signed in. */
  readonly beforeLeaving?: () => Promise<void>;
  readonly children: ReactNode;
};

export function Shell({ home, label, places, live, who, beforeLeaving, children }: ShellProps) {
  return (
    <>
      <button type="button" className="skip" onClick={() => document.getElementById('main')?.focus()}>
        Skip to content
      </button>
      <header className="bar">
        <a className="brand" href={home}>
          <img src="/icon.svg" alt="" width={28} height={28} />
          <span className="brand-name">Carillon</span>
          <span className="brand-label">{label}</span>
        </a>
        <nav className="places" aria-label="Main">
          {places.map((place) => (
            <PlaceLink key={place.href} place={place} />
          ))}
        </nav>
        <div className="bar-end">
          <Live state={live} />
          <ModeButton />
          <PersonMenu who={who} beforeLeaving={beforeLeaving} />
        </div>
      </header>
      <main id="main" tabIndex={-1}>
        {children}
      </main>
    </>
  );
}

function PlaceLink({ place }: { readonly place: Place }) {
  const { name, href, current, icon, badge, badgeLabel, badgeTone } = place;
  return (
    <a className="place" href={href} aria-current={current ? 'page' : undefined}>
      <span className="place-icon">{icon}</span>
      <span className="place-name">{name}</span>
      {badge ? (
        <span className={badgeTone ? `badge badge-${badgeTone}` : 'badge'}>
          <span aria-hidden="true">{badge > 99 ? '99+' : badge}</span>
          <span className="unseen-text">
            {badge} {badgeLabel}
          </span>
        </span>
      ) : null}
    </a>
  );
}

const liveWords: Record<LiveState, readonly [string, string]> = {
  connecting: ['Connecting', 'Connecting to the server'],
  live: ['Live', 'Connected: what happens shows at once'],
  waiting: ['Reconnecting', 'The connection is cut. It comes back by itself, and nothing is missed.'],
  signedOut: ['Signed out', 'Your session has ended'],
};

function Live({ state }: { readonly state: LiveState }) {
  const [word, explanation] = liveWords[state];
  return (
    <Tooltip content={explanation} relationship="description">
      <span className={`live live-${state}`} role="status">
        <span className="live-dot" />
        <span className="live-word">{word}</span>
      </span>
    </Tooltip>
  );
}

const modes: Record<Mode, { readonly next: Mode; readonly words: string; readonly icon: ReactElement }> = {
  system: { next: 'light', words: 'Colours follow your system', icon: <DarkThemeRegular /> },
  light: { next: 'dark', words: 'Light colours', icon: <WeatherSunnyRegular /> },
  dark: { next: 'system', words: 'Dark colours', icon: <WeatherMoonRegular /> },
};

export function ModeButton() {
  const { mode, setMode } = useMode();
  const { next, words, icon } = modes[mode];
  return (
    <Tooltip content={`${words}. Press to change.`} relationship="label">
      <Button appearance="subtle" icon={icon} onClick={() => setMode(next)} />
    </Tooltip>
  );
}

function PersonMenu({
  who,
  beforeLeaving,
}: Pick<ShellProps, 'who'> & { readonly beforeLeaving: ShellProps['beforeLeaving'] | undefined }) {
  return (
    <Menu positioning="below-end">
      <MenuTrigger disableButtonEnhancement>
        <Button appearance="subtle" icon={<PersonRegular />} aria-label={`Signed in as ${who}`} />
      </MenuTrigger>
      <MenuPopover>
        <p className="menu-who">
          Signed in as <strong>{who}</strong>
        </p>
        <MenuList>
          <MenuDivider />
          <MenuItem icon={<SignOutRegular />} onClick={() => void signOut(beforeLeaving)}>
            Sign out
          </MenuItem>
        </MenuList>
      </MenuPopover>
    </Menu>
  );
}

async function signOut(beforeLeaving?: () => Promise<void>): Promise<void> {
  await beforeLeaving?.();
  await post('/v1/sign-out').catch(() => undefined); // the page that follows shows whether it worked
  window.location.reload();
}
