// Both pages begin alike: the looks, who is asking, and the way in when nobody is.
import { type ReactNode, StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { Problem, type WhoAmI } from './api.ts';
import { Failure, Waiting } from './Parts.tsx';
import { useResource } from './resource.ts';
import { SignIn } from './SignIn.tsx';
import { Themed } from './theme.tsx';
import { WithToasts } from './toasts.tsx';

export function startPage(page: 'dashboard' | 'me', render: (who: WhoAmI) => ReactNode): void {
  const element = document.getElementById('page');
  if (!element) throw new Error('the page has no element #page');
  createRoot(element).render(
    <StrictMode>
      <Themed>
        <WithToasts>
          <Gate page={page} render={render} />
        </WithToasts>
      </Themed>
    </StrictMode>,
  );
}

function Gate({ page, render }: { readonly page: 'dashboard' | 'me'; readonly render: (who: WhoAmI) => ReactNode }) {
  const me = useResource<WhoAmI>('/v1/me');
  if (me.value) return render(me.value);
  if (me.error instanceof Problem && me.error.status === 401) return <SignIn page={page} />;
  return (
    <main className="sign-in">
      {me.error ? (
        <Failure what="ask the server who you are" error={me.error} retry={me.reload} />
      ) : (
        <Waiting what="your session" />
      )}
    </main>
  );
}
