// Requests and answers as the server's HTTP side speaks them: JSON both ways, a
// bearer token, errors as RungError, and no request that can hang for ever.

import { RungError } from './error.js';

async function answerOf(response) {
  const text = await response.text();
  let body = null;
  try {
    body = text ? JSON.parse(text) : {};
  } catch {
    // A proxy's HTML page, most likely: the status says enough.
  }
  if (response.ok && body !== null) return body;
  if (body?.error) throw RungError.from(body.error, response.status);
  const code = { 401: 'unauthorized', 404: 'not_found', 429: 'rate_limited' }[response.status];
  const again = response.ok || response.status >= 500;
  throw new RungError(code ?? (again ? 'unavailable' : 'bad_request'),
    `unexpected answer, HTTP ${response.status}`, { status: response.status });
}

export class Http {
  #base;
  #fetch;
  #clock;
  #credentials;

  /** @param {{base: string, fetch: typeof fetch, clock: import('./clock.js').Clock, credentials: import('./credentials.js').Credentials}} parts */
  constructor({ base, fetch, clock, credentials }) {
    this.#base = base.replace(/\/+$/, '');
    this.#fetch = fetch;
    this.#clock = clock;
    this.#credentials = credentials;
  }

  /** An absolute address; parameters that are undefined are left out. */
  url(path, params = {}) {
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(params))
      if (value !== undefined && value !== null) query.set(name, String(value));
    const text = query.toString();
    return this.#base + path + (text ? `?${text}` : '');
  }

  /**
   * Call a method; a stale token is renewed and the call made once more.
   * @returns {Promise<object>} its result
   */
  post(method, params, { anonymous = false, timeoutMs = 15_000 } = {}) {
    const request = {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(params),
    };
    const exchange = () => this.#exchange(this.url(`/v1/${method}`), request, { anonymous, timeoutMs });
    return exchange().catch((error) => {
      if (anonymous || !error.wantsToken || !this.#credentials.canRenew) throw error;
      return exchange();
    }).then(({ body }) => body);
  }

  /** @returns {Promise<{body: object, headers: Headers}>} */
  get(path, params, { timeoutMs, signal }) {
    return this.#exchange(this.url(path, params), { headers: {} }, { timeoutMs, signal });
  }

  async #exchange(url, request, { anonymous = false, timeoutMs, signal }) {
    const headers = { ...request.headers };
    let token;
    if (!anonymous) {
      token = await this.#credentials.token();
      headers.Authorization = `Bearer ${token}`;
    }
    const abort = new AbortController();
    const stop = () => abort.abort();
    let late = false;
    const timer = this.#clock.after(timeoutMs, () => {
      late = true;
      stop();
    });
    if (signal?.aborted) stop();
    signal?.addEventListener('abort', stop, { once: true });
    try {
      const response = await this.#fetch(url, { ...request, headers, signal: abort.signal, cache: 'no-store' });
      return { body: await answerOf(response), headers: response.headers };
    } catch (cause) {
      if (cause instanceof RungError) {
        if (cause.wantsToken && token) this.#credentials.expire(token);
        throw cause;
      }
      if (late) throw new RungError('timeout', `no answer in ${timeoutMs} ms`, { cause });
      throw new RungError('network', 'the server cannot be reached', { cause });
    } finally {
      this.#clock.cancel(timer);
      signal?.removeEventListener('abort', stop);
    }
  }
}
