// What Node lacks of a browser for Direct Line's own client: XMLHttpRequest, over fetch. WebSocket, FormData and Blob
// are there. The client itself stays as it is.

type Handler = ((this: FetchRequest, event: { target: FetchRequest }) => void) | null;

class FetchRequest {
  readyState = 0;
  status = 0;
  response: unknown = null;
  responseText = '';
  responseType = '';
  timeout = 0;
  withCredentials = false;
  onreadystatechange: Handler = null;
  onerror: Handler = null;
  ontimeout: Handler = null;
  readonly #headers = new Headers();
  #answer: Response | undefined;
  #method = 'GET';
  #url = '';
  #abort = new AbortController();

  open(method: string, url: string): void {
    this.#method = method;
    this.#url = url;
  }

  setRequestHeader(name: string, value: string): void {
    this.#headers.set(name, value);
  }

  getResponseHeader(name: string): string | null {
    return this.#answer?.headers.get(name) ?? null;
  }

  abort(): void {
    this.#abort.abort();
  }

  send(body?: string | FormData): void {
    void this.#send(body);
  }

  async #send(body: string | FormData | undefined): Promise<void> {
    try {
      const timeout = this.timeout > 0 ? [AbortSignal.timeout(this.timeout)] : [];
      const signal = AbortSignal.any([this.#abort.signal, ...timeout]);
      const init = { method: this.#method, headers: this.#headers, signal };
      this.#answer = await fetch(this.#url, body === undefined ? init : { ...init, body });
      this.status = this.#answer.status;
      if (this.responseType === 'arraybuffer') this.response = await this.#answer.arrayBuffer();
      else {
        this.responseText = await this.#answer.text();
        this.response = this.responseType === 'json' ? JSON.parse(this.responseText || 'null') : this.responseText;
      }
    } catch (error) {
      if (this.#abort.signal.aborted) return;
      // As in a browser: the state is told first, with status 0, then what happened.
      const told = (error as Error).name === 'TimeoutError' ? this.ontimeout : this.onerror;
      this.readyState = 4;
      if (told !== this.ontimeout) this.onreadystatechange?.call(this, { target: this });
      told?.call(this, { target: this });
      return;
    }
    this.readyState = 4;
    this.onreadystatechange?.call(this, { target: this });
  }
}

/** Call before the client is imported. */
export function installXmlHttpRequest(): void {
  Object.assign(globalThis, { XMLHttpRequest: FetchRequest });
}
