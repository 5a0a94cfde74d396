// "Only when ...": one comparison as a form, or the condition as text for those who know the filter language.
import { Button } from '@fluentui/react-button';
import { Field } from '@fluentui/react-field';
import { FilterRegular } from '@fluentui/react-icons';
import { Input } from '@fluentui/react-input';
import { type FormEvent, useId, useState } from 'react';
import { type Category, sentence } from '../kit/api.ts';
import {
  ALWAYS,
  type Comparison,
  lacking,
  type Operator,
  operators,
  parseComparison,
  printComparison,
} from './condition.ts';

const operatorWords: Record<Operator, string> = {
  '>': 'is more than',
  '>=': 'is at least',
  '<': 'is less than',
  '<=': 'is at most',
  '=': 'is',
  '<>': 'is not',
  like: 'contains',
};

type EditorProps = {
  readonly category: Category;
  /** The person's own condition; without one the organisation's holds. */
  readonly when: string | undefined;
  /** An empty text takes the person's own condition away. Rejects with the server's reason. */
  readonly save: (when: string) => Promise<void>;
};

export function ConditionEditor({ category, when, save }: EditorProps) {
  const [editing, setEditing] = useState(false);
  const title = category.title ?? category.name;
  const inForce = when ?? category.defaults?.when;
  const always = inForce === undefined || inForce === ALWAYS;
  if (editing)
    return (
      <Editor category={category} when={always ? undefined : inForce} save={save} close={() => setEditing(false)} />
    );
  return (
    <div className="when">
      <FilterRegular aria-hidden="true" />
      <span className={always ? 'quiet' : undefined}>
        {always ? 'Every time' : <>Only when {inWords(inForce, category)}</>}
        {when === undefined && !always && <span className="quiet"> (set by your organisation)</span>}
      </span>
      <Button size="small" appearance="transparent" onClick={() => setEditing(true)}>
        {always ? 'Only when …' : 'Change'}
        <span className="unseen-text"> for {title}</span>
      </Button>
    </div>
  );
}

function inWords(when: string, category: Category) {
  const comparison = parseComparison(when);
  if (!comparison) return <code>{when}</code>;
  return (
    <strong>
      {labelOf(category, comparison.field)} {operatorWords[comparison.operator]} {comparison.value}
    </strong>
  );
}

function labelOf(category: Category, field: string): string {
  return category.fields?.find((known) => known.name === field)?.label ?? field.replace(/^data\./, '');
}

type EditorState = { readonly asText: boolean; readonly text: string; readonly comparison: Comparison };

function Editor({ category, when, save, close }: EditorProps & { readonly close: () => void }) {
  const [state, setState] = useState<EditorState>(() => stateOf(when, category));
  const [problem, setProblem] = useState<string>();
  const [busy, setBusy] = useState(false);
  const kind = category.fields?.find((field) => field.name === state.comparison.field)?.kind;
  const store = (text: string) => {
    setBusy(true);
    save(text).then(close, (error: unknown) => {
      setProblem(sentence(error));
      setBusy(false);
    });
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const missing = state.asText ? undefined : lacking(state.comparison, kind);
    if (missing) setProblem(missing);
    else store(state.asText ? state.text.trim() : printComparison(state.comparison, kind));
  };
  return (
    <form className="when-form" onSubmit={submit} aria-label={`When to hear about ${category.title ?? category.name}`}>
      {state.asText ? (
        <AsText text={state.text} problem={problem} change={(text) => setState({ ...state, text })} />
      ) : (
        <AsForm
          category={category}
          comparison={state.comparison}
          problem={problem}
          change={(comparison) => setState({ ...state, comparison })}
        />
      )}
      <div className="when-buttons">
        <Button type="submit" appearance="primary" size="small" disabled={busy}>
          Save
        </Button>
        <Button size="small" onClick={close}>
          Cancel
        </Button>
        {when !== undefined && (
          <Button
            size="small"
            appearance="subtle"
            disabled={busy}
            onClick={() => store(category.defaults?.when === undefined ? '' : ALWAYS)}
          >
            Every time
          </Button>
        )}
        <Button
          size="small"
          appearance="transparent"
          className="when-switch"
          onClick={() => setState(other(state, kind))}
        >
          {state.asText ? 'Use the form' : 'Write it as text'}
        </Button>
      </div>
    </form>
  );
}

function stateOf(when: string | undefined, category: Category): EditorState {
  const field = category.fields?.[0];
  const fresh: Comparison = { field: field?.name ?? '', operator: field?.kind === 'text' ? '=' : '>=', value: '' };
  const comparison = when === undefined ? fresh : parseComparison(when);
  return { asText: comparison === undefined, text: when ?? '', comparison: comparison ?? fresh };
}

function other(state: EditorState, kind: 'number' | 'text' | undefined): EditorState {
  if (state.asText) return { ...state, asText: false, comparison: parseComparison(state.text) ?? state.comparison };
  return {
    ...state,
    asText: true,
    text: lacking(state.comparison, kind) ? state.text : printComparison(state.comparison, kind),
  };
}

type AsFormProps = {
  readonly category: Category;
  readonly comparison: Comparison;
  readonly problem: string | undefined;
  readonly change: (comparison: Comparison) => void;
};

function AsForm({ category, comparison, problem, change }: AsFormProps) {
  const ids = { field: useId(), operator: useId() };
  const known = category.fields ?? [];
  return (
    <div className="when-row">
      <span className="when-lead">Only when</span>
      {known.length > 0 ? (
        <select
          className="pick"
          aria-label="Field"
          value={comparison.field}
          onChange={(event) => change({ ...comparison, field: event.target.value })}
        >
          {!known.some((field) => field.name === comparison.field) && (
            <option value={comparison.field}>{comparison.field}</option>
          )}
          {known.map((field) => (
            <option key={field.name} value={field.name}>
              {field.label}
            </option>
          ))}
        </select>
      ) : (
        <Input
          id={ids.field}
          aria-label="Field of the event"
          placeholder="data.amount"
          value={comparison.field}
          onChange={(_, data) => change({ ...comparison, field: data.value })}
        />
      )}
      <select
        className="pick"
        id={ids.operator}
        aria-label="Comparison"
        value={comparison.operator}
        onChange={(event) => change({ ...comparison, operator: event.target.value as Operator })}
      >
        {operators.map((operator) => (
          <option key={operator} value={operator}>
            {operatorWords[operator]}
          </option>
        ))}
      </select>
      <Field validationState={problem ? 'error' : 'none'} validationMessage={problem}>
        <Input
          aria-label="Value"
          placeholder="500"
          value={comparison.value}
          onChange={(_, data) => change({ ...comparison, value: data.value })}
        />
      </Field>
    </div>
  );
}

type AsTextProps = {
  readonly text: string;
  readonly problem: string | undefined;
  readonly change: (text: string) => void;
};

function AsText({ text, problem, change }: AsTextProps) {
  return (
    <Field
      label="Only when"
      hint="Over the event: type, source, subject, [data.name]. For example: [data.amount] > 500 and type <> 'account.fee'"
      validationState={problem ? 'error' : 'none'}
      validationMessage={problem}
    >
      <Input className="when-text" value={text} onChange={(_, data) => change(data.value)} />
    </Field>
  );
}
