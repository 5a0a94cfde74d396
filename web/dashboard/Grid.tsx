// The dashboard's tables of numbers: the same columns look alike everywhere.
import type { ReactNode } from 'react';
import { Sparkline } from './Sparkline.tsx';
import { count, rate, recent } from './stats.ts';

export type Column = {
  readonly name: string;
  /** `wide`: a number that narrow windows leave out. `go`: where the row leads, without a visible heading. */
  readonly kind?: 'chart' | 'number' | 'wide' | 'go';
};

const headClasses: Record<NonNullable<Column['kind']>, string> = {
  chart: 'grid-chart',
  number: 'number',
  wide: 'number grid-wide',
  go: 'grid-go',
};

type GridProps = { readonly columns: readonly Column[]; readonly className?: string; readonly children: ReactNode };

export function Grid({ columns, className, children }: GridProps) {
  return (
    <table className={className ? `grid ${className}` : 'grid'}>
      <thead>
        <tr>
          {columns.map(({ name, kind }) => (
            <th key={name} scope="col" className={kind && headClasses[kind]}>
              {kind === 'go' ? <span className="unseen-text">{name}</span> : name}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>{children}</tbody>
    </table>
  );
}

/** The last minute as a line, and how many a second there are now. */
export function RateCells({ values }: { readonly values: readonly number[] }) {
  return (
    <>
      <td className="grid-chart">
        <Sparkline values={values} />
      </td>
      <td className="number">{rate(recent(values))}</td>
    </>
  );
}

/** How many wait, and how many were given up. */
export function BacklogCells({ behind, dead }: { readonly behind: number; readonly dead: number }) {
  return (
    <>
      <td className="number">{count(behind)}</td>
      <td className={dead > 0 ? 'number bad' : 'number'}>{count(dead)}</td>
    </>
  );
}
