// A push service through which nothing goes, and what to do about it.
import { ClockRegular, ErrorCircleRegular, WarningFilled } from '@fluentui/react-icons';
import { Command } from '../kit/Parts.tsx';
import { Exact } from '../kit/time.tsx';
import { isAlarm, platformOf } from './lanes.tsx';
import type { LaneStats } from './stats.ts';

const titles: Readonly<Record<string, string>> = {
  stopped: 'has stopped: the credentials are refused',
  failing: 'does not get through',
  paused: 'pauses',
  no_credentials: 'has no credentials',
};

export function Trouble({ hub, lane }: { readonly hub: string; readonly lane: LaneStats }) {
  const { platform, state, service, since, until, advice = '' } = lane;
  const bad = isAlarm(state);
  const Icon = bad ? ErrorCircleRegular : state === 'paused' ? ClockRegular : WarningFilled;
  const [words, command] = splitCommand(advice);
  return (
    <div className={bad ? 'note note-bad trouble' : 'note note-warn trouble'} role={bad ? 'alert' : 'status'}>
      <Icon className="note-icon" />
      <div className="note-text">
        <strong>
          Push to {platformOf(platform).many} of the hub {hub} {titles[state]}
          {service && ` (${service})`}
        </strong>
        <p>
          {since && (
            <>
              Since <Exact at={since} short />.{' '}
            </>
          )}
          {state === 'paused' && until && (
            <>
              Until <Exact at={until} seconds />.{' '}
            </>
          )}
          {words}
        </p>
        {command && <Command text={command} label={`the command for ${platformOf(platform).name}`} />}
      </div>
    </div>
  );
}

/** The server's words name one command at most, between backticks: it gets a line of its own, to be copied. */
function splitCommand(advice: string): [words: string, command: string | undefined] {
  const found = /; then `(carillon [^`]+)`\./.exec(advice);
  if (!found) return [advice, undefined];
  return [advice.replace(found[0], '; then use the command below.'), found[1]];
}
