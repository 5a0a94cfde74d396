// "This browser": whether it is pushed to, what stands in the way, and the buttons that change it.
import { Button } from '@fluentui/react-button';
import {
  AlertOffRegular,
  AlertOnRegular,
  ArrowDownloadRegular,
  SendRegular,
  WarningRegular,
} from '@fluentui/react-icons';
import { Spinner } from '@fluentui/react-spinner';
import type { ReactNode } from 'react';
import { to } from '../../kit/route.ts';
import { useToasts } from '../../kit/toasts.tsx';
import { useInstall } from '../../push/app.ts';
import type { PushState } from '../../push/this-browser.ts';
import type { ThisBrowser } from '../../push/use-this-browser.ts';
import { failureOf, sendTest } from './DeviceRow.tsx';

type CardProps = { readonly recipientId: string; readonly browser: ThisBrowser };

export function ThisBrowserCard({ recipientId, browser }: CardProps) {
  const { state } = browser;
  const { title, words, icon } = wordsOf(state);
  return (
    <section className={`this-browser this-browser-${state.kind}`} aria-labelledby="this-browser-title">
      <span className="this-browser-icon" aria-hidden="true">
        {icon}
      </span>
      <div className="this-browser-text">
        <h2 id="this-browser-title">{title}</h2>
        {words}
        <div className="this-browser-actions">
          <Actions recipientId={recipientId} browser={browser} />
          <InstallButton />
        </div>
      </div>
    </section>
  );
}

function Actions({ recipientId, browser }: CardProps) {
  const { state, busy, turnOn, turnOff } = browser;
  const toasts = useToasts();
  if (state.kind === 'off') {
    return (
      <Button appearance="primary" icon={<AlertOnRegular />} disabled={busy} onClick={turnOn}>
        Turn on notifications
      </Button>
    );
  }
  if (state.kind !== 'on') return null;
  const test = () =>
    void sendTest(recipientId, { id: state.deviceId, hub: 'main' })
      .then((outcome) => {
        const why = failureOf(outcome);
        if (why !== undefined) throw new Error(`It did not arrive: ${why}.`);
      })
      .catch((error: unknown) => toasts.fail('send the test', error));
  return (
    <>
      <Button appearance="primary" icon={<SendRegular />} disabled={busy} onClick={test}>
        Send a test
      </Button>
      <Button icon={<AlertOffRegular />} disabled={busy} onClick={turnOff}>
        Turn off
      </Button>
    </>
  );
}

function InstallButton() {
  const install = useInstall();
  return (
    install && (
      <Button icon={<ArrowDownloadRegular />} onClick={install}>
        Install as an app
      </Button>
    )
  );
}

type Words = { readonly title: string; readonly words: ReactNode; readonly icon: ReactNode };

function wordsOf(state: PushState): Words {
  switch (state.kind) {
    case 'looking':
      return { title: 'This browser', words: <p>Looking …</p>, icon: <Spinner size="small" /> };
    case 'on':
      return {
        title: 'Notifications are on in this browser',
        words: (
          <p>
            Notices reach you here also when this page is closed. <a href={to('preferences')}>Which ones?</a>
          </p>
        ),
        icon: <AlertOnRegular />,
      };
    case 'off':
      return {
        title: 'Hear of it when this page is closed',
        words: <p>Your browser shows notices as they come, like an app. It will ask you whether it may.</p>,
        icon: <AlertOffRegular />,
      };
    case 'denied':
      return { title: 'Notifications are blocked for this page', words: <HowToAllow />, icon: <WarningRegular /> };
    case 'impossible':
      return {
        title: 'This browser cannot be notified',
        words: <p>{obstacleWords[state.why]}</p>,
        icon: <WarningRegular />,
      };
  }
}

const obstacleWords: Record<Extract<PushState, { kind: 'impossible' }>['why'], string> = {
  insecure: 'Browsers allow notifications only on secure pages. Open this page by its https address.',
  'install first':
    'On an iPhone or iPad, first add this page to the home screen: press Share, then "Add to Home Screen", and open it from there.',
  unsupported:
    'It does not know push notifications, or has them switched off, as private windows do. Your notices are in the inbox here.',
};

function HowToAllow() {
  return (
    <>
      <p>You, or your organisation, told the browser not to let this page show notifications. To change that:</p>
      <ol>
        <li>Press the icon to the left of the address of this page.</li>
        <li>Set “Notifications” to “Allow”.</li>
        <li>Come back here. This card notices by itself, or after a reload.</li>
      </ol>
    </>
  );
}
