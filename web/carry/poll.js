// Short poll: ask, get the answer at once, ask again after a pause. The server may
// ask for a longer pause by Retry-After; when it has more, there is none.

const ANSWER_MS = 10_000;
const LONGEST_PAUSE_MS = 60_000;

/** @type {import('./table.js').Carry} */
export const poll = {
  name: 'poll',
  streams: false,
  quietMs: ANSWER_MS + 2 * LONGEST_PAUSE_MS,
  missing: (host) => (host.fetch ? null : 'no fetch here'),

  open(host, report) {
    const abort = new AbortController();
    const { clock, device } = host;
    let timer = null;

    async function ask() {
      const { body, headers } = await host.get('/v1/poll', { ...host.position(), device },
        { timeoutMs: ANSWER_MS, signal: abort.signal, accepted: report.accepted });
      if (abort.signal.aborted) return;
      report.batch(body.events, body.cursor);
      if (!abort.signal.aborted) timer = clock.after(body.more ? 0 : pause(headers), again);
    }

    function pause(headers) {
      const wanted = Number(headers.get('Retry-After')) * 1000 || 0;
      return Math.min(Math.max(host.pollMs, wanted), LONGEST_PAUSE_MS);
    }

    function again() {
      ask().catch((error) => {
        if (!abort.signal.aborted) report.down({ error });
      });
    }

    again();
    return {
      close() {
        abort.abort();
        clock.cancel(timer);
      },
    };
  },
};
