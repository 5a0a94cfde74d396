// A card whose author drew it: an Adaptive Card, shown by its own renderer, which is loaded when the first one appears.
import { lazy, Suspense } from 'react';
import type { InboxItem } from '../../kit/api.ts';
import { Waiting } from '../../kit/Parts.tsx';
import type { Answer } from './Question.tsx';

const AdaptiveCardView = lazy(() => import('./AdaptiveCardView.tsx'));

export function RawCard({ item, answer }: { readonly item: InboxItem; readonly answer: Answer }) {
  return (
    <Suspense fallback={<Waiting what="the card" />}>
      <AdaptiveCardView item={item} answer={answer} />
    </Suspense>
  );
}
