// The token, and how to get another when the server no longer takes it. However
// many requests find it stale at once, it is renewed once.

import { RungError } from './error.js';

export class Credentials {
  #token;
  #renew;
  #renewing = null;

  /**
   * @param {string | null} token
   * @param {(() => Promise<string>) | null} renew gives a fresh token
   */
  constructor(token, renew) {
    this.set(token, renew);
  }

  set(token, renew) {
    this.#token = token;
    this.#renew = renew;
  }

  get canRenew() {
    return this.#renew !== null;
  }

  /** @returns {Promise<string>} the token to present now */
  async token() {
    if (this.#token !== null) return this.#token;
    if (this.#renew === null) throw new RungError('unauthorized', 'no token: log in first');
    this.#renewing ??= this.#ask().finally(() => (this.#renewing = null));
    this.#token = await this.#renewing;
    return this.#token;
  }

  async #ask() {
    try {
      return await this.#renew();
    } catch (cause) {
      if (cause instanceof RungError) throw cause;
      throw new RungError('network', `no new token: ${cause.message}`, { cause });
    }
  }

  /** The server refused `token`: never present it again. */
  expire(token = this.#token) {
    if (token === this.#token) this.#token = null;
  }
}
