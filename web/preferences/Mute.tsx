// Peace from a category for a while: the inbox still gets it, nothing else does.
import { Button } from '@fluentui/react-button';
import { SpeakerMuteRegular } from '@fluentui/react-icons';
import { Menu, MenuItem, MenuList, MenuPopover, MenuTrigger } from '@fluentui/react-menu';
import type { Category, Preferences } from '../kit/api.ts';
import { Exact } from '../kit/time.tsx';
import { mute, mutedUntil, peaces } from './mute.ts';

type MuteProps = {
  readonly category: Category;
  readonly value: Preferences;
  readonly change: (next: Preferences) => void;
};

export function Mute({ category, value, change }: MuteProps) {
  const until = mutedUntil(value, category, new Date());
  const title = category.title ?? category.name;
  if (until !== undefined) {
    return (
      <div className="when">
        <SpeakerMuteRegular aria-hidden="true" />
        <span>
          Muted until{' '}
          <strong>
            <Exact at={until.toISOString()} short />
          </strong>
          , except in the inbox
        </span>
        <Button size="small" appearance="transparent" onClick={() => change(mute(value, category, undefined))}>
          Unmute<span className="unseen-text"> {title}</span>
        </Button>
      </div>
    );
  }
  return (
    <Menu>
      <MenuTrigger disableButtonEnhancement>
        <Button className="mute" size="small" appearance="transparent" icon={<SpeakerMuteRegular />}>
          Mute …<span className="unseen-text"> {title}</span>
        </Button>
      </MenuTrigger>
      <MenuPopover>
        <MenuList>
          {peaces(new Date()).map((peace) => (
            <MenuItem key={peace.name} onClick={() => change(mute(value, category, peace.until))}>
              {peace.name}
            </MenuItem>
          ))}
        </MenuList>
      </MenuPopover>
    </Menu>
  );
}
