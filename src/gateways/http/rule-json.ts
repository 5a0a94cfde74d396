// Rules in JSON: a filter is SQL text, or an object that says its type.
import { Type } from 'typebox';
import { CORRELATION_FIELDS, type CorrelationFilter, type Rule, type RuleFilter } from '../../topics/entities/rule.ts';
import type { PropertyValue } from '../../topics/message.ts';
import { PropertiesSchema, propertiesFromJson, propertiesToJson } from './property-json.ts';

const correlationFields = Object.fromEntries(
  CORRELATION_FIELDS.map((field) => [field, Type.Optional(Type.String({ maxLength: 1024 }))]),
);

export const FilterSchema = Type.Object(
  {
    type: Type.Enum(['sql', 'correlation', 'true', 'false']),
    expression: Type.Optional(Type.String({ maxLength: 65_536, description: 'Of an `sql` filter.' })),
    parameters: Type.Optional(PropertiesSchema),
    ...correlationFields,
    properties: Type.Optional(PropertiesSchema),
  },
  { additionalProperties: false },
);

export const RuleInputSchema = Type.Object(
  {
    filter: Type.Union([Type.String({ maxLength: 65_536, description: 'SQL, for short.' }), FilterSchema]),
    action: Type.Optional(Type.String({ maxLength: 65_536, description: 'An SQL action on the subscription’s copy.' })),
  },
  {
    additionalProperties: false,
    examples: [
      { filter: "[cloudEvents:type] = 'hr.employee.joined'" },
      { filter: { type: 'correlation', subject: 'joined' }, action: "SET urgency = 'high'" },
    ],
  },
);

export const RuleSchema = Type.Object({
  name: Type.String(),
  filter: FilterSchema,
  action: Type.Optional(Type.String()),
  createdAt: Type.Optional(Type.String({ format: 'date-time' })),
});

export type RuleInput = {
  readonly filter: string | Readonly<Record<string, unknown>>;
  readonly action?: string | undefined;
};

/** `given` fits RuleInputSchema; what only the filter language knows, the broker checks. */
export function ruleFromJson(name: string, { filter, action }: RuleInput): Rule {
  return { name, filter: filterFromJson(filter), ...(action === undefined ? {} : { action }) };
}

function filterFromJson(given: RuleInput['filter']): RuleFilter {
  if (typeof given === 'string') return { type: 'sql', expression: given };
  const { type, expression, parameters, properties, ...fields } = given;
  if (type === 'true' || type === 'false') return { type };
  if (type === 'correlation') {
    // The schema allows only the fields of a correlation filter, as texts.
    return {
      ...(fields as Omit<CorrelationFilter, 'type'>),
      type,
      ...(properties ? { properties: read(properties) } : {}),
    };
  }
  return { type: 'sql', expression: String(expression ?? ''), ...(parameters ? { parameters: read(parameters) } : {}) };
}

function read(given: unknown): Record<string, PropertyValue> {
  return propertiesFromJson(given as Record<string, unknown>); // the schema says that it is an object
}

export function ruleToJson({ name, filter, action, createdAt }: Rule) {
  return {
    name,
    filter: filterToJson(filter),
    ...(action === undefined ? {} : { action }),
    ...(createdAt === undefined ? {} : { createdAt: createdAt.toISOString() }),
  };
}

function filterToJson(filter: RuleFilter) {
  if (filter.type === 'sql' && filter.parameters) return { ...filter, parameters: propertiesToJson(filter.parameters) };
  if (filter.type === 'correlation' && filter.properties)
    return { ...filter, properties: propertiesToJson(filter.properties) };
  return filter;
}
