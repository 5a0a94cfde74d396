// What somebody sees who is not signed in: how to get in.
import { Command } from './Parts.tsx';
import { ModeButton } from './Shell.tsx';

export function SignIn({ page }: { readonly page: 'dashboard' | 'me' }) {
  return (
    <main className="sign-in">
      <div className="sign-in-mode">
        <ModeButton />
      </div>
      <img src="/icon.svg" alt="" width={56} height={56} />
      <h1>{page === 'me' ? 'Open your inbox with a sign-in link' : 'Sign in to the dashboard'}</h1>
      {page === 'me' ? <ForPeople /> : <ForThePlatformTeam />}
    </main>
  );
}

function ForPeople() {
  return (
    <>
      <p>
        You are not signed in on this device. Ask whoever runs Carillon at your company for a link; it works once,
        within 15 minutes.
      </p>
      <h2>You run it yourself?</h2>
      <p>Make a link for a person and open it here:</p>
      <Command label="the command that makes a sign-in link" text="npx carillon sign-in ada" />
    </>
  );
}

function ForThePlatformTeam() {
  return (
    <>
      <p>
        The console of <code>npm start</code> prints a link that signs you in. It works once, within 15 minutes. It is
        gone? Make a new one where Carillon runs:
      </p>
      <Command label="the command that makes a sign-in link" text="npx carillon sign-in" />
      <p className="quiet">
        Looking for your own notices? They are at <a href="/me">/me</a>.
      </p>
    </>
  );
}
