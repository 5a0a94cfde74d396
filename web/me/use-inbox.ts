// The inbox of one person: read once, then kept current by the stream, with marks that show at once and are taken back
// when the server refuses them.
import { useCallback, useEffect, useMemo, useReducer, useRef, useState } from 'react';
import { type Decision, get, type InboxItem, type InboxPage, type Mark, Problem, post, query } from '../kit/api.ts';
import { type LiveState, LiveStream } from '../kit/live.ts';
import type { Frame } from '../kit/sse.ts';
import type { Inputs } from './cards/Question.tsx';
import { emptyInbox, find, type InboxChange, type InboxState, inboxReducer, type Tab } from './inbox-state.ts';

const PAGE_SIZE = 30;

export type Inbox = {
  readonly state: InboxState;
  readonly live: LiveState;
  /** Why the last read of the list failed, if it did. */
  readonly error: unknown;
  readonly loadMore: () => void;
  readonly reload: () => void;
  readonly mark: (ids: readonly string[], as: Mark) => Promise<void>;
  readonly markAllRead: () => Promise<void>;
  /** Rejects with what the server refused; who was faster is shown by then. */
  readonly answer: (item: InboxItem, actionId: string, inputs?: Inputs) => Promise<void>;
  /** Reads one notice that the list has not come to yet. Rejects when it is not in this inbox. */
  readonly readOne: (id: string) => Promise<void>;
};

/** `onNew` is told about every notice that arrives while the page is open. */
export function useInbox(recipientId: string, tab: Tab, onNew: (item: InboxItem) => void): Inbox {
  const base = `/v1/recipients/${encodeURIComponent(recipientId)}/inbox`;
  const [state, dispatch] = useReducer(inboxReducer, emptyInbox);
  const [live, setLive] = useState<LiveState>('connecting');
  const [error, setError] = useState<unknown>();
  const [start, setStart] = useState<number>();
  const latest = useRef({ state, tab, onNew });
  latest.current = { state, tab, onNew };

  const read = useCallback(
    async (of: Tab, cursor?: string) => {
      const page = await get<InboxPage>(`${base}${query({ filter: of, limit: PAGE_SIZE, cursor })}`).catch(setError);
      if (!page) return;
      setError(undefined);
      dispatch({ kind: 'page', tab: of, page, first: cursor === undefined });
      setStart((known) => known ?? page.position);
    },
    [base],
  );
  const reload = useCallback(() => void read(latest.current.tab), [read]);
  useEffect(() => void read(tab), [read, tab]);

  useEffect(() => {
    if (start === undefined) return;
    let lives = 0;
    const stream = new LiveStream(
      `${base}/stream`,
      {
        onState: (next) => {
          setLive(next);
          if (next === 'live' && lives++ > 0) reload(); // what was marked elsewhere during the cut
        },
        onFrame: (frame) => takeFrame(frame, dispatch, latest.current, reload),
      },
      String(start),
    );
    void stream.start();
    return () => stream.stop();
  }, [base, start, reload]);

  const mark = useMark(base, latest, dispatch);
  const answer = useAnswer(base, dispatch);
  const readOne = useCallback(
    async (id: string) => dispatch({ kind: 'item', item: await get<InboxItem>(`${base}/${encodeURIComponent(id)}`) }),
    [base],
  );
  const loadMore = useCallback(() => {
    const { next } = latest.current.state.readings[latest.current.tab];
    if (next !== undefined) void read(latest.current.tab, next);
  }, [read]);
  const markAllRead = useCallback(async () => {
    const unread = Object.values(latest.current.state.items).filter((item) => item.readAt === null && !item.archivedAt);
    await mark(
      unread.map((item) => item.id),
      'read',
      { all: true },
    );
    reload();
  }, [mark, reload]);
  return useMemo(
    () => ({ state, live, error, loadMore, reload, mark, markAllRead, answer, readOne }),
    [state, live, error, loadMore, reload, mark, markAllRead, answer, readOne],
  );
}

type Dispatch = (change: InboxChange) => void;
type Latest = { readonly state: InboxState; readonly tab: Tab; readonly onNew: (item: InboxItem) => void };

function useMark(base: string, latest: { readonly current: Latest }, dispatch: Dispatch) {
  return useCallback(
    async (ids: readonly string[], as: Mark, which: { ids: readonly string[] } | { all: true } = { ids }) => {
      const before = find(latest.current.state, ids);
      dispatch({ kind: 'marked', ids, as, at: new Date().toISOString() });
      await post(`${base}/mark`, { ...which, as }).catch((error: unknown) => {
        dispatch({ kind: 'restored', items: before });
        throw error;
      });
    },
    [base, latest, dispatch],
  );
}

// A key per press: a request that is repeated on the way decides nothing twice, and is no refusal either.
function useAnswer(base: string, dispatch: Dispatch): Inbox['answer'] {
  return useCallback(
    async (item, actionId, inputs) => {
      const path = `${base}/${encodeURIComponent(item.id)}/actions/${encodeURIComponent(actionId)}`;
      const idempotencyKey = `${item.id}-${Date.now()}-${Math.random()}`;
      const decided = await post<{ id: string; decision: Decision }>(path, { inputs, idempotencyKey }).catch(
        (error: unknown) => {
          const decision = error instanceof Problem ? (error.details.decision as Decision | undefined) : undefined;
          if (decision) dispatch({ kind: 'decided', items: [{ id: item.id, decision }] });
          throw error;
        },
      );
      dispatch({ kind: 'decided', items: [decided] });
    },
    [base, dispatch],
  );
}

function takeFrame(frame: Frame, dispatch: Dispatch, latest: Latest, reload: () => void): void {
  const data = JSON.parse(frame.data);
  if (frame.event === 'counts') dispatch({ kind: 'counts', counts: data });
  if (frame.event === 'decided') dispatch({ kind: 'decided', items: data.items });
  if (frame.event === 'updated') for (const item of data.items) dispatch({ kind: 'item', item });
  if (frame.event === 'item') {
    const isNew = latest.state.items[data.id] === undefined;
    dispatch({ kind: 'item', item: data });
    if (isNew) latest.onNew(data);
  }
  if (frame.event === 'changed') {
    if (data.ids && data.as) dispatch({ kind: 'marked', ids: data.ids, as: data.as, at: new Date().toISOString() });
    else reload();
  }
}
