// Deliveries that were given up: by cause, one by one, and a way to try them again.
import { Button } from '@fluentui/react-button';
import {
  Dialog,
  DialogActions,
  DialogBody,
  DialogContent,
  DialogSurface,
  DialogTitle,
  DialogTrigger,
} from '@fluentui/react-dialog';
import { ArrowClockwiseRegular, CheckmarkCircleRegular } from '@fluentui/react-icons';
import { useState } from 'react';
import { type ChannelName, type Page, post, query } from '../kit/api.ts';
import { Empty, Failure, Waiting } from '../kit/Parts.tsx';
import { useResource } from '../kit/resource.ts';
import { to } from '../kit/route.ts';
import { Ago } from '../kit/time.tsx';
import { useToasts } from '../kit/toasts.tsx';
import { channelWords } from '../preferences/channels.tsx';

type DeadLetter = {
  readonly id: string;
  readonly recipientId: string;
  readonly channel: ChannelName;
  readonly endpoint: string | null;
  readonly reason: string;
  readonly cause: string;
  readonly detail: string | null;
  readonly attempts: number;
  readonly diedAt: string;
};
type Cause = { readonly channel: ChannelName; readonly reason: string; readonly cause: string; readonly count: number };
type Selection =
  | { readonly ids: readonly string[] }
  | { readonly cause: string; readonly channel: ChannelName }
  | { readonly all: true };

export function DeliveriesPage() {
  const causes = useResource<Page<Cause>>('/v1/deliveries/causes');
  const [chosen, setChosen] = useState<Cause>();
  const letters = useResource<Page<DeadLetter>>(
    `/v1/deliveries${query({ state: 'dead', channel: chosen?.channel, cause: chosen?.cause, limit: 100 })}`,
  );
  const redrive = useRedrive(() => {
    setChosen(undefined);
    causes.reload();
    letters.reload();
  });
  const error = causes.error ?? letters.error;
  if (error !== undefined) return <Failure what="read the dead letters" error={error} retry={letters.reload} />;
  if (!causes.value) return <Waiting what="dead letters" />;
  const total = causes.value.items.reduce((all, { count }) => all + count, 0);
  return (
    <div className="wide">
      <div className="event-head">
        <h1>Dead letters</h1>
        {total > 0 && <RedriveAll total={total} redrive={() => redrive({ all: true })} />}
      </div>
      <p className="quiet lead">
        Deliveries that were refused, or tried in vain until they were too old. They are kept until somebody tries them
        again.
      </p>
      {total === 0 ? (
        <Empty icon={<CheckmarkCircleRegular />} title="Nothing was given up">
          <p>Every delivery has arrived, is on its way, or will be tried again by itself.</p>
        </Empty>
      ) : (
        <>
          <Causes causes={causes.value.items} chosen={chosen} choose={setChosen} redrive={redrive} />
          {letters.value ? (
            <Letters letters={letters.value.items} redrive={redrive} />
          ) : (
            <Waiting what="dead letters" />
          )}
        </>
      )}
    </div>
  );
}

type Redrive = (selection: Selection) => void;

function useRedrive(done: () => void): Redrive {
  const toasts = useToasts();
  return (selection) =>
    void post<{ redriven: number }>('/v1/deliveries/redrive', selection).then(
      ({ redriven }) => {
        toasts.say(redriven === 1 ? 'One is on its way again' : `${redriven} are on their way again`);
        done();
      },
      (error: unknown) => toasts.fail('try them again', error),
    );
}

function RedriveAll({ total, redrive }: { readonly total: number; readonly redrive: () => void }) {
  return (
    <Dialog>
      <DialogTrigger disableButtonEnhancement>
        <Button icon={<ArrowClockwiseRegular />}>Try all again</Button>
      </DialogTrigger>
      <DialogSurface>
        <DialogBody>
          <DialogTitle>Try {total === 1 ? 'it' : `all ${total}`} again?</DialogTitle>
          <DialogContent>Whatever made them fail should be mended first, or they come back here.</DialogContent>
          <DialogActions>
            <DialogTrigger disableButtonEnhancement>
              <Button>Cancel</Button>
            </DialogTrigger>
            <DialogTrigger disableButtonEnhancement>
              <Button appearance="primary" onClick={redrive}>
                Try again
              </Button>
            </DialogTrigger>
          </DialogActions>
        </DialogBody>
      </DialogSurface>
    </Dialog>
  );
}

type CausesProps = {
  readonly causes: readonly Cause[];
  readonly chosen: Cause | undefined;
  readonly choose: (cause: Cause | undefined) => void;
  readonly redrive: Redrive;
};

function Causes({ causes, chosen, choose, redrive }: CausesProps) {
  const isChosen = (cause: Cause) => chosen?.cause === cause.cause && chosen.channel === cause.channel;
  return (
    <ul className="causes">
      {causes.map((cause) => (
        <li key={`${cause.channel} ${cause.reason} ${cause.cause}`} className="cause">
          <button
            type="button"
            className="cause-choose"
            aria-pressed={isChosen(cause)}
            onClick={() => choose(isChosen(cause) ? undefined : cause)}
          >
            <span className="cause-count">{cause.count}</span>
            <span className="cause-words">
              <strong>{cause.cause}</strong>
              <span className="quiet">
                {channelWords[cause.channel].name}, {cause.reason}
              </span>
            </span>
          </button>
          <Button
            size="small"
            icon={<ArrowClockwiseRegular />}
            onClick={() => redrive({ cause: cause.cause, channel: cause.channel })}
          >
            Try again
          </Button>
        </li>
      ))}
    </ul>
  );
}

function Letters({ letters, redrive }: { readonly letters: readonly DeadLetter[]; readonly redrive: Redrive }) {
  return (
    <ul className="list">
      {letters.map((letter) => (
        <li key={letter.id} className="list-row">
          <span className="letter-icon">{channelWords[letter.channel].icon}</span>
          <span className="list-main">
            <strong>
              <a href={to('people', letter.recipientId)}>{letter.recipientId}</a>
              {letter.endpoint && <span className="quiet"> {letter.endpoint}</span>}
            </strong>
            <span className="quiet">{letter.detail ?? letter.cause}</span>
          </span>
          <span className="list-side">
            <Ago at={letter.diedAt} />
            <span className="quiet">{letter.attempts === 1 ? '1 attempt' : `${letter.attempts} attempts`}</span>
          </span>
          <Button size="small" onClick={() => redrive({ ids: [letter.id] })}>
            Try again
          </Button>
        </li>
      ))}
    </ul>
  );
}
