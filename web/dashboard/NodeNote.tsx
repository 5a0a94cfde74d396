// Said where several servers share the work: what each counts in its own memory is not the whole.
import type { Stats } from './stats.ts';

export function NodeNote({ stats }: { readonly stats: Stats | undefined }) {
  if (!stats || stats.alone) return null;
  return (
    <p className="quiet grid-note">
      Several nodes share this database: pushes, states and rates are those of the node that answers this page; devices,
      backlogs and dead letters are of all.
    </p>
  );
}
