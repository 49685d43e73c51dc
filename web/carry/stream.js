// HTTP streaming: one answer that does not end, a line of JSON for each event. Read by
// fetch, so the token goes into a header; calls go over HTTP.

import { RungError } from '../rung/error.js';
import { canStream } from './fetch_stream.js';

/** @type {import('./table.js').Carry} */
export const stream = {
  name: 'stream',
  streams: true,
  missing: canStream,

  open(host, report) {
    const abort = new AbortController();
    let rest = '';

    function take(text) {
      const lines = (rest + text).split('\n');
      rest = lines.pop();
      const events = lines.filter((line) => line.trim() !== '').map((line) => JSON.parse(line));
      if (events.length > 0) report.batch(events);
    }

    host.read('/v1/stream', { ...host.position(), device: host.device },
      { signal: abort.signal, accepted: report.accepted, take })
      .then(() => { throw new RungError('disconnected', 'the stream ended'); })
      .catch((error) => report.down({ error }));

    return { close: () => abort.abort() };
  },
};
