// One person's part in an event: told or not, over which channels, and why.
import {
  AlertOffRegular,
  ArrowSyncRegular,
  CheckmarkCircleFilled,
  CircleRegular,
  ClockRegular,
  DismissCircleRegular,
  ErrorCircleRegular,
} from '@fluentui/react-icons';
import type { ReactNode } from 'react';
import { Glyph } from '../kit/Parts.tsx';
import { to } from '../kit/route.ts';
import { Exact } from '../kit/time.tsx';
import { channelWords } from '../preferences/channels.tsx';
import { type ChannelEnd, type ChannelStory, type PersonStory, type Verdict, verdictOf } from './story.ts';

type End = { readonly words: string; readonly tone: 'good' | 'quiet' | 'warn' | 'bad'; readonly icon: ReactNode };

const ends: Record<ChannelEnd, End> = {
  kept: { words: 'In the inbox', tone: 'good', icon: <CheckmarkCircleFilled /> },
  delivered: { words: 'Delivered', tone: 'good', icon: <CheckmarkCircleFilled /> },
  waits: { words: 'Shown when they come', tone: 'quiet', icon: <ClockRegular /> },
  waiting: { words: 'Waiting to be sent', tone: 'warn', icon: <ClockRegular /> },
  retry: { words: 'Will be tried again', tone: 'warn', icon: <ArrowSyncRegular /> },
  dropped: { words: 'The address is gone', tone: 'bad', icon: <DismissCircleRegular /> },
  dead: { words: 'Given up', tone: 'bad', icon: <ErrorCircleRegular /> },
  off: { words: 'Switched off', tone: 'quiet', icon: <AlertOffRegular /> },
  'no endpoint': { words: 'No address known', tone: 'quiet', icon: <CircleRegular /> },
  'not set up': { words: 'Not set up here', tone: 'quiet', icon: <CircleRegular /> },
};

const whyWords: Readonly<Record<string, string>> = {
  default: 'on unless switched off',
  mandatory: 'cannot be switched off',
  'chosen for this category': 'their choice for this category',
  "the person's condition does not match": 'the condition for this category does not hold',
  'muted for this category': 'they muted this category for a while',
  'the conversation was never opened': 'they have never talked to the assistant',
  'switched off for this channel': 'their general switch is off',
};

const verdictTones: Record<Verdict, string> = {
  told: 'verdict-good',
  'on its way': 'verdict-warn',
  'not reached': 'verdict-bad',
  'not told': '',
};

export function PersonCard({ story, heading }: { readonly story: PersonStory; readonly heading?: ReactNode }) {
  const verdict = verdictOf(story);
  return (
    <article className="person-story">
      <header>
        {heading ?? (
          <a className="person-name" href={to('people', story.recipient)}>
            <Glyph name={story.recipient} />
            <strong>{story.recipient}</strong>
          </a>
        )}
        <span className={`verdict ${verdictTones[verdict]}`}>{verdict}</span>
      </header>
      <ul className="channel-stories">
        {isOneReason(story.channels) ? (
          <ChannelLine story={story.channels[0]} name="All channels" />
        ) : (
          story.channels.map((channel) => <ChannelLine key={channel.channel} story={channel} />)
        )}
      </ul>
      {story.words && <p className="quiet">{story.words}</p>}
    </article>
  );
}

/** Nothing was sent over any channel, always for the same reason: one line says it. */
function isOneReason(channels: readonly ChannelStory[]): channels is readonly [ChannelStory, ...ChannelStory[]] {
  const [first, ...others] = channels;
  if (first?.end !== 'off' || others.length === 0) return false;
  return others.every(({ end, why }) => end === first.end && why === first.why);
}

function ChannelLine({ story, name }: { readonly story: ChannelStory; readonly name?: string }) {
  const end = ends[story.end];
  return (
    <li className={`channel-story tone-${end.tone}`}>
      <span className="channel-end">{end.icon}</span>
      <span className="channel-name">{name ?? channelWords[story.channel].name}</span>
      <span className="channel-words">
        {end.words}
        {story.why && <span className="quiet"> · {whyWords[story.why] ?? story.why}</span>}
      </span>
      {story.attempts.length > 0 && (
        <ol className="attempts">
          {story.attempts.map((attempt) => (
            <li key={`${attempt.at} ${attempt.outcome}`}>
              <Exact at={attempt.at} seconds /> {attempt.outcome}
              {attempt.detail && <span className="quiet"> · {attempt.detail}</span>}
            </li>
          ))}
        </ol>
      )}
    </li>
  );
}
