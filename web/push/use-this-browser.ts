import { useCallback, useEffect, useMemo, useState } from 'react';
import { useToasts } from '../kit/toasts.tsx';
import { atFirstSight, lookAtThisBrowser, type PushState, turnOff, turnOn } from './this-browser.ts';

export type ThisBrowser = {
  readonly state: PushState;
  readonly busy: boolean;
  readonly turnOn: () => void;
  readonly turnOff: () => void;
  /** Looks again: somebody else may have removed it, the person may have changed the browser's settings. */
  readonly look: () => void;
};

export function useThisBrowser(recipientId: string): ThisBrowser {
  const [state, setState] = useState(atFirstSight);
  const [busy, setBusy] = useState(false);
  const toasts = useToasts();
  const look = useCallback(
    () => void lookAtThisBrowser(recipientId).then(setState, () => setState({ kind: 'off' })),
    [recipientId],
  );
  useEffect(look, [look]);
  useEffect(() => watchPermission(look), [look]);

  const run = useCallback(
    (what: string, work: (recipientId: string) => Promise<PushState>) => {
      setBusy(true);
      work(recipientId)
        .then(setState, (error: unknown) => toasts.fail(what, error))
        .finally(() => setBusy(false));
    },
    [recipientId, toasts],
  );
  return useMemo(
    () => ({
      state,
      busy,
      look,
      turnOn: () => run('turn notifications on', turnOn),
      turnOff: () => run('turn notifications off', turnOff),
    }),
    [state, busy, look, run],
  );
}

/** Firefox names push by its own name; a browser that knows none is asked again when the page is. */
function watchPermission(changed: () => void): () => void {
  const over = new AbortController();
  void navigator.permissions
    ?.query({ name: 'notifications' })
    .then((status) => status.addEventListener('change', changed, { signal: over.signal }))
    .catch(() => undefined);
  return () => over.abort();
}
