// One person's preferences: every change shows at once, is saved by itself, and is taken back when the server refuses.
import { useCallback, useRef, useState } from 'react';
import { type Preferences, put } from '../kit/api.ts';
import { type Resource, useResource } from '../kit/resource.ts';
import { useToasts } from '../kit/toasts.tsx';

export type Saving = 'idle' | 'saving' | 'saved';

export type EditablePreferences = {
  readonly read: Resource<Preferences>;
  readonly value: Preferences | undefined;
  readonly saving: Saving;
  /** Rejects when the server refuses; the old preferences are shown again by then. */
  readonly change: (next: Preferences) => Promise<void>;
};

export function usePreferences(recipientId: string): EditablePreferences {
  const path = `/v1/recipients/${encodeURIComponent(recipientId)}/preferences`;
  const read = useResource<Preferences>(path);
  const [own, setOwn] = useState<Preferences>();
  const [saving, setSaving] = useState<Saving>('idle');
  const toasts = useToasts();
  const value = own ?? read.value;
  // Saves go one after the other, so that the last change is the last one the server hears of.
  const line = useRef<Promise<unknown>>(Promise.resolve());
  const confirmed = useRef<Preferences>(undefined);
  confirmed.current ??= read.value;

  const save = useCallback(
    (next: Preferences): Promise<void> => {
      setOwn(next);
      setSaving('saving');
      const saved = line.current
        .then(() => put<Preferences>(path, next))
        .then(
          () => {
            confirmed.current = next;
            setSaving('saved');
          },
          (error: unknown) => {
            setOwn(confirmed.current);
            setSaving('idle');
            throw error;
          },
        );
      line.current = saved.catch(() => undefined);
      return saved;
    },
    [path],
  );
  const change = useCallback(
    async (next: Preferences) => {
      const before = value;
      await save(next);
      const undo = before && (() => void save(before).catch((error: unknown) => toasts.fail('take it back', error)));
      toasts.say('Saved', undo);
    },
    [value, save, toasts],
  );
  return { read, value, saving, change };
}
