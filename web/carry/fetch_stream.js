// Can an answer be read while it comes?

/** @returns {string | null} what is missing */
export function canStream({ fetch }) {
  if (!fetch) return 'no fetch here';
  const readable = typeof ReadableStream === 'function' && typeof TextDecoder === 'function'
    && (typeof Response !== 'function' || 'body' in Response.prototype);
  return readable ? null : 'fetch cannot be read while it comes';
}
