// An inbox that never had anything: says what will come, so that nobody wonders whether it works.
import { AlertRegular } from '@fluentui/react-icons';
import type { Category } from '../kit/api.ts';
import { Empty, Glyph } from '../kit/Parts.tsx';
import { to } from '../kit/route.ts';

export function WhatWillCome({
  categories,
  name,
}: {
  readonly categories: readonly Category[] | undefined;
  readonly name: string;
}) {
  return (
    <Empty icon={<AlertRegular />} title={`Nothing yet, ${name}`}>
      <p>When something happens that concerns you, it shows here at once, without reloading.</p>
      {categories && categories.length > 0 && (
        <>
          <h3>What you will hear about</h3>
          <ul className="coming">
            {categories.map((category) => (
              <li key={category.name}>
                <Glyph name={category.name} label={category.title ?? category.name} />
                <span>
                  <strong>{category.title ?? category.name}</strong>
                  {category.description && <span>{category.description}</span>}
                </span>
              </li>
            ))}
          </ul>
          <p>
            Too much, or too little? <a href={to('preferences')}>Choose what you get, and where</a>.
          </p>
        </>
      )}
    </Empty>
  );
}
