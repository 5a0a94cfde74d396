// The decision trace of one event, told person by person. Pure: steps in, story out.
import { type ChannelName, channelNames } from '../kit/api.ts';

export type TraceStep = {
  readonly at: string;
  readonly step: string;
  readonly outcome: string;
  readonly topic?: string;
  readonly sequence?: number;
  readonly eventId?: string;
  readonly notification?: string;
  readonly recipient?: string;
  readonly notice?: string;
  readonly channel?: ChannelName;
  readonly detail?: string;
};

/**
 * What became of one channel for one person. `waiting`: planned, not tried yet. `kept`: in the inbox, nothing to send.
 * `waits`: until the person comes there.
 */
export type ChannelEnd =
  | 'kept'
  | 'waiting'
  | 'waits'
  | 'retry'
  | 'delivered'
  | 'dropped'
  | 'dead'
  | 'off'
  | 'no endpoint'
  | 'not set up';
export type ChannelStory = {
  readonly channel: ChannelName;
  readonly end: ChannelEnd;
  readonly why: string | undefined;
  readonly attempts: readonly TraceStep[];
};
export type PersonStory = {
  readonly recipient: string;
  readonly notification: string;
  readonly at: string;
  readonly notice: string | undefined;
  /** `notice`: was told. `silent`: over no channel. Else the server's own word. */
  readonly outcome: string;
  readonly channels: readonly ChannelStory[];
  /** The server's words where they are not about channels, and who took it back or corrected it. */
  readonly words: string | undefined;
};
export type EventStory = { readonly about: readonly TraceStep[]; readonly people: readonly PersonStory[] };

export function storyOf(steps: readonly TraceStep[]): EventStory {
  const about = steps.filter((step) => step.recipient === undefined);
  return { about, people: peopleOf(steps) };
}

export function peopleOf(steps: readonly TraceStep[]): PersonStory[] {
  const decisions = steps.filter((step) => step.recipient !== undefined && step.step === 'decide');
  return decisions.map((decision) => personOf(decision, steps));
}

function personOf(decision: TraceStep, steps: readonly TraceStep[]): PersonStory {
  const own =
    decision.notice === undefined
      ? []
      : steps.filter((step) => step.notice === decision.notice && step.recipient === decision.recipient);
  const said = parseDecision(decision.detail ?? '');
  return {
    recipient: decision.recipient ?? '',
    notification: decision.notification ?? '',
    at: decision.at,
    notice: decision.notice,
    outcome: decision.outcome,
    channels: (said ?? []).map((each) => channelOf(each, own)),
    words: [said ? undefined : decision.detail, ...changesOf(own)].filter(Boolean).join(' ') || undefined,
  };
}

const changes: Readonly<Record<string, string>> = { recalled: 'Taken back', corrected: 'Corrected' };

function changesOf(own: readonly TraceStep[]): string[] {
  return own
    .filter(({ step }) => step === 'recall')
    .map(({ outcome, detail }) => `${changes[outcome] ?? outcome} by ${detail}`);
}

export type Verdict = 'told' | 'on its way' | 'not reached' | 'not told';

/** In one word: one channel that arrived is enough to be told. */
export function verdictOf(story: PersonStory): Verdict {
  if (story.outcome !== 'notice') return 'not told';
  const reached = story.channels.map(({ end }) => end);
  if (reached.length === 0 || reached.includes('kept') || reached.includes('delivered')) return 'told';
  return ['waiting', 'waits', 'retry'].some((end) => reached.includes(end as ChannelEnd))
    ? 'on its way'
    : 'not reached';
}

type Said = {
  readonly channel: ChannelName;
  readonly state: 'on' | 'off' | 'no endpoint' | 'not set up' | 'waits';
  readonly why: string | undefined;
};

/** `inbox on (default), email no endpoint: the address is dead`; undefined when it reads otherwise. */
export function parseDecision(detail: string): Said[] | undefined {
  const start = `(${channelNames.join('|')}) (on|off|no endpoint|not set up|waits)`;
  const pattern = new RegExp(`${start}(?: \\(([^()]*)\\)|: (.*?))?(?:, (?=${start})|$)`, 'y');
  const said: Said[] = [];
  while (pattern.lastIndex < detail.length) {
    const match = pattern.exec(detail);
    if (!match) return undefined;
    said.push({ channel: match[1] as ChannelName, state: match[2] as Said['state'], why: match[3] ?? match[4] }); // the pattern lists both
  }
  return said.length > 0 ? said : undefined;
}

function channelOf({ channel, state, why }: Said, own: readonly TraceStep[]): ChannelStory {
  if (state !== 'on') return { channel, end: state, why, attempts: [] };
  const attempts = own.filter((step) => step.step === 'attempt' && step.channel === channel);
  return { channel, end: endOf(channel, attempts), why, attempts };
}

const ends: readonly ChannelEnd[] = ['delivered', 'retry', 'dropped', 'dead'];

// A channel may have several endpoints: the best news wins, then the latest.
function endOf(channel: ChannelName, attempts: readonly TraceStep[]): ChannelEnd {
  if (channel === 'inbox') return 'kept';
  const outcomes = attempts.map((attempt) => ends.find((end) => end === attempt.outcome) ?? 'retry');
  if (outcomes.includes('delivered')) return 'delivered';
  return outcomes.at(-1) ?? 'waiting';
}
