// Time, chance and transports that do only what a test tells them.

import { RungClient } from '../../../web/rung.js';

/** Let every promise that can settle do so. */
export function settled() {
  return new Promise((resolve) => setImmediate(resolve));
}

export class FakeClock {
  #now = 1_763_600_000_000;
  #timers = new Map();
  #last = 0;

  now() {
    return this.#now;
  }

  after(ms, fn) {
    this.#timers.set(++this.#last, { at: this.#now + ms, fn });
    return this.#last;
  }

  cancel(timer) {
    this.#timers.delete(timer);
  }

  /** How long until each timer that is set, soonest first. */
  get waits() {
    return [...this.#timers.values()].map(({ at }) => at - this.#now).sort((a, b) => a - b);
  }

  /** `ms` pass and no timer runs, as in a page that its browser has put to sleep. */
  sleepFor(ms) {
    this.#now += ms;
  }

  /** Let `ms` pass, timer by timer. */
  async pass(ms) {
    const end = this.#now + ms;
    for (;;) {
      await settled();
      const due = [...this.#timers].filter(([, { at }]) => at <= end).sort(([, a], [, b]) => a.at - b.at)[0];
      if (!due) break;
      const [timer, { at, fn }] = due;
      this.#timers.delete(timer);
      this.#now = at;
      fn();
    }
    this.#now = end;
    await settled();
  }
}

/** A carry whose openings the test drives: `opened` holds them, newest last. */
export function fakeCarry(name, { streams = true, requests = false } = {}) {
  const opened = [];
  return {
    name,
    streams,
    opened,
    get last() {
      return opened.at(-1);
    },
    open(host, report) {
      const at = { report, host, position: host.position(), closed: false, calls: [] };
      opened.push(at);
      const handle = { close: () => (at.closed = true) };
      if (requests)
        handle.request = (method, params) => new Promise((resolve, reject) =>
          at.calls.push({ method, params, resolve, reject }));
      return handle;
    },
  };
}

/** A fetch that answers from `answers`: (url, init) → {status?, body, headers?}, or throws. */
export function fakeFetch(answers) {
  const asked = [];
  const fetch = async (url, init) => {
    asked.push({ url: String(url), init, params: typeof init.body === 'string' ? JSON.parse(init.body) : undefined });
    const { status = 200, body, headers = {} } = await answers(String(url), init);
    return new Response(typeof body === 'string' ? body : JSON.stringify(body), { status, headers });
  };
  return Object.assign(fetch, { asked });
}

export function fakeStorage() {
  const items = new Map();
  return { getItem: (key) => items.get(key) ?? null, setItem: (key, value) => items.set(key, value) };
}

/** A client of two fake streaming carries, `ws` and `sse`, and one fake poll. */
export function givenClient(options = {}) {
  const clock = new FakeClock();
  const carries = {
    ws: fakeCarry('ws', { requests: true }),
    sse: fakeCarry('sse'),
    poll: fakeCarry('poll', { streams: false }),
  };
  const fetch = fakeFetch(() => {
    throw new TypeError('no network in this test');
  });
  const client = new RungClient({
    url: 'http://rung.test', token: 'T', user: 'me', transport: 'ws', random: () => 0.5, clock, carries, fetch, ...options,
  });
  const heard = [];
  client.on('event', (event) => heard.push(event));
  return { client, clock, heard, fetch, ...carries };
}

/** A client that is online by ws and has said where it stands. */
export async function givenOnline(options = {}) {
  const given = givenClient({ cursor: 'e-10', ...options });
  given.client.start();
  await given.client.ready;
  await settled();
  given.ws.last.report.batch([]);
  await settled();
  return given;
}

export function message(lsn, more = {}) {
  return { event: 'message', cursor: `e-${lsn}`, conversation: '0:1:me:you', seq: lsn, from: 'you',
    ts: 1, type: 'text', body: { text: `m${lsn}` }, ...more };
}
