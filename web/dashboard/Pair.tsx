// What a thing is called and what it is, in a list of class `pairs`.
import type { ReactNode } from 'react';

export function Pair({ name, value }: { readonly name: string; readonly value: ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}
