// The last minute of counters, live.
import { useEffect, useState } from 'react';
import { get } from '../kit/api.ts';
import { type LiveState, LiveStream } from '../kit/live.ts';
import { keep, type Stats } from './stats.ts';

export type LiveStats = { readonly history: readonly Stats[]; readonly live: LiveState; readonly error: unknown };

export function useStats(): LiveStats {
  const [history, setHistory] = useState<readonly Stats[]>([]);
  const [live, setLive] = useState<LiveState>('connecting');
  const [error, setError] = useState<unknown>();
  useEffect(() => {
    const over = new AbortController();
    const begin = async () => {
      const { history: past = [], ...now } = await get<Stats & { history?: readonly Stats[] }>(
        '/v1/stats',
        over.signal,
      );
      setHistory((known) => [...past, now].reduce(keep, known));
    };
    begin().catch((problem: unknown) => over.signal.aborted || setError(problem));
    const stream = new LiveStream('/v1/stats/stream', {
      onState: setLive,
      onFrame: (frame) => {
        if (frame.event !== 'stats') return;
        setError(undefined);
        setHistory((known) => keep(known, JSON.parse(frame.data)));
      },
    });
    void stream.start();
    return () => {
      over.abort();
      stream.stop();
    };
  }, []);
  return { history, live, error };
}
