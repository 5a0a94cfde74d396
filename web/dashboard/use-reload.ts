// What the server knows is read again when the live figures move.
import { useEffect, useRef } from 'react';

const RELOAD_MS = 1_500;

/** At most one reload per 1.5 s, however fast the value moves. */
export function useReloadOnChange(value: number | string, reload: () => void): void {
  const first = useRef(value);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => {
    if (value === first.current || timer.current !== undefined) return;
    timer.current = setTimeout(() => {
      timer.current = undefined;
      first.current = value;
      reload();
    }, RELOAD_MS);
  }, [value, reload]);
  useEffect(() => () => clearTimeout(timer.current), []);
}
