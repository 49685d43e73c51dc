// What the end of a rung means: the table "come back or not" of docs/CLIENT.md.

const THIS_RUNG = new Set([
  'network', 'timeout', 'disconnected', 'intercepted', 'unsupported', // nobody of ours has spoken
  'not_found', 'method_not_allowed', 'retired', 'gone', 'unsupported_version', // not by this way
]);

/**
 * @typedef {'token' | 'bye' | 'rung' | 'later' | 'stop'} Verdict token: come back with
 *   another one; bye: on the same rung when the server says; rung: by the next one;
 *   later: the server is busy, whatever the rung; stop: not as we are
 */

/** @returns {Verdict} @param {import('../carry/table.js').Why} why */
export function judge({ error, final = false }) {
  if (error.wantsToken) return 'token';
  if (error.code === 'bye') return 'bye';
  if (final) return 'stop';
  if (THIS_RUNG.has(error.code)) return 'rung';
  return error.retryable ? 'later' : 'stop';
}
