// The page /docs, written from the OpenAPI document: plain HTML that works without scripts, fonts or other hosts.
import { refusals } from '../../kit/refusal.ts';
import { escapeHtml } from './plain-page.ts';

export type Schema = {
  readonly type?: string | readonly string[];
  readonly $ref?: string;
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly anyOf?: readonly Schema[];
  readonly additionalProperties?: boolean | Schema;
  readonly patternProperties?: Readonly<Record<string, Schema>>;
  readonly default?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly maxLength?: number;
};
type Media = { readonly schema?: Schema; readonly example?: unknown };
type Content = Readonly<Record<string, Media>>;
type Parameter = {
  readonly name: string;
  readonly in: string;
  readonly required?: boolean;
  readonly description?: string;
  readonly example?: unknown;
  readonly schema: Schema;
};
export type Operation = {
  readonly operationId?: string;
  readonly summary?: string;
  readonly description?: string;
  readonly tags?: readonly string[];
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly content: Content };
  readonly responses?: Readonly<Record<string, { readonly description?: string; readonly content?: Content }>>;
};
export type Document = {
  readonly info: { readonly title: string; readonly version: string; readonly description: string };
  readonly tags: readonly { readonly name: string; readonly description: string }[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
};

type Entry = { readonly method: string; readonly path: string; readonly operation: Operation };

export function docsPage(document: Document): string {
  const entries = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]): Entry => ({ method: method.toUpperCase(), path, operation })),
  );
  const shown = document.tags.filter(({ name }) => entries.some(({ operation }) => operation.tags?.includes(name)));
  const sections = shown.map((tag) =>
    section(
      tag,
      entries.filter(({ operation }) => operation.tags?.includes(tag.name)),
    ),
  );
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">
<title>${escapeHtml(document.info.title)} HTTP API</title><link rel="stylesheet" href="/docs/style.css"></head>
<body>
<nav><a class="home" href="#top">${escapeHtml(document.info.title)} ${escapeHtml(document.info.version)}</a>
${shown.map(({ name }) => `<a href="#${name}">${name}</a>`).join('\n')}
<a href="#errors">errors</a> <a href="/v1/openapi.json">openapi.json</a></nav>
<main id="top"><h1>HTTP API</h1><p>${prose(document.info.description)}</p>
${sections.join('\n')}
${errorSection()}</main>
</body>
</html>
`;
}

function section(tag: Document['tags'][number], entries: readonly Entry[]): string {
  return `<section id="${tag.name}"><h2>${escapeHtml(tag.name)}</h2><p>${prose(tag.description)}</p>${entries.map(operationHtml).join('\n')}</section>`;
}

function operationHtml({ method, path, operation }: Entry): string {
  const bodies = Object.entries(operation.requestBody?.content ?? {});
  const answers = Object.entries(operation.responses ?? {});
  const id = operation.operationId ?? `${method}${path}`.replace(/\W+/g, '-');
  return `<details id="${escapeHtml(id)}"><summary><b class="${method.toLowerCase()}">${method}</b> <code>${escapeHtml(path)}</code> <span>${escapeHtml(operation.summary ?? '')}</span></summary>
