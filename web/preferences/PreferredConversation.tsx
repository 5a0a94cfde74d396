// In which of several conversations the assistant speaks to a person first.
import type { Preferences } from '../kit/api.ts';

const surfaces = { directline: 'Here', teams: 'Microsoft Teams', slack: 'Slack' } as const;
type Surface = keyof typeof surfaces;

type PreferredProps = { readonly value: Preferences; readonly change: (next: Preferences) => void };

export function PreferredConversation({ value, change }: PreferredProps) {
  const { preferredConversation, ...rest } = value;
  const choose = (name: string) => change(name === '' ? rest : { ...rest, preferredConversation: name as Surface }); // the options are its names
  return (
    <label className="flag-choice">
      First in{' '}
      <select className="pick" value={preferredConversation ?? ''} onChange={(event) => choose(event.target.value)}>
        <option value="">the one I used last</option>
        {Object.entries(surfaces).map(([name, words]) => (
          <option key={name} value={name}>
            {words}
          </option>
        ))}
      </select>
    </label>
  );
}
