// Where the question on a card stands, as the API shows it.
import { Type } from 'typebox';
import { type Decision, questionStates } from '../../assistant/cards/decision.ts';
import { Time } from './schemas.ts';

export const DecisionSchema = Type.Object(
  {
    state: Type.Enum([...questionStates], {
      description:
        '`open`: it can be answered. `decided`: somebody has. `expired`: nobody did in time. `withdrawn`: it is no longer asked.',
    }),
    expiresAt: Type.Optional(Time('Until when it can be answered.')),
    ownRequest: Type.Optional(
      Type.Literal(true, { description: 'It is open, but not for this person: they asked for it themselves.' }),
    ),
    at: Type.Optional(Time('When it was settled.')),
    by: Type.Optional(
      Type.Object({ id: Type.String(), name: Type.Optional(Type.String()) }, { description: 'Who decided.' }),
    ),
    actionId: Type.Optional(Type.String({ examples: ['approve'] })),
    label: Type.Optional(Type.String({ examples: ['Approve'] })),
    reason: Type.Optional(Type.String()),
    inputs: Type.Optional(Type.Record(Type.String(), Type.String())),
    surface: Type.Optional(Type.String({ examples: ['inbox'] })),
  },
  { description: 'Where the question of the card stands; only cards with actions have one.' },
);

export function decisionJson({ expiresAt, at, ...rest }: Decision) {
  return {
    ...rest,
    ...(expiresAt && { expiresAt: expiresAt.toISOString() }),
    ...(at && { at: at.toISOString() }),
  };
}
