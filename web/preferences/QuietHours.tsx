// When nothing may disturb: what comes then waits until the end. The inbox, the urgent and the mandatory do not wait.
import { WeatherMoonRegular } from '@fluentui/react-icons';
import { Switch } from '@fluentui/react-switch';
import { useId, useState } from 'react';
import type { QuietHours as Hours, Preferences } from '../kit/api.ts';

type HoursProps = { readonly value: Preferences; readonly change: (next: Preferences) => void };

const ownZone = Intl.DateTimeFormat().resolvedOptions().timeZone;
const usual: Hours = { from: '22:00', to: '07:00' };

export function QuietHours({ value, change }: HoursProps) {
  const { quietHours, ...rest } = value;
  const id = useId();
  const set = (hours: Hours | undefined) => change(hours === undefined ? rest : { ...rest, quietHours: hours });
  return (
    <div className="panel-row">
      <span className="flag-icon">
        <WeatherMoonRegular />
      </span>
      <div className="flag-text">
        <label htmlFor={id}>
          <strong>Quiet hours</strong>
        </label>
        <span id={`${id}-words`}>What comes then waits until they end. Your inbox and what is urgent do not wait.</span>
        {quietHours && <Times hours={quietHours} set={set} />}
      </div>
      <Switch
        id={id}
        aria-describedby={`${id}-words`}
        checked={quietHours !== undefined}
        onChange={(_, { checked }) => set(checked ? { ...usual, timeZone: ownZone } : undefined)}
      />
    </div>
  );
}

function Times({ hours, set }: { readonly hours: Hours; readonly set: (hours: Hours) => void }) {
  return (
    <span className="hours">
      <Time label="From" value={hours.from} set={(from) => set({ ...hours, from })} />
      <Time label="to" value={hours.to} set={(to) => set({ ...hours, to })} />
      <span className="quiet">{(hours.timeZone ?? ownZone).replaceAll('_', ' ')}</span>
    </span>
  );
}

type TimeProps = { readonly label: string; readonly value: string; readonly set: (time: string) => void };

/** Saved when it is left: while it is typed it is another time with each key. */
function Time({ label, value, set }: TimeProps) {
  const [typed, setTyped] = useState<string>();
  const save = () => {
    if (typed && typed !== value) set(typed);
    setTyped(undefined);
  };
  return (
    <label>
      {label}{' '}
      <input
        className="pick"
        type="time"
        required
        value={typed ?? value}
        onChange={(event) => setTyped(event.target.value)}
        onBlur={save}
      />
    </label>
  );
}
