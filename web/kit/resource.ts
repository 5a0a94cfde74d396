// Something read from the server: its value, what went wrong, and a way to read it again.
import { useCallback, useEffect, useState } from 'react';
import { get } from './api.ts';

export type Resource<T> = {
  readonly value: T | undefined;
  readonly error: unknown;
  readonly reload: () => void;
};

/** Reads `path` when it changes and on `reload`; a `null` path reads nothing. The last value stays while it reads again. */
export function useResource<T>(path: string | null): Resource<T> {
  const [state, setState] = useState<{ path: string | null; value?: T; error?: unknown }>({ path });
  const [round, setRound] = useState(0);
  const reload = useCallback(() => setRound((n) => n + 1), []);
  // biome-ignore lint/correctness/useExhaustiveDependencies: `round` is what a reload changes
  useEffect(() => {
    if (path === null) return;
    const over = new AbortController();
    get<T>(path, over.signal).then(
      (value) => setState({ path, value }),
      (error: unknown) =>
        over.signal.aborted || setState((old) => (old.path === path ? { ...old, error } : { path, error })),
    );
    return () => over.abort();
  }, [path, round]);
  const own = state.path === path;
  return { value: own ? state.value : undefined, error: own ? state.error : undefined, reload };
}
