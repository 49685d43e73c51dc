// Messages before they are sent: made complete, with an id, so that they can be shown,
// kept and sent again under it.

import { RungError } from './error.js';

const UPLOAD_MS = 600_000;

function refuse(text) {
  throw new RungError('bad_request', text);
}

/**
 * @param {{to?: string, conversation?: string, type?: string, body: unknown, client_msg_id?: string}} message
 * @param {() => string} newId
 */
export function makeMessage(message, newId) {
  const { to, conversation, body } = message ?? {};
  if ((to === undefined) === (conversation === undefined))
    refuse("exactly one of 'to' (a user) and 'conversation' must be given");
  if (body === undefined) refuse("'body' must be given, as any JSON value");
  return { type: 'text', ...message, client_msg_id: message.client_msg_id ?? newId() };
}

/**
 * Upload a file and make the message that refers to it.
 * @param {{to?: string, conversation?: string, file: Blob, name?: string}} message
 * @param {{put: (path: string, blob: Blob, limits: object) => Promise<object>, newId: () => string}} with_
 */
export async function makeFileMessage({ file, name = file?.name, ...message }, { put, newId }) {
  if (!(file instanceof Blob)) refuse("'file' must be a Blob or a File");
  const described = makeMessage({ ...message, type: 'file', body: null }, newId); // refuse before uploading
  try {
    const { id, size, mime, sha256 } = await put('/v1/media', file, { timeoutMs: UPLOAD_MS });
    return { ...described, body: { media: id, name, size, mime, sha256 } };
  } catch (cause) {
    if (cause.status !== 404 && cause.status !== 405) throw cause;
    throw new RungError('unsupported', 'this server keeps no media: files cannot be sent', { status: cause.status, cause });
  }
}
