// The conversation with the assistant: Web Chat, loaded when it is first opened, connected to our own server.
import { useEffect, useRef, useState } from 'react';
import { cleanMarkdown, isSafeAddress } from '../../kit/clean-markdown.ts';
import { Failure, Waiting } from '../../kit/Parts.tsx';
import { useToasts } from '../../kit/toasts.tsx';
import { hostConfig } from '../cards/host-config.ts';
import { Connecting, type Connection } from './connection.ts';
import { styleOptions } from './look.ts';
import { loadWebChat, type WebChat } from './web-chat.ts';
import './assistant.css';

type PanelProps = { readonly recipientId: string; readonly name: string; readonly hidden: boolean };

/** Stays where it is once it was opened, hidden or not: the conversation goes on. */
export default function AssistantPanel({ recipientId, name, hidden }: PanelProps) {
  const place = useRef<HTMLDivElement>(null);
  const [problem, setProblem] = useState<unknown>();
  const [round, setRound] = useState(0);
  const [ready, setReady] = useState(false);
  const toasts = useToasts();
  const latest = useRef(toasts);
  latest.current = toasts;
  // biome-ignore lint/correctness/useExhaustiveDependencies: `round` is what "try again" changes
  useEffect(() => {
    let connecting: Connecting | undefined;
    let over = false;
    const show = (webChat: WebChat, { directLine }: Connection) => {
      setProblem(undefined);
      setReady(true);
      if (!place.current) return;
      webChat.renderWebChat(
        {
          directLine,
          userID: recipientId,
          username: name,
          locale: navigator.language,
          styleOptions,
          adaptiveCardsHostConfig: hostConfig,
          renderMarkdown: cleanMarkdown,
          cardActionMiddleware: () => (next) => (given) => {
            if (given.cardAction.type !== 'openUrl') return next(given);
            openSafely(String(given.cardAction.value), latest.current);
          },
        },
        place.current,
      );
    };
    loadWebChat().then((webChat) => {
      if (over) return;
      connecting = new Connecting(webChat, { onConnection: (each) => show(webChat, each), onProblem: setProblem });
      void connecting.start();
    }, setProblem);
    return () => {
      over = true;
      connecting?.stop();
    };
  }, [recipientId, name, round]);
  return (
    <section className="assistant" aria-label="Assistant" hidden={hidden}>
      <h1 className="unseen-text">Assistant</h1>
      {problem !== undefined && !ready && (
        <Failure what="open the conversation" error={problem} retry={() => setRound((n) => n + 1)} />
      )}
      {problem === undefined && !ready && <Waiting what="the conversation" />}
      <div className="assistant-chat" ref={place} />
    </section>
  );
}

function openSafely(url: string, toasts: ReturnType<typeof useToasts>): void {
  if (isSafeAddress(url)) window.open(url, '_blank', 'noopener,noreferrer');
  else toasts.fail('open the link', new Error('Its address is not one of the web.'));
}
