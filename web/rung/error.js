// What can go wrong, in the server's own vocabulary plus the words only a client
// needs: "network", "timeout", "disconnected", "intercepted" (something on the way
// answered in the server's place), "bye" and "unsupported" (not here, or not yet).

const RETRYABLE = new Set([
  'network', 'timeout', 'disconnected', 'intercepted', 'bye',
  'rate_limited', 'overloaded', 'unavailable', 'internal',
]);

/** An error with the server's `code`; `retryable` says whether asking again can help. */
export class RungError extends Error {
  /**
   * @param {string} code
   * @param {string} [message]
   * @param {{status?: number, retryAfterMs?: number, expected?: number, cause?: unknown}} [more]
   */
  constructor(code, message = code, { status, retryAfterMs, expected, cause } = {}) {
    super(message, { cause });
    this.name = 'RungError';
    this.code = code;
    this.status = status;
    this.retryAfterMs = retryAfterMs;
    this.expected = expected; // a conflict: the next client_seq
  }

  get retryable() {
    return RETRYABLE.has(this.code);
  }

  /** The token is what is wrong: a new one may help. */
  get wantsToken() {
    return this.code === 'unauthorized' || this.code === 'token_expired';
  }

  /** From the wire's `{code, message, retry_after_ms?, expected?}`. */
  static from({ code = 'internal', message, retry_after_ms, expected } = {}, status) {
    return new RungError(code, message, { status, retryAfterMs: retry_after_ms, expected });
  }
}