${operation.description ? `<p>${prose(operation.description)}</p>` : ''}
${curlHtml({ method, path, operation })}${parametersHtml(operation.parameters ?? [])}
${bodies.map(bodyHtml).join('')}
<h4>Answers</h4><dl>${answers.map(answerHtml).join('')}</dl></details>`;
}

function parametersHtml(parameters: readonly Parameter[]): string {
  if (parameters.length === 0) return '';
  const rows = parameters.map(
    ({ name, in: place, required, schema, description }) =>
      `<tr><td><code>${escapeHtml(name)}</code></td><td>${place}${required ? ', required' : ''}</td><td>${escapeHtml(kindOf(schema))}</td><td>${prose(description ?? schema.description ?? '')}</td></tr>`,
  );
  return `<h4>Parameters</h4><table>${rows.join('')}</table>`;
}

/** The first form of the body in full; others only by name and example. */
function bodyHtml([type, { schema = {}, example }]: [string, Media], index: number): string {
  const shape = index === 0 ? schemaHtml(schema) : `<p>${prose(schema.description ?? kindOf(schema))}</p>`;
  return `<h4>Body <code>${escapeHtml(type)}</code></h4>${shape}${exampleHtml(example)}`;
}

/** A line for a shell: `URL` and `KEY` are the reader's. */
function curlHtml({ method, path, operation }: Entry): string {
  const [type, media] = Object.entries(operation.requestBody?.content ?? {})[0] ?? [];
  const examples = new Map(operation.parameters?.map(({ name, example }) => [name, example]));
  const filled = path.replace(/\{(\w+)\}/g, (_, name: string) =>
    encodeURIComponent(String(examples.get(name) ?? name.toUpperCase())),
  );
  const body =
    type === undefined
      ? ''
      : ` \\\n  -H 'content-type: ${type}' -d '${JSON.stringify(media?.example ?? {}).replaceAll("'", "'\\''")}'`;
  const verb = method === 'GET' || (method === 'POST' && body !== '') ? '' : `-X ${method} `;
  return `<pre>${escapeHtml(`curl ${verb}"$URL${filled}" -H "authorization: Bearer $KEY"${body}`)}</pre>`;
}

function answerHtml([status, answer]: [string, { readonly description?: string; readonly content?: Content }]): string {
  const [type, media] = Object.entries(answer.content ?? {})[0] ?? [];
  const isProblem = type === 'application/problem+json';
  const words = answer.description === 'Default Response' ? '' : prose(answer.description ?? '');
  const shape = media?.schema && !isProblem ? schemaHtml(media.schema) : '';
  return `<dt>${status}</dt><dd>${words}${isProblem ? ' <a href="#errors">problem</a>' : ''}${shape}</dd>`;
}

function schemaHtml(schema: Schema): string {
  const object = schema.type === 'array' ? schema.items : schema;
  if (!object?.properties) return `<p><code>${escapeHtml(kindOf(schema))}</code></p>`;
  const rows = Object.entries(object.properties).map(([name, field]) => fieldHtml(name, field, object));
  return `${schema.type === 'array' ? '<p>A list of:</p>' : ''}<table>${rows.join('')}</table>`;
}

function fieldHtml(name: string, field: Schema, parent: Schema): string {
  const optional = parent.required?.includes(name) ? '' : '?';
  const inner = field.properties ? field : field.type === 'array' && field.items?.properties ? field.items : undefined;
  const nested = inner ? schemaHtml(inner) : '';
  return `<tr><td><code>${escapeHtml(name)}${optional}</code></td><td>${escapeHtml(kindOf(field))}</td><td>${prose(field.description ?? '')}${nested}</td></tr>`;
}

function kindOf(schema: Schema): string {
  if (schema.$ref) return schema.$ref.split('/').at(-1)!;
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(' | ');
  if ('const' in schema) return JSON.stringify(schema.const);
  if (schema.anyOf) return schema.anyOf.map(kindOf).join(' | ');
  if (schema.type === 'array') return `list of ${kindOf(schema.items ?? {})}`;
  const values = schema.patternProperties ? Object.values(schema.patternProperties)[0] : undefined;
  if (values) return `object of ${kindOf(values)}`;
  return [
    schema.type ?? 'any JSON',
    rangeOf(schema),
    schema.default === undefined ? '' : `= ${JSON.stringify(schema.default)}`,
  ]
    .filter(Boolean)
    .join(' ');
}

function rangeOf({ minimum, maximum, maxLength }: Schema): string {
  if (minimum !== undefined && maximum !== undefined) return `${minimum} to ${maximum}`;
  return maxLength === undefined ? '' : `of at most ${maxLength}`;
}

function exampleHtml(example: unknown): string {
  return example === undefined ? '' : `<pre>${escapeHtml(JSON.stringify(example, null, 2))}</pre>`;
}

function errorSection(): string {
  const rows = Object.entries(refusals).map(
    ([code, { status, title, retryable }]) =>
      `<tr id="error-${code}"><td><code>${code}</code></td><td>${status}</td><td>${escapeHtml(title)}</td><td>${retryable ? 'try again' : ''}</td></tr>`,
  );
  return `<section id="errors"><h2>errors</h2><p>Every error is <code>application/problem+json</code> with these codes.</p><table>${rows.join('')}</table></section>`;
}

/** Text with `code` in backquotes. */
function prose(words: string): string {
  return escapeHtml(words).replace(/`([^`]+)`/g, '<code>$1</code>');
}

export const docsStyle = `:root { color-scheme: light dark; --line: light-dark(#d8dce2, #33383f); --soft: light-dark(#f5f6f8, #1d2126); --link: light-dark(#0b57a4, #7ab7ff); }
* { box-sizing: border-box; }
body { margin: 0; font: 16px/1.5 system-ui, sans-serif; background: light-dark(#fff, #14171a); color: light-dark(#1c1f23, #e4e7eb); }
a { color: var(--link); }
nav { position: sticky; top: 0; z-index: 1; display: flex; flex-wrap: wrap; gap: 0 1rem; padding: .6rem 1.2rem; background: var(--soft); border-bottom: 1px solid var(--line); }
nav .home { font-weight: 600; text-decoration: none; color: inherit; margin-right: auto; }
main { max-width: 60rem; margin: 0 auto; padding: 1rem 1.2rem 6rem; }
section { scroll-margin-top: 2rem; } h2 { margin-top: 2.5rem; text-transform: capitalize; } h4 { margin: 1rem 0 .3rem; }
details { border: 1px solid var(--line); border-radius: 6px; margin: .5rem 0; padding: 0 .9rem; scroll-margin-top: 4rem; }
details[open] { padding-bottom: .9rem; } summary { cursor: pointer; padding: .5rem 0; } summary span { opacity: .75; }
summary b { display: inline-block; min-width: 4.2rem; font-size: .8rem; color: var(--link); } summary b.delete { color: light-dark(#a4262c, #ff9a9e); }
code, pre { font: .9em ui-monospace, monospace; overflow-wrap: anywhere; } pre { background: var(--soft); border-radius: 6px; padding: .7rem; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; } td:first-child code { white-space: nowrap; overflow-wrap: normal; } td { border-top: 1px solid var(--line); padding: .3rem .6rem .3rem 0; vertical-align: top; }
th { text-align: start; vertical-align: top; border-top: 1px solid var(--line); padding: .3rem .6rem .3rem 0; font-weight: 500; }
form button { font: inherit; font-weight: 600; padding: .6rem 1.6rem; border: 0; border-radius: 6px; background: var(--link); color: light-dark(#fff, #14171a); cursor: pointer; }
textarea, input, select { font: inherit; max-width: 100%; padding: .4rem .5rem; border: 1px solid light-dark(#767c85, #8b929c); border-radius: 6px; background: inherit; color: inherit; }
blockquote { margin: 0 0 1rem; padding-inline-start: .9rem; border-inline-start: 3px solid var(--line); }
td table { margin-top: .3rem; } dt { font-weight: 600; float: left; clear: left; width: 3.2rem; } dd { margin: 0 0 .4rem 3.2rem; }
tr:target { background: var(--soft); outline: 2px solid var(--link); }
@media (max-width: 40rem) { td { display: block; border: 0; padding: 0 } section { scroll-margin-top: 5rem } tr { display: block; border-top: 1px solid var(--line); padding: .4rem 0; } }
`;
