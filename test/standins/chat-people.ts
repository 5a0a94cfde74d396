// One page on which a person is the people of the stand-ins of Teams and Slack: they read what arrives, press its buttons,
// write to the assistant, install and block the app. Plain HTML and forms; for trying things by hand, on this machine.
import { Service, type StandinAnswer, type StandinRequest } from './service.ts';
import type { SlackMessage, SlackStandin } from './slack.ts';
import type { TeamsMessage, TeamsStandin } from './teams.ts';

type Person = { readonly id: string; readonly email: string };
type Button = { readonly label: string; readonly inputs: readonly string[] };
type Shown = {
  readonly id: string;
  readonly text: string;
  readonly edits: number;
  readonly buttons: readonly Button[];
};
type Place = 'teams' | 'slack';

export type ChatPeopleOptions = { readonly teams: TeamsStandin; readonly slack: SlackStandin; readonly port?: number };

export class ChatPeople {
  readonly #teams: TeamsStandin;
  readonly #slack: SlackStandin;
  readonly #people: Person[] = [];
  service!: Service;

  private constructor({ teams, slack }: ChatPeopleOptions) {
    this.#teams = teams;
    this.#slack = slack;
  }

  static async start(options: ChatPeopleOptions): Promise<ChatPeople> {
    const people = new ChatPeople(options);
    people.service = await Service.start({ port: options.port ?? 0, answer: (request) => people.answer(request) });
    return people;
  }

  stop(): Promise<void> {
    return this.service.stop();
  }

  /** Somebody who is in Teams and in Slack, by their mail address. */
  add(email: string): void {
    if (this.#people.some((each) => each.email === email)) return;
    const id = `P${this.#people.length + 1}`;
    this.#people.push({ id, email });
    this.#teams.addPerson(id, { name: email.split('@')[0]!, email });
    this.#slack.addPerson(`U${id}`, email);
  }

  async answer({ method, path, body, headers }: StandinRequest): Promise<StandinAnswer> {
    if (method === 'GET') return html(this.#page());
    // A page of another site must not press buttons here.
    if (headers.origin !== undefined && headers.origin !== this.service.url) return { status: 403 };
    const form = new URLSearchParams(String(body));
    const [, place, id, verb] = path.split('/');
    if (place === 'add') this.add(form.get('email') ?? '');
    else if (this.#people.some((each) => each.id === id)) await this.#act(place as Place, id!, verb!, form);
    return { status: 303, headers: { location: '/' } };
  }

  async #act(place: Place, id: string, verb: string, form: URLSearchParams): Promise<void> {
    const [message, label, text] = [form.get('message') ?? '', form.get('label') ?? '', form.get('text') ?? ''];
    const inputs = Object.fromEntries([...form].filter(([name]) => name.startsWith('input:')).map(cutPrefix));
    if (place === 'slack') {
      if (verb === 'say') await this.#slack.say(`U${id}`, text);
      if (verb === 'press') await this.#slack.press(`U${id}`, message, label, inputs);
      return;
    }
    if (verb === 'install') await this.#teams.install(id);
    if (verb === 'block') this.#teams.block(id);
    if (verb === 'say') await this.#teams.say(id, text);
    if (verb === 'press') await this.#teams.press(id, message, label, inputs);
  }

  #page(): string {
    const people = this.#people.map(({ id, email }) => {
      const inTeams = this.#teams.messagesOf(id).map((each) => teamsMessage(each));
      const inSlack = this.#slack.messagesOf(`U${id}`).map((each) => slackMessage(each));
      const app = `${form(`/teams/${id}/install`, 'Install the app')}${form(`/teams/${id}/block`, 'Block it')}`;
      return `<section><h2>${inHtml(email)}</h2><div class="two">
        <div><h3>Teams</h3>${app}${chat('teams', id, inTeams)}</div>
        <div><h3>Slack</h3>${chat('slack', id, inSlack)}</div></div></section>`;
    });
    const add = `<form method="post" action="/add"><input name="email" type="email" required placeholder="mail address"><button>Add a person</button></form>`;
    return `${people.join('')}<section><h2>Somebody else</h2>${add}</section>`;
  }
}

function teamsMessage({ id, activity, updates }: TeamsMessage): Shown {
  const buttons: Button[] = [];
  collect(activity, [], buttons);
  return { id, text: String(activity.summary ?? activity.text ?? ''), edits: updates, buttons };
}

/** Buttons that send, with the inputs of their own card and of those around it. */
function collect(value: unknown, around: readonly string[], buttons: Button[]): void {
  if (typeof value !== 'object' || value === null) return;
  const given = value as Record<string, unknown>;
  const inputs = given.type === 'AdaptiveCard' ? [...around, ...inputsIn(given.body)] : around;
  if (given.type === 'Action.Execute') buttons.push({ label: String(given.title), inputs });
  else for (const each of Object.values(given)) collect(each, inputs, buttons);
}

function inputsIn(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return [];
  const { type, id } = value as { type?: unknown; id?: unknown };
  if (type === 'AdaptiveCard') return [];
  return String(type).startsWith('Input.') ? [String(id)] : Object.values(value).flatMap(inputsIn);
}

function slackMessage({ ts, text, blocks, updates }: SlackMessage): Shown {
  const inputs = blocks.flatMap((block) =>
    block.type === 'input' ? [String((block.element as { action_id?: string }).action_id)] : [],
  );
  const buttons = blocks.flatMap((block) =>
    block.type === 'actions'
      ? (block.elements as { text: { text: string }; url?: string }[]).filter(({ url }) => url === undefined)
      : [],
  );
  return { id: ts, text, edits: updates, buttons: buttons.map((each) => ({ label: each.text.text, inputs })) };
}

function chat(place: Place, id: string, messages: readonly Shown[]): string {
  const shown = messages.map(({ id: message, text, edits, buttons }) => {
    const presses = buttons.map(({ label, inputs }) => {
      const fields = inputs.map((name) => `<input name="input:${inHtml(name)}" placeholder="${inHtml(name)}">`);
      const hidden = `<input type="hidden" name="message" value="${inHtml(message)}"><input type="hidden" name="label" value="${inHtml(label)}">`;
      return form(`/${place}/${id}/press`, label, hidden + fields.join(''));
    });
    const edited = edits === 0 ? '' : ` <small>edited ${edits} times</small>`;
    return `<article><pre>${inHtml(text)}</pre>${edited}${presses.join('')}</article>`;
  });
  return `${shown.join('')}${form(`/${place}/${id}/say`, 'Say', '<input name="text" required placeholder="what is new">')}`;
}

function form(action: string, label: string, fields = ''): string {
  return `<form method="post" action="${inHtml(action)}">${fields}<button>${inHtml(label)}</button></form>`;
}

function html(body: string): StandinAnswer {
  const style =
    'body{font:15px system-ui;margin:2rem;color-scheme:light dark}.two{display:grid;grid-template-columns:1fr 1fr;gap:2rem}article{border:1px solid #8886;border-radius:8px;padding:.5rem 1rem;margin:.5rem 0}pre{white-space:pre-wrap;font:inherit;margin:.3rem 0}form{display:inline-block;margin:.2rem .4rem .2rem 0}';
  const text = `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>People of the stand-ins</title><style>${style}</style><h1>Teams and Slack, as their people see them</h1>${body}</html>`;
  return { status: 200, headers: { 'content-type': 'text/html; charset=utf-8' }, body: text };
}

function cutPrefix([name, value]: [string, string]): [string, string] {
  return [name.slice('input:'.length), value];
}

function inHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
}
