// Makes a one-time link that signs in as a person, to be copied into another browser or sent to them.
import { Button } from '@fluentui/react-button';
import { KeyRegular } from '@fluentui/react-icons';
import { useState } from 'react';
import { post } from '../kit/api.ts';
import { Command } from '../kit/Parts.tsx';
import { Exact } from '../kit/time.tsx';
import { useToasts } from '../kit/toasts.tsx';

type Link = { readonly url: string; readonly expiresAt: string };

export function SignInLink({ recipientId }: { readonly recipientId: string }) {
  const [link, setLink] = useState<Link>();
  const toasts = useToasts();
  const make = () =>
    void post<Link>('/v1/sign-in-links', { role: 'recipient', recipientId }).then(setLink, (error: unknown) =>
      toasts.fail('make the link', error),
    );
  if (!link) {
    return (
      <Button icon={<KeyRegular />} onClick={make}>
        Make a sign-in link
      </Button>
    );
  }
  return (
    <div className="link">
      <Command label={`the sign-in link for ${recipientId}`} text={link.url} />
      <p className="quiet">
        Works once, until <Exact at={link.expiresAt} seconds />. Opening it here would sign you out of the dashboard.
      </p>
    </div>
  );
}
