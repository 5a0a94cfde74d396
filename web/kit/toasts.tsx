// Short words at the edge of the page about what was just done, with a way to take it back.
import { Button } from '@fluentui/react-button';
import { Toast, ToastBody, Toaster, ToastTitle, ToastTrigger, useToastController } from '@fluentui/react-toast';
import { createContext, type ReactNode, use, useId, useMemo } from 'react';
import { sentence } from './api.ts';

export type Toasts = {
  readonly say: (words: string, undo?: () => void) => void;
  /** `what` completes "Could not ...". */
  readonly fail: (what: string, error: unknown) => void;
};

const ToastContext = createContext<Toasts>({ say: () => {}, fail: () => {} });
export const useToasts = () => use(ToastContext);

export function WithToasts({ children }: { readonly children: ReactNode }) {
  const id = useId();
  const { dispatchToast } = useToastController(id);
  const toasts = useMemo<Toasts>(
    () => ({
      say: (words, undo) =>
        dispatchToast(<Done words={words} undo={undo} />, { intent: 'success', timeout: undo ? 7_000 : 3_000 }),
      fail: (what, error) => dispatchToast(<Failed what={what} error={error} />, { intent: 'error', timeout: 10_000 }),
    }),
    [dispatchToast],
  );
  return (
    <ToastContext value={toasts}>
      {children}
      <Toaster toasterId={id} position="bottom" offset={{ vertical: isNarrow() ? 72 : 20 }} pauseOnHover />
    </ToastContext>
  );
}

/** On a phone the places to go are at the bottom; toasts stay above them. */
function isNarrow(): boolean {
  return window.matchMedia('(max-width: 720px)').matches;
}

function Done({ words, undo }: { readonly words: string; readonly undo: (() => void) | undefined }) {
  const action = undo && (
    <ToastTrigger>
      <Button className="toast-undo" size="small" appearance="transparent" onClick={undo}>
        Undo
      </Button>
    </ToastTrigger>
  );
  return (
    <Toast>
      <ToastTitle action={action}>{words}</ToastTitle>
    </Toast>
  );
}

function Failed({ what, error }: { readonly what: string; readonly error: unknown }) {
  return (
    <Toast>
      <ToastTitle>Could not {what}</ToastTitle>
      <ToastBody>{sentence(error)}</ToastBody>
    </Toast>
  );
}
