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
  if (body?.error?.code) throw RungError.from(body.error, response.status);
  const code = { 401: 'unauthorized', 429: 'rate_limited' }[response.status];
  throw new RungError(code ?? 'intercepted', `unexpected answer, HTTP ${response.status}`, { status: response.status });
}

export class Http {
  #base;
  #fetch;
  #clock;
  #credentials;
  #rtt;

  /** @param {{base: string, fetch: typeof fetch, clock: import('./clock.js').Clock, credentials: import('./credentials.js').Credentials, rtt: import('./rtt.js').Rtt}} parts */
  constructor({ base, fetch, clock, credentials, rtt }) {
    this.#base = base.replace(/\/+$/, '');
    this.#fetch = fetch;
    this.#clock = clock;
    this.#credentials = credentials;
    this.#rtt = rtt;
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
  async post(method, params, { anonymous = false, timeoutMs = 15_000 } = {}) {
    const asked = this.#clock.now();
    const body = await this.#write('POST', `/v1/${method}`, JSON.stringify(params),
      { 'Content-Type': 'application/json' }, { anonymous, timeoutMs });
    this.#rtt.note(this.#clock.now() - asked);
    return body;
  }

  /** Put bytes. @param {string} path @param {Blob} blob */
  put(path, blob, { timeoutMs }) {
    return this.#write('PUT', path, blob, blob.type ? { 'Content-Type': blob.type } : {}, { timeoutMs });
  }

  /** @returns {Promise<{body: object, headers: Headers}>} */
  get(path, params, { timeoutMs, signal, accepted }) {
    return this.#exchange(this.url(path, params), {}, { timeoutMs, signal, accepted }, async (response) =>
      ({ body: await answerOf(response), headers: response.headers }));
  }

  /**
   * Read an answer while it comes, for as long as it comes.
   * @param {{signal: AbortSignal, accepted: () => void, take: (text: string) => void}} how
   *   accepted: it has begun; take: some more of it
   */
  read(path, params, { signal, accepted, take }) {
    return this.#exchange(this.url(path, params), {}, { signal, accepted }, async (response) => {
      const reader = response.body.getReader();
      const decoder = new TextDecoder();
      for (;;) {
        const { value, done } = await reader.read();
        if (done || signal.aborted) return;
        take(decoder.decode(value, { stream: true }));
      }
    });
  }

  async #write(method, path, body, headers, limits) {
    const exchange = () => this.#exchange(this.url(path), { method, headers, body }, limits, answerOf);
    try {
      return await exchange();
    } catch (error) {
      if (limits.anonymous || !error.wantsToken || !this.#credentials.canRenew) throw error;
      return exchange();
    }
  }

  async #exchange(url, request, { anonymous = false, timeoutMs, signal, accepted }, take) {
    const headers = { ...request.headers };
    let token;
    if (!anonymous) {
      token = await this.#credentials.token();
      headers.Authorization = `Bearer ${token}`;
    }
    const abort = new AbortController();
    const stop = () => abort.abort();
    let late = false;
    const timer = timeoutMs === undefined ? null : this.#clock.after(timeoutMs, () => {
      late = true;
      stop();
    });
    if (signal?.aborted) stop();
    signal?.addEventListener('abort', stop, { once: true });
    try {
      const response = await this.#fetch(url, { ...request, headers, signal: abort.signal, cache: 'no-store' });
      if (!response.ok) await answerOf(response); // throws
      accepted?.();
      return await take(response);
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
