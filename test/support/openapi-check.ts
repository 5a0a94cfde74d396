// Holds answers against the OpenAPI document: status, media type and every field must be declared.
import { Compile, type Validator } from 'typebox/schema';

type Media = Readonly<Record<string, { readonly schema?: object }>>;
type Operation = { readonly responses: Readonly<Record<string, { readonly content?: Media }>> };
export type OpenApi = {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, object>> };
};

export class OpenApiCheck {
  readonly #document: OpenApi;
  readonly #paths: readonly { readonly pattern: RegExp; readonly path: string }[];
  readonly #compiled = new Map<string, Validator>();

  constructor(document: OpenApi) {
    this.#document = document;
    this.#paths = Object.keys(document.paths)
      .map((path) => ({ path, pattern: new RegExp(`^${path.replace(/\{\w+\}/g, '[^/]+')}$`) }))
      .sort((a, b) => a.path.split('{').length - b.path.split('{').length); // fixed paths before patterns
  }

  /** Throws if the answer is not what the document says. Paths outside the document are not looked at. */
  check(method: string, path: string, status: number, contentType: string, json: unknown): void {
    const found = this.#paths.find(({ pattern }) => pattern.test(path));
    const operation = found && this.#document.paths[found.path]![method.toLowerCase()];
    if (!operation) return;
    const place = `${method} ${found.path} -> ${status}`;
    const response = operation.responses[status];
    if (!response) throw new Error(`${place} is not in the OpenAPI document`);
    const type = contentType.split(';')[0]!;
    const media = response.content?.[type];
    if (response.content && !media) throw new Error(`${place} came as ${type}, which is not in the OpenAPI document`);
    if (media?.schema && /json/.test(type)) this.#checkJson(`${place} ${type}`, media.schema, json);
  }

  #checkJson(place: string, schema: object, json: unknown): void {
    let validator = this.#compiled.get(place);
    if (!validator) {
      const components = closed(this.#document.components);
      validator = Compile({ ...(closed(schema) as object), components } as never);
      this.#compiled.set(place, validator);
    }
    const [good, errors] = validator.Errors(json);
    if (!good) throw new Error(`${place} is not as documented: ${JSON.stringify(errors)}\n${JSON.stringify(json)}`);
  }
}

/** Objects may have only what is declared: an answer with a field that nobody documented is a mistake as well. */
function closed(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closed);
  if (typeof schema !== 'object' || schema === null) return schema;
  const parts = Object.fromEntries(Object.entries(schema).map(([name, part]) => [name, closed(part)]));
  const isObject = 'properties' in schema && !('additionalProperties' in schema);
  return isObject ? { ...parts, additionalProperties: false } : parts;
}
