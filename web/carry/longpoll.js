// Long poll: ask, wait parked at the server until something is there, ask again.
// The cursor of the next question is the receipt for the last answer.

const WAIT_S = 25;
const GRACE_MS = 10_000;
const EMPTY_ANSWER_MS = 1_000; // an empty answer sooner than this did not wait

/** @type {import('./table.js').Carry} */
export const longpoll = {
  name: 'longpoll',
  streams: false,
  quietMs: WAIT_S * 1000 + 2 * GRACE_MS,
  missing: (host) => (host.fetch ? null : 'no fetch here'),

  open(host, report) {
    const abort = new AbortController();
    const { clock, device } = host;

    async function ask(wait) {
      const asked = clock.now();
      const { body } = await host.get('/v1/longpoll', { ...host.position(), wait, device },
        { timeoutMs: wait * 1000 + GRACE_MS, signal: abort.signal, accepted: report.accepted });
      if (abort.signal.aborted) return;
      report.batch(body.events, body.cursor);
      if (wait > 0 && body.events.length === 0 && clock.now() - asked < EMPTY_ANSWER_MS)
        await new Promise((resume) => clock.after(EMPTY_ANSWER_MS, resume));
    }

    async function loop() {
      await ask(0); // the first answer comes at once: the first event of this rung
      while (!abort.signal.aborted) await ask(WAIT_S);
    }

    loop().catch((error) => {
      if (!abort.signal.aborted) report.down({ error });
    });

    return { close: () => abort.abort() };
  },
};
