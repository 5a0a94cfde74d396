// From nothing to the first notice in three steps. Open until events have come, then one line.
import { Button } from '@fluentui/react-button';
import { ChevronDownRegular, ChevronRightRegular, SendRegular } from '@fluentui/react-icons';
import { useState } from 'react';
import { post } from '../kit/api.ts';
import { Command } from '../kit/Parts.tsx';
import { to } from '../kit/route.ts';
import { useToasts } from '../kit/toasts.tsx';
import { SignInLink } from './SignInLink.tsx';

const person = 'ada';

// What the shipped configuration tells somebody about; for any other topic the event only shows how to send one.
function sampleEvent(topic: string) {
  const isHr = topic === 'hr';
  return {
    specversion: '1.0',
    source: '/first-steps',
    type: isHr ? 'hr.employee.joined' : `${topic}.something.happened`,
    data: isHr
      ? { employee: { id: 'grace', name: 'Grace Hopper' }, team: 'Compilers', notify: [person] }
      : { hello: person },
  };
}

export function FirstSteps({ quiet, topics }: { readonly quiet: boolean; readonly topics: readonly string[] }) {
  const [chosen, setChosen] = useState<boolean>();
  const open = chosen ?? quiet;
  const topic = topics.includes('hr') || topics.length === 0 ? 'hr' : (topics[0] ?? 'hr');
  return (
    <section className="steps" aria-labelledby="steps-title">
      <h2 id="steps-title">
        <button type="button" className="steps-head" aria-expanded={open} onClick={() => setChosen(!open)}>
          {open ? <ChevronDownRegular /> : <ChevronRightRegular />}
          {quiet ? 'Send your first event' : 'Send an event'}
          <span className="quiet">from your terminal or from here</span>
        </button>
      </h2>
      {open && <Steps topic={topic} />}
    </section>
  );
}

function Steps({ topic }: { readonly topic: string }) {
  const event = sampleEvent(topic);
  const curl = [
    `curl -X POST ${window.location.origin}/v1/topics/${topic}/events \\`,
    `  -H "Authorization: Bearer $(cat .carillon/admin-key)" \\`,
    `  -H 'Content-Type: application/cloudevents+json' \\`,
    `  -d '{"specversion": "1.0", "id": "first-1", "source": "${event.source}", "type": "${event.type}",`,
    `       "data": ${JSON.stringify(event.data)}}'`,
  ].join('\n');
  return (
    <ol className="steps-list">
      <li>
        <h3>Open the inbox of {person}</h3>
        <p>A link that signs in as {person}, for another browser or a private window. Works once.</p>
        <SignInLink recipientId={person} />
      </li>
      <li>
        <h3>Tell Carillon what happened</h3>
        <Command label="the curl command" text={curl} />
        <SendHere topic={topic} />
      </li>
      <li>
        <h3>See why it arrived</h3>
        <p>
          {person}'s inbox shows it at once. <a href={to('topics', topic)}>Open the topic {topic}</a> and then the
          event: it tells which notification matched, whom it concerned and what each of them wanted.
        </p>
        <p>Or let a backend talk for a while:</p>
        <Command label="the command that plays a backend" text={`npx carillon simulate ${topic} --every 10s`} />
      </li>
    </ol>
  );
}

function SendHere({ topic }: { readonly topic: string }) {
  const toasts = useToasts();
  const send = async () => {
    const event = { ...sampleEvent(topic), id: crypto.randomUUID?.() ?? String(Date.now()) };
    await post(`/v1/topics/${encodeURIComponent(topic)}/events`, event, 'application/cloudevents+json');
    toasts.say('Sent');
  };
  return (
    <Button
      icon={<SendRegular />}
      onClick={() => void send().catch((error: unknown) => toasts.fail('send the event', error))}
    >
      Send it from here
    </Button>
  );
}
