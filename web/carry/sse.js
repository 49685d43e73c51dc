// Server-Sent Events: the browser's EventSource carries the events, calls go over
// HTTP. EventSource cannot send a header, so a one-use ticket stands in for the
// token; as its own reconnect would present a spent ticket, the first error ends
// this carry and the session opens another with a fresh ticket and its own cursor.

import { RungError } from '../rung/error.js';

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

  open(host, report) {
    let source = null;
    let closed = false;

    function close() {
      closed = true;
      source?.close();
    }

    host.post('ticket', { device: host.device }).then(({ ticket }) => {
      if (closed) return;
      source = new host.EventSource(host.url('/v1/sse', { ticket, device: host.device, ...host.position() }));
      source.onopen = () => report.up();
      source.onerror = () => {
        close();
        report.down({ error: new RungError('disconnected', 'the event stream ended') });
      };
      for (const kind of KINDS)
        source.addEventListener(kind, ({ data }) => report.batch([JSON.parse(data)]));
    }).catch((error) => report.down({ error }));

    return { close };
  },
};
