import type { Category } from '../kit/api.ts';
import { PreferencesForm } from '../preferences/PreferencesForm.tsx';

export function PreferencesPage({
  recipientId,
  categories,
}: {
  readonly recipientId: string;
  readonly categories: readonly Category[] | undefined;
}) {
  return (
    <div className="narrow">
      <h1>Preferences</h1>
      <PreferencesForm recipientId={recipientId} categories={categories} />
    </div>
  );
}
