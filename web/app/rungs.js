// What the rungs are called, the best first.

import { t } from './language.js';

export const RUNGS = ['ws', 'stream', 'sse', 'longpoll', 'poll', 'jsonp'];

const NAMES = {
  auto: 'Ladder', ws: 'WebSocket', stream: 'HTTP stream', sse: 'SSE', longpoll: 'Long poll', poll: 'Poll', jsonp: 'JSONP',
};

/** @param {string | null} rung */
export const nameOf = (rung) => (rung ? t(NAMES[rung] ?? rung) : '–');

/** Streams over HTTP: what a proxy that buffers holds back. */
export const BUFFERED = ['sse', 'stream', 'multipart', 'iframe'];
