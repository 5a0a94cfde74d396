// Where a person's push notifications go: this browser, and all other devices that are registered as theirs.
import { PhoneLaptopRegular } from '@fluentui/react-icons';
import { useEffect } from 'react';
import { Empty, Failure, Waiting } from '../../kit/Parts.tsx';
import { type Resource, useResource } from '../../kit/resource.ts';
import { devicesPath } from '../../push/this-browser.ts';
import type { ThisBrowser } from '../../push/use-this-browser.ts';
import { type Device, DeviceRow } from './DeviceRow.tsx';
import { ThisBrowserCard } from './ThisBrowserCard.tsx';
import './devices.css';

type Devices = { readonly items: readonly Device[] };

export function DevicesPage({ recipientId, browser }: { readonly recipientId: string; readonly browser: ThisBrowser }) {
  const devices = useResource<Devices>(devicesPath(recipientId));
  const own = browser.state.kind === 'on' ? browser.state.deviceId : undefined;
  const { reload } = devices;
  // biome-ignore lint/correctness/useExhaustiveDependencies: `own` is what changes the list
  useEffect(() => reload(), [own, reload]);
  return (
    <div className="narrow">
      <h1>Devices</h1>
      <ThisBrowserCard recipientId={recipientId} browser={browser} />
      <section aria-labelledby="devices-title">
        <h2 id="devices-title" className="devices-title">
          All your devices
        </h2>
        <DeviceList recipientId={recipientId} devices={devices} own={own} browser={browser} />
      </section>
    </div>
  );
}

type ListProps = {
  readonly recipientId: string;
  readonly devices: Resource<Devices>;
  readonly own: string | undefined;
  readonly browser: ThisBrowser;
};

function DeviceList({ recipientId, devices, own, browser }: ListProps) {
  const { value, error, reload } = devices;
  if (error !== undefined) return <Failure what="read your devices" error={error} retry={reload} />;
  if (!value) return <Waiting what="devices" />;
  if (value.items.length === 0) {
    return (
      <Empty icon={<PhoneLaptopRegular />} title="No device yet">
        <p>Turn notifications on in this browser, or sign in to your company's app on your phone.</p>
      </Empty>
    );
  }
  return (
    <ul className="panel">
      {value.items.map((device) => (
        <DeviceRow
          key={`${device.hub}/${device.id}`}
          recipientId={recipientId}
          device={device}
          isThis={device.id === own}
          removed={() => {
            if (device.id === own) browser.turnOff();
            reload();
          }}
        />
      ))}
    </ul>
  );
}
