// Finds a person by any part of their id, name or mail address.
import { ChevronRightRegular, PeopleRegular, SearchRegular } from '@fluentui/react-icons';
import { Input } from '@fluentui/react-input';
import { useDeferredValue, useState } from 'react';
import { type Page, query } from '../kit/api.ts';
import { Empty, Failure, Glyph, Waiting } from '../kit/Parts.tsx';
import { useResource } from '../kit/resource.ts';
import { to } from '../kit/route.ts';

export type Recipient = {
  readonly id: string;
  readonly displayName?: string;
  readonly email?: string;
  readonly locale?: string;
  readonly timeZone?: string;
  readonly attributes?: Readonly<Record<string, unknown>>;
};

export function PeoplePage() {
  const [typed, setTyped] = useState('');
  const search = useDeferredValue(typed.trim());
  const found = useResource<Page<Recipient>>(`/v1/recipients${query({ search, limit: 50 })}`);
  return (
    <div className="narrow">
      <h1>People</h1>
      <Input
        className="search"
        size="large"
        aria-label="Find a person by any part of their id, name or mail address"
        placeholder="Find by name, id or mail address"
        contentBefore={<SearchRegular />}
        value={typed}
        onChange={(_, data) => setTyped(data.value)}
      />
      {found.error !== undefined && <Failure what="look for people" error={found.error} retry={found.reload} />}
      {!found.value && found.error === undefined && <Waiting what="people" />}
      {found.value && <Found items={found.value.items} more={Boolean(found.value.next)} search={search} />}
    </div>
  );
}

function Found({
  items,
  more,
  search,
}: {
  readonly items: readonly Recipient[];
  readonly more: boolean;
  readonly search: string;
}) {
  if (items.length === 0) {
    return (
      <Empty
        icon={<PeopleRegular />}
        title={search === '' ? 'Nobody yet' : `Nobody's id, name or address holds “${search}”`}
      >
        <p>
          A person is known from the first event that concerns them, or once they are added by PUT /v1/recipients/id.
        </p>
      </Empty>
    );
  }
  return (
    <>
      <ul className="list">
        {items.map((person) => (
          <li key={person.id}>
            <a className="list-row" href={to('people', person.id)}>
              <Glyph name={person.id} label={person.displayName ?? person.id} />
              <span className="list-main">
                <strong>{person.displayName ?? person.id}</strong>
                <span className="quiet">
                  {[person.displayName && person.id, person.email].filter(Boolean).join(' · ')}
                </span>
              </span>
              <ChevronRightRegular className="list-go" />
            </a>
          </li>
        ))}
      </ul>
      {more && <p className="quiet list-more">There are more; type more of the name.</p>}
    </>
  );
}
