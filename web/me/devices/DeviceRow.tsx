// One device: what it is, when it was last seen, whether its push service still knows it.
import { Button } from '@fluentui/react-button';
import { DeleteRegular, DesktopRegular, GlobeRegular, PhoneRegular, SendRegular } from '@fluentui/react-icons';
import { type ReactNode, useState } from 'react';
import { post, query, remove } from '../../kit/api.ts';
import { Ago } from '../../kit/time.tsx';
import { useToasts } from '../../kit/toasts.tsx';
import { devicesPath } from '../../push/this-browser.ts';

export type Device = {
  readonly hub: string;
  readonly id: string;
  readonly platform: string;
  readonly label: string | null;
  /** False once the push service called its address dead. */
  readonly reachable: boolean;
  readonly createdAt: string;
  /** Apps register again when they start, so this is when it was last seen. */
  readonly updatedAt: string;
};

const platformWords: Readonly<Record<string, { readonly name: string; readonly icon: ReactNode }>> = {
  browser: { name: 'Browser', icon: <GlobeRegular /> },
  apns: { name: 'Apple device', icon: <PhoneRegular /> },
  fcmv1: { name: 'Android device', icon: <PhoneRegular /> },
  wns: { name: 'Windows device', icon: <DesktopRegular /> },
};

/** The outcomes of `POST .../test`, where a person can do something about them. */
const outcomeWords: Readonly<Record<string, string>> = {
  ExpiredChannel: 'its push address is no longer valid',
  BadChannel: 'its push address is no longer valid',
  WrongToken: 'its push address is no longer valid',
  PushServiceUnreachable: 'its push service cannot be reached',
  Throttled: 'its push service takes no more for a while',
};

type RowProps = {
  readonly recipientId: string;
  readonly device: Device;
  readonly isThis: boolean;
  readonly removed: () => void;
};

export function DeviceRow({ recipientId, device, isThis, removed }: RowProps) {
  const platform = platformWords[device.platform] ?? { name: device.platform, icon: <PhoneRegular /> };
  const name = device.label ?? platform.name;
  const { busy, test, forget } = useDeviceActions(recipientId, device, name, removed);
  return (
    <li className="panel-row device">
      <span className="device-icon" aria-hidden="true">
        {platform.icon}
      </span>
      <div className="device-text">
        <strong>
          {name}
          {isThis && <span className="device-this">this browser</span>}
        </strong>
        <span className="quiet">
          {device.reachable ? (
            <>
              {platform.name} · last seen <Ago at={device.updatedAt} />
            </>
          ) : (
            <span className="device-gone">No longer reachable: its push service says that the address has expired</span>
          )}
        </span>
      </div>
      <div className="device-actions">
        {device.reachable && (
          <Button
            appearance="subtle"
            icon={<SendRegular />}
            disabled={busy}
            onClick={test}
            aria-label={`Send a test to ${name}`}
          >
            Test
          </Button>
        )}
        <Button
          appearance="subtle"
          icon={<DeleteRegular />}
          disabled={busy}
          onClick={forget}
          aria-label={`Remove ${name}`}
        >
          Remove
        </Button>
      </div>
    </li>
  );
}

export async function sendTest(recipientId: string, { id, hub }: Pick<Device, 'id' | 'hub'>): Promise<string> {
  const path = `${devicesPath(recipientId)}/${encodeURIComponent(id)}/test${query({ hub })}`;
  const words = { title: 'This device is connected', body: 'Your notices will reach you here.' };
  return (await post<{ outcome: string }>(path, words)).outcome;
}

/** Undefined when the push service took it. */
export function failureOf(outcome: string): string | undefined {
  return outcome === 'Success' ? undefined : (outcomeWords[outcome] ?? `its push service said ${outcome}`);
}

function useDeviceActions(recipientId: string, device: Device, name: string, removed: () => void) {
  const [busy, setBusy] = useState(false);
  const toasts = useToasts();
  const run = (what: string, work: Promise<void>) => {
    setBusy(true);
    work.catch((error: unknown) => toasts.fail(what, error)).finally(() => setBusy(false));
  };
  const test = () =>
    run(
      `reach ${name}`,
      sendTest(recipientId, device).then((outcome) => {
        const why = failureOf(outcome);
        if (why !== undefined) throw new Error(`It did not arrive: ${why}.`);
        toasts.say(`Sent to ${name}`);
      }),
    );
  const path = `${devicesPath(recipientId)}/${encodeURIComponent(device.id)}${query({ hub: device.hub })}`;
  const forget = () =>
    run(
      `remove ${name}`,
      remove(path).then(() => {
        toasts.say(`${name} removed`);
        removed();
      }),
    );
  return { busy, test, forget };
}
