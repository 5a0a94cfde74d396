// Offered once above the inbox: to hear of things when the page is closed. Whoever dismisses it finds it under Devices.
import { Button } from '@fluentui/react-button';
import { AlertOnRegular, DismissRegular } from '@fluentui/react-icons';
import { useState } from 'react';
import type { ThisBrowser } from '../../push/use-this-browser.ts';

const DISMISSED = 'carillon.push-hint';

export function PushHint({ browser }: { readonly browser: ThisBrowser }) {
  const [dismissed, setDismissed] = useState(() => localStorage.getItem(DISMISSED) !== null);
  if (dismissed || browser.state.kind !== 'off') return null;
  const dismiss = () => {
    localStorage.setItem(DISMISSED, 'dismissed');
    setDismissed(true);
  };
  return (
    <aside className="push-hint" aria-label="Notifications">
      <AlertOnRegular aria-hidden="true" />
      <p>Hear of it also when this page is closed.</p>
      <Button appearance="primary" size="small" disabled={browser.busy} onClick={browser.turnOn}>
        Turn on
      </Button>
      <Button appearance="subtle" size="small" icon={<DismissRegular />} aria-label="Not now" onClick={dismiss} />
    </aside>
  );
}
