// What can go wrong, in the server's own vocabulary plus the four words only a
// client needs: "network", "timeout", "disconnected" and "bye".

const RETRYABLE = new Set([
  'network', 'timeout', 'disconnected', 'bye',
  'rate_limited', 'overloaded', 'unavailable', 'internal',
]);

/** An error with the server's `code`; `retryable` says whether asking again can help. */
export class RungError extends Error {
  /**
   * @param {string} code
   * @param {string} [message]
   * @param {{status?: number, retryAfterMs?: number, cause?: unknown}} [more]
   */
  constructor(code, message = code, { status, retryAfterMs, cause } = {}) {
    super(message, { cause });
    this.name = 'RungError';
    this.code = code;
    this.status = status;
    this.retryAfterMs = retryAfterMs;
  }

  get retryable() {
    return RETRYABLE.has(this.code);
  }

  /** The token is what is wrong: a new one may help. */
  get wantsToken() {
    return this.code === 'unauthorized' || this.code === 'token_expired';
  }

  /** From the wire's `{code, message, retry_after_ms?}`. */
  static from({ code = 'internal', message, retry_after_ms } = {}, status) {
    return new RungError(code, message, { status, retryAfterMs: retry_after_ms });
  }
}
