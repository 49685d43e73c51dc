// Another tab: it leads, and tells what it takes, each batch with the position before
// it. Where that lies beyond our own cursor there is a hole, filled by short polls.

const QUIET_MS = 60_000; // the leader hears at least a heartbeat
const ANSWER_MS = 10_000;

/**
 * @param {(listener: (batch: {from: object, events: object[], cursor: string | null}) => void) => () => void} listen
 * @returns {import('./table.js').Carry}
 */
export function tabCarry(listen) {
  return {
    name: 'tab',
    streams: false, // the leader acknowledges
    quietMs: QUIET_MS,

    open(host, report) {
      const abort = new AbortController();
      let waiting = []; // what was told while we poll; null: nothing is missing

      async function poll() {
        for (let more = true; more;) {
          const { body } = await host.get('/v1/poll', { ...host.position(), device: host.device },
            { timeoutMs: ANSWER_MS, signal: abort.signal, accepted: report.accepted });
          if (abort.signal.aborted) return;
          report.batch(body.events, body.cursor);
          more = body.more;
        }
        const told = waiting;
        waiting = null;
        told.forEach(take);
      }

      function fill() {
        waiting ??= [];
        poll().catch((error) => {
          if (!abort.signal.aborted) report.down({ error });
        });
      }

      function take(batch) {
        if (abort.signal.aborted) return;
        if (waiting) waiting.push(batch);
        else if (host.isBehind(batch.from) || batch.events.some(({ event }) => event === 'reset')) fill();
        else report.batch(batch.events, batch.cursor ?? undefined);
      }

      const stop = listen(take);
      fill();
      return {
        close() {
          stop();
          abort.abort();
        },
      };
    },
  };
}
