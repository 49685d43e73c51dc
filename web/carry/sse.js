// Server-Sent Events; calls go over HTTP. Where the answer can be read by fetch, the
// token goes into a header. Else the browser's EventSource carries the events: it cannot
// send a header, so a one-use ticket stands in for the token; as its own reconnect would
// present a spent ticket, the first error ends this carry, and the next opening has a
// fresh ticket and the session's own cursor.

import { RungError } from '../rung/error.js';
import { EventStream } from './event_stream.js';
import { canStream } from './fetch_stream.js';

/* EventSource hands out only the kinds that were asked for. */
const KINDS = [
  'hello', 'heartbeat', 'gap', 'reset', 'bye',
  'message', 'message.edited', 'message.recalled', 'message.reacted',
  'conversation', 'receipt', 'presence', 'typing', 'signal', 'user', 'contact',
];

/** @type {import('./table.js').Carry} */
export const sse = {
  name: 'sse',
  streams: true,
  missing: (host) => (host.EventSource ? null : canStream(host)),

  open(host, report) {
    return host.EventSource ? byEventSource(host, report) : byFetch(host, report);
  },
};

function byFetch(host, report) {
  const abort = new AbortController();
  const events = new EventStream();
  const take = (text) => {
    const batch = events.take(text).map((data) => JSON.parse(data));
    if (batch.length > 0) report.batch(batch);
  };
  host.read('/v1/sse', { ...host.position(), device: host.device },
    { signal: abort.signal, accepted: report.accepted, take })
    .then(() => { throw new RungError('disconnected', 'the event stream ended'); })
    .catch((error) => report.down({ error }));
  return { close: () => abort.abort() };
}

function byEventSource(host, report) {
  let source = null;
  let closed = false;

  function close() {
    closed = true;
    source?.close();
  }

  host.post('ticket', { device: host.device }).then(({ ticket }) => {
    if (closed) return;
    source = new host.EventSource(host.url('/v1/sse', { ticket, device: host.device, ...host.position() }));
    source.onopen = () => report.accepted();
    source.onerror = () => {
      close();
      report.down({ error: new RungError('disconnected', 'the event stream ended') });
    };
    for (const kind of KINDS)
      source.addEventListener(kind, ({ data }) => report.batch([JSON.parse(data)]));
  }).catch((error) => report.down({ error }));

  return { close };
}
