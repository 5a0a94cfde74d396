// What a person wants: the two general switches in plain words, then every category by channel, with conditions.
import { ChatRegular, LockClosedRegular, PhoneRegular } from '@fluentui/react-icons';
import { Switch } from '@fluentui/react-switch';
import { Tooltip } from '@fluentui/react-tooltip';
import { Fragment, type ReactNode } from 'react';
import { type Category, type ChannelName, channelNames, type Preferences } from '../kit/api.ts';
import { Failure, Glyph, Waiting } from '../kit/Parts.tsx';
import { useToasts } from '../kit/toasts.tsx';
import { ConditionEditor } from './ConditionEditor.tsx';
import { channelWords } from './channels.tsx';
import { type Choice, choiceOf, choose, chooseWhen, type Flag } from './choice.ts';
import { Mute } from './Mute.tsx';
import { PreferredConversation } from './PreferredConversation.tsx';
import { QuietHours } from './QuietHours.tsx';
import { usePreferences } from './use-preferences.ts';
import './preferences.css';

const flagWords: Record<Flag, { readonly title: string; readonly words: string; readonly icon: ReactNode }> = {
  SendNotificationToMobileDevice: {
    title: 'On my phone and computer',
    words: 'Push notifications to the devices on which you are signed in.',
    icon: <PhoneRegular />,
  },
  SendNotificationToConversation: {
    title: 'In my conversations',
    words: 'Messages from the assistant, in the chat that you use with it.',
    icon: <ChatRegular />,
  },
};

type FormProps = { readonly recipientId: string; readonly categories: readonly Category[] | undefined };

export function PreferencesForm({ recipientId, categories }: FormProps) {
  const preferences = usePreferences(recipientId);
  const toasts = useToasts();
  const { value, read } = preferences;
  if (!value || !categories) {
    return read.error ? (
      <Failure what="load the preferences" error={read.error} retry={read.reload} />
    ) : (
      <Waiting what="preferences" />
    );
  }
  const change = (next: Preferences) =>
    void preferences
      .change(next)
      .catch((error: unknown) => toasts.fail('save your choice. It is as it was before', error));
  return (
    <div className="preferences">
      <Flags value={value} change={change} />
      <section aria-labelledby="categories-title">
        <div className="preferences-head">
          <h2 id="categories-title">What, and where</h2>
          <p className="quiet">A switch here wins over the general ones above. Changes are saved at once.</p>
        </div>
        {categories.length === 0 ? (
          <p className="quiet">No notifications are defined yet.</p>
        ) : (
          <Matrix categories={categories} value={value} change={change} save={preferences.change} />
        )}
      </section>
    </div>
  );
}

type Change = (next: Preferences) => void;

function Flags({ value, change }: { readonly value: Preferences; readonly change: Change }) {
  return (
    <section aria-labelledby="flags-title">
      <div className="preferences-head">
        <h2 id="flags-title">Reach me</h2>
        <p className="quiet">Where else you hear of it, besides your inbox.</p>
      </div>
      <div className="panel">
        {(Object.keys(flagWords) as Flag[]).map((flag) => (
          <div className="panel-row" key={flag}>
            <span className="flag-icon">{flagWords[flag].icon}</span>
            <div className="flag-text">
              <label htmlFor={flag}>
                <strong>{flagWords[flag].title}</strong>
              </label>
              <span id={`${flag}-words`}>{flagWords[flag].words}</span>
              {flag === 'SendNotificationToConversation' && value[flag] && (
                <PreferredConversation value={value} change={change} />
              )}
            </div>
            <Switch
              id={flag}
              aria-describedby={`${flag}-words`}
              checked={value[flag]}
              onChange={(_, data) => change({ ...value, [flag]: data.checked })}
            />
          </div>
        ))}
        <QuietHours value={value} change={change} />
      </div>
    </section>
  );
}

type MatrixProps = {
  readonly categories: readonly Category[];
  readonly value: Preferences;
  readonly change: Change;
  readonly save: (next: Preferences) => Promise<void>;
};

function Matrix({ categories, value, change, save }: MatrixProps) {
  const channels = channelNames.filter((channel) => categories.some((category) => category.channels.includes(channel)));
  return (
    <table className="matrix">
      <thead>
        <tr>
          <th scope="col">About</th>
          {channels.map((channel) => (
            <th scope="col" key={channel}>
              <span className="matrix-channel">
                {channelWords[channel].icon}
                {channelWords[channel].name}
              </span>
            </th>
          ))}
        </tr>
      </thead>
      {categories.map((category) => (
        <tbody key={category.name}>
          <tr>
            <th scope="row">
              <Glyph name={category.name} label={category.title ?? category.name} />
              <span className="matrix-about">
                <strong>{category.title ?? category.name}</strong>
                {category.description && <span>{category.description}</span>}
              </span>
            </th>
            {channels.map((channel) => (
              <td key={channel} data-channel={channelWords[channel].name}>
                <div className="matrix-cell">
                  <Cell category={category} channel={channel} value={value} change={change} />
                </div>
              </td>
            ))}
          </tr>
          {!category.locked && (
            <tr className="matrix-when">
              <td colSpan={channels.length + 1}>
                <Mute category={category} value={value} change={change} />
                <ConditionEditor
                  category={category}
                  when={value.categories[category.name]?.when}
                  save={(when) => save(chooseWhen(value, category, when))}
                />
              </td>
            </tr>
          )}
        </tbody>
      ))}
    </table>
  );
}

type CellProps = {
  readonly category: Category;
  readonly channel: ChannelName;
  readonly value: Preferences;
  readonly change: Change;
};

function Cell({ category, channel, value, change }: CellProps) {
  const name = `${category.title ?? category.name}: ${channelWords[channel].name}`;
  if (!category.channels.includes(channel))
    return (
      <span className="matrix-never">
        {'\u2013'}
        <span className="unseen-text">never</span>
      </span>
    );
  const choice = choiceOf(value, category, channel);
  const fixed = choice.by === 'mandatory' || choice.by === 'locked';
  const control = (
    <Switch
      aria-label={name}
      checked={choice.on}
      disabled={fixed}
      onChange={(_, data) => change(choose(value, category, channel, data.checked))}
    />
  );
  return (
    <Fragment>
      {control}
      {fixed && <Fixed choice={choice} />}
    </Fragment>
  );
}

function Fixed({ choice }: { readonly choice: Choice }) {
  const words = choice.by === 'mandatory' ? 'Too important to be switched off' : 'Decided by your organisation';
  return (
    <Tooltip content={words} relationship="label">
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: the tooltip says why the switch cannot be turned */}
      <span className="matrix-lock" tabIndex={0} role="img">
        <LockClosedRegular />
      </span>
    </Tooltip>
  );
}
