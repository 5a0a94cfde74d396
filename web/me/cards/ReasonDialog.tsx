// Asks why, for answers that need a reason. A refusal leaves the words where they are.
import { Button } from '@fluentui/react-button';
import { Dialog, DialogActions, DialogBody, DialogContent, DialogSurface, DialogTitle } from '@fluentui/react-dialog';
import { Field } from '@fluentui/react-field';
import { Textarea } from '@fluentui/react-textarea';
import { type FormEvent, useState } from 'react';
import { type CardAction, sentence } from '../../kit/api.ts';

type DialogProps = {
  readonly action: CardAction;
  readonly title: string;
  /** Rejects with what the server refused. */
  readonly send: (reason: string) => Promise<void>;
  readonly close: () => void;
};

const LONGEST = 1_000;

export function ReasonDialog({ action, title, send, close }: DialogProps) {
  const [reason, setReason] = useState('');
  const [problem, setProblem] = useState<string>();
  const [busy, setBusy] = useState(false);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (reason.trim() === '') return setProblem('Say why in a few words');
    setBusy(true);
    send(reason.trim()).then(close, (error: unknown) => {
      setProblem(sentence(error));
      setBusy(false);
    });
  };
  return (
    <Dialog open onOpenChange={(_, { open }) => open || close()}>
      <DialogSurface>
        <form onSubmit={submit} noValidate>
          <DialogBody>
            <DialogTitle>{action.label}</DialogTitle>
            <DialogContent>
              <p className="quiet">{title}</p>
              <Field
                className="reason"
                label="Reason"
                required
                validationState={problem ? 'error' : 'none'}
                validationMessage={problem}
              >
                <Textarea
                  value={reason}
                  maxLength={LONGEST}
                  rows={4}
                  resize="vertical"
                  onChange={(_, data) => setReason(data.value)}
                />
              </Field>
            </DialogContent>
            <DialogActions>
              <Button onClick={close}>Cancel</Button>
              <Button type="submit" appearance="primary" disabled={busy}>
                {action.label}
              </Button>
            </DialogActions>
          </DialogBody>
        </form>
      </DialogSurface>
    </Dialog>
  );
}
