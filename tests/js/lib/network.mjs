// A network in fake time: rungs that work, refuse, hang or hold back what they are
// given, before a server with a log. What a client is told can be held against the log.

import { RungClient, RungError } from '../../../web/rung.js';
import { FakeClock, fakeFetch, message } from './fakes.mjs';

export const RUNGS = ['ws', 'stream', 'sse', 'longpoll', 'poll', 'jsonp'];
export const FAULTS = ['refuses', 'hangs', 'buffers'];
const POLLS = new Set(['longpoll', 'poll', 'jsonp']);
const PAUSE_MS = 500;

export class FakeNetwork {
  lsn = 10; // the head of the log
  opened = []; // every opening: {name, at, cursor}
  rttMs;
  #clock;
  #modes = new Map();
  #lines = new Set();

  constructor(clock, { rttMs = 50 } = {}) {
    this.#clock = clock;
    this.rttMs = rttMs;
  }

  /** @param {'works' | 'refuses' | 'hangs' | 'buffers'} mode lines that are open feel it, too */
  make(mode, ...names) {
    for (const name of names) {
      this.#modes.set(name, mode);
      for (const line of [...this.#lines].filter((one) => one.name === name)) {
        if (mode === 'refuses') this.#cut(line, new RungError('disconnected', 'reset'));
        else line.mute = mode !== 'works';
      }
    }
  }

  /** The server says this to everybody, as the last thing. */
  dismiss(bye) {
    for (const line of [...this.#lines]) line.report.batch([{ event: 'bye', ...bye }]);
  }

  /** Only lines to come feel it; the open ones stay as they are. */
  makeNext(mode, name) {
    this.#modes.set(name, mode);
  }

  /** The open line of a rung. */
  lineOf(name) {
    return [...this.#lines].find((line) => line.name === name);
  }

  /** Somebody writes. */
  append(count = 1) {
    this.lsn += count;
    for (const line of this.#lines) if (!POLLS.has(line.name)) this.#after(this.rttMs / 2, line, () => this.#deliver(line));
  }

  carries(names = RUNGS) {
    return Object.fromEntries(names.map((name) => [name, this.#carry(name)]));
  }

  #carry(name) {
    return {
      name,
      streams: !POLLS.has(name),
      quietMs: POLLS.has(name) ? 45_000 : undefined,
      open: (host, report) => {
        const { cursor } = host.position();
        const line = { name, report, host, at: cursor ? Number(cursor.split('-')[1]) : null, mute: false, open: true };
        this.opened.push({ name, at: this.#clock.now(), cursor });
        this.#lines.add(line);
        this.#connect(line, this.#modes.get(name) ?? 'works');
        return { close: () => this.#close(line) };
      },
    };
  }

  #connect(line, mode) {
    if (mode === 'hangs') return;
    this.#after(this.rttMs, line, () => {
      if (mode === 'refuses') return this.#cut(line, new RungError('network', 'refused'));
      line.report.accepted();
      line.mute ||= mode === 'buffers';
      this.#after(this.rttMs, line, () => this.#greet(line));
    });
  }

  #greet(line) {
    if (line.mute) return;
    line.at ??= this.lsn;
    line.greeted = true;
    line.report.batch([{ event: 'hello', cursor: `e-${line.at}`, heartbeat_ms: 25_000 }]);
    if (POLLS.has(line.name)) this.#answer(line);
    else this.#deliver(line);
  }

  #answer(line) {
    this.#deliver(line);
    this.#after(PAUSE_MS, line, () => this.#answer(line));
  }

  #deliver(line) {
    if (line.mute || !line.greeted || line.at >= this.lsn) return;
    const events = [];
    while (line.at < this.lsn) events.push(message(++line.at));
    line.report.batch(events);
  }

  #after(ms, line, fn) {
    this.#clock.after(ms, () => line.open && fn());
  }

  #cut(line, error) {
    this.#close(line);
    line.report.down({ error });
  }

  #close(line) {
    line.open = false;
    this.#lines.delete(line);
  }
}

/** A client on such a network; `told` are the seqs that it was told, `seen` what the ladder said. */
export function givenClimber({ rttMs, names, clock = new FakeClock(), network = new FakeNetwork(clock, { rttMs }),
  networkName = 'test', ...options } = {}) {
  const fetch = fakeFetch(() => {
    throw new TypeError('no methods on this network');
  });
  const client = new RungClient({ url: 'http://rung.test', token: 'T', user: 'me', cursor: 'e-10', random: () => 0.5,
    clock, fetch, carries: network.carries(names), network: () => networkName, ...options });
  const told = [];
  const seen = [];
  client.on('message', ({ seq }) => told.push(seq));
  client.on('transport', (change) => seen.push({ ...change, at: clock.now() }));
  return { client, clock, network, told, seen, startedAt: clock.now() };
}

/** Every message after `from` up to the head: each once, in order. */
export function all(network, from = 10) {
  return Array.from({ length: network.lsn - from }, (_, i) => from + 1 + i);
}
