// One event from its arrival to the last delivery, as a story with three chapters.
import { Button } from '@fluentui/react-button';
import { ArrowClockwiseRegular } from '@fluentui/react-icons';
import { Tooltip } from '@fluentui/react-tooltip';
import type { ReactNode } from 'react';
import { Chip, Failure, JsonView, Waiting } from '../kit/Parts.tsx';
import { useResource } from '../kit/resource.ts';
import { to } from '../kit/route.ts';
import { Exact } from '../kit/time.tsx';
import { Back } from './Back.tsx';
import { Pair } from './Pair.tsx';
import { PersonCard } from './Story.tsx';
import { type EventStory, storyOf, type TraceStep, verdictOf } from './story.ts';

type TracedEvent = {
  readonly id: string;
  readonly type?: string;
  readonly source?: string;
  readonly subject?: string;
  readonly time?: string;
  readonly enqueuedAt: string;
  readonly data?: unknown;
  readonly problem?: string;
};
/** The event is null once retention has taken it from the log. */
type Trace = { readonly event: TracedEvent | null; readonly steps: readonly TraceStep[] };

export function EventPage({ topic, sequence }: { readonly topic: string; readonly sequence: string }) {
  const trace = useResource<Trace>(
    `/v1/topics/${encodeURIComponent(topic)}/events/${encodeURIComponent(sequence)}/trace`,
  );
  return (
    <div className="narrow">
      <Back href={to('topics', topic)} name={`Topic ${topic}`} />
      {trace.error !== undefined && <Failure what="read the trace" error={trace.error} retry={trace.reload} />}
      {!trace.value && trace.error === undefined && <Waiting what="the trace" />}
      {trace.value && <Told topic={topic} sequence={sequence} trace={trace.value} reload={trace.reload} />}
    </div>
  );
}

type ToldProps = {
  readonly topic: string;
  readonly sequence: string;
  readonly trace: Trace;
  readonly reload: () => void;
};

function Told({ topic, sequence, trace, reload }: ToldProps) {
  const { event } = trace;
  const story = storyOf(trace.steps);
  return (
    <>
      <div className="event-head">
        <h1>{event?.type ?? `Event ${sequence}`}</h1>
        <Tooltip content="Read it again" relationship="label">
          <Button appearance="subtle" icon={<ArrowClockwiseRegular />} onClick={reload} />
        </Tooltip>
      </div>
      <p className="event-sum">{summary(story)}</p>
      <ol className="story">
        <Chapter title="The event came in">
          {event ? (
            <CameIn topic={topic} sequence={sequence} event={event} />
          ) : (
            <p className="quiet">The log does not hold it any more.</p>
          )}
        </Chapter>
        <Chapter title={matchTitle(story)} tone={isRefused(story) ? 'bad' : undefined}>
          <Matches story={story} />
        </Chapter>
        {story.people.length > 0 && (
          <Chapter title={`${people(story.people.length)} concerned`}>
            <div className="person-stories">
              {story.people.map((person) => (
                <PersonCard key={`${person.recipient} ${person.notification}`} story={person} />
              ))}
            </div>
          </Chapter>
        )}
      </ol>
    </>
  );
}

function CameIn({
  topic,
  sequence,
  event,
}: {
  readonly topic: string;
  readonly sequence: string;
  readonly event: TracedEvent;
}) {
  return (
    <>
      <p>
        <Exact at={event.enqueuedAt} /> on <Chip name={topic} />, number {sequence}
      </p>
      <dl className="pairs">
        {event.source && <Pair name="Source" value={event.source} />}
        <Pair name="Id" value={event.id} />
        {event.subject && <Pair name="Subject" value={event.subject} />}
        {event.problem && <Pair name="Problem" value={event.problem} />}
      </dl>
      {event.data !== undefined && (
        <details className="more">
          <summary>What it said</summary>
          <JsonView value={event.data} />
        </details>
      )}
    </>
  );
}

function Chapter({
  title,
  tone,
  children,
}: {
  readonly title: string;
  readonly tone?: 'bad' | undefined;
  readonly children: ReactNode;
}) {
  return (
    <li className={tone ? `chapter chapter-${tone}` : 'chapter'}>
      <h2>{title}</h2>
      {children}
    </li>
  );
}

function Matches({ story }: { readonly story: EventStory }) {
  if (story.about.length === 0)
    return <p className="quiet">The handler has not come to it yet, or its trace is too old to be kept.</p>;
  return (
    <ul className="matches">
      {story.about.map((step) => (
        <li key={`${step.at} ${step.step} ${step.outcome} ${step.notification ?? ''}`}>
          <Exact at={step.at} seconds />
          <span>
            {matchWords[step.outcome] ?? (step.outcome === 'matched' ? '' : `${step.step}: ${step.outcome} `)}
            {step.detail && <code>{step.detail}</code>}
          </span>
        </li>
      ))}
    </ul>
  );
}

const matchWords: Readonly<Record<string, string>> = {
  none: 'No notification asks for events like this one.',
  refused: 'It could not be handled and lies with the dead letters.',
};

function matchTitle(story: EventStory): string {
  if (story.about.length === 0) return 'Not handled yet';
  if (isRefused(story)) return 'Its notification failed';
  return story.about.some((step) => step.outcome === 'matched') ? 'A notification matched' : 'Nothing matched';
}

function isRefused(story: EventStory): boolean {
  return story.about.some((step) => step.outcome === 'refused');
}

function summary(story: EventStory): string {
  if (story.about.length === 0) return 'Nobody has been told yet.';
  if (story.people.length === 0) return 'Nobody was told.';
  const verdicts = Map.groupBy(story.people, verdictOf);
  const parts = verdictOrder.filter((verdict) => verdicts.has(verdict));
  return `${parts.map((verdict) => `${people(verdicts.get(verdict)?.length ?? 0)} ${verdict}`).join(', ')}.`;
}

const verdictOrder = ['told', 'on its way', 'not reached', 'not told'] as const;

function people(count: number): string {
  return count === 1 ? '1 person' : `${count} people`;
}
