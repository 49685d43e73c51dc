// Messages on their way out. Each is tried, always under its one client_msg_id,
// until the server has stored it or said that it never will. Messages to one
// destination leave one after the other, so a retry cannot be overtaken.

import { fullJitter } from './backoff.js';
import { RungError } from './error.js';

const ATTEMPT_MS = 15_000;

export class Outbox {
  #clock;
  #random;
  #deliver;
  #changed;
  #stopped = true;
  #lanes = new Map(); // destination → entries, the first one in flight or waiting

  /**
   * @param {object} parts
   * @param {import('./clock.js').Clock} parts.clock
   * @param {() => number} parts.random
   * @param {(params: object) => Promise<object>} parts.deliver one attempt
   * @param {(waiting: object[], change: {added?: object, gone?: object}) => void} parts.changed
   *   what is still on its way, to be remembered
   */
  constructor({ clock, random, deliver, changed }) {
    this.#clock = clock;
    this.#random = random;
    this.#deliver = deliver;
    this.#changed = changed;
  }

  /** The messages not yet stored, oldest first within each destination. */
  get waiting() {
    return [...this.#lanes.values()].flat().map((entry) => entry.params);
  }

  /**
   * @param {object} params of message.send, with its client_msg_id
   * @returns {Promise<object>} the server's answer
   */
  add(params) {
    const entry = newEntry(params);
    if (!this.#lanes.has(entry.key)) this.#lanes.set(entry.key, []);
    this.#lanes.get(entry.key).push(entry);
    this.#changed(this.waiting, { added: params });
    this.#pump(entry.key);
    return entry.promise;
  }

  /**
   * Messages of an earlier life, in their order: they go before those of this one.
   * @param {object[]} all
   * @returns {{params: object, promise: Promise<object>}[]} those that were not known yet
   */
  restore(all) {
    const known = new Set(this.waiting.map(({ client_msg_id }) => client_msg_id));
    const entries = all.filter(({ client_msg_id }) => !known.has(client_msg_id)).map(newEntry);
    for (const key of new Set(entries.map((entry) => entry.key))) {
      const lane = this.#lanes.get(key) ?? [];
      const started = lane.findLastIndex(({ attempts }) => attempts > 0) + 1;
      lane.splice(started, 0, ...entries.filter((entry) => entry.key === key));
      this.#lanes.set(key, lane);
    }
    for (const { key } of entries) this.#pump(key);
    return entries;
  }

  /** The way is free again: do not wait out a backoff (but do what a server asked for). */
  flush() {
    for (const [key, [head]] of this.#lanes) if (!head.obliged) this.#pump(key);
  }

  /** The message came back on a stream, so it is stored, whatever became of the answer. */
  settle(event) {
    for (const lane of this.#lanes.values()) {
      const entry = lane.find(({ params }) => params.client_msg_id === event.client_msg_id);
      if (entry) this.#finish(entry, () => entry.resolve(event));
    }
  }

  start() {
    if (!this.#stopped) return;
    this.#stopped = false;
    this.flush();
  }

  /** Stop trying; what is left stays in `waiting` and goes on with start(). */
  stop() {
    this.#stopped = true;
    for (const lane of this.#lanes.values())
      for (const entry of lane) {
        this.#clock.cancel(entry.timer);
        entry.busy = false;
      }
  }

  #pump(key) {
    const entry = this.#lanes.get(key)?.[0];
    if (!entry || entry.busy || this.#stopped) return;
    const attempt = ++entry.attempts;
    const stillOurs = () => entry.busy && entry.attempts === attempt;
    this.#clock.cancel(entry.timer);
    entry.busy = true;
    entry.obliged = false;
    entry.timer = this.#clock.after(ATTEMPT_MS, () =>
      this.#failed(entry, new RungError('timeout', `not stored within ${ATTEMPT_MS} ms`)));
    this.#deliver(entry.params).then(
      (result) => this.#finish(entry, () => entry.resolve(result)), // even a late one is the truth
      (error) => stillOurs() && this.#failed(entry, error),
    );
  }

  #failed(entry, error) {
    this.#clock.cancel(entry.timer);
    if (!error.retryable) {
      this.#finish(entry, () => entry.reject(error));
      return;
    }
    entry.busy = false;
    entry.obliged = error.retryAfterMs !== undefined;
    if (this.#stopped) return;
    const delay = (error.retryAfterMs ?? 0) + fullJitter(entry.attempts - 1, this.#random);
    entry.timer = this.#clock.after(delay, () => this.#pump(entry.key));
  }

  #finish(entry, tell) {
    const lane = this.#lanes.get(entry.key) ?? [];
    const at = lane.indexOf(entry);
    if (at < 0) return; // settled before
    this.#clock.cancel(entry.timer);
    lane.splice(at, 1);
    if (lane.length === 0) this.#lanes.delete(entry.key);
    this.#changed(this.waiting, { gone: entry.params });
    tell();
    this.#pump(entry.key);
  }
}

function newEntry(params) {
  const key = params.conversation ?? `to:${params.to}`;
  const entry = { key, params, attempts: 0, busy: false, timer: null, obliged: false };
  entry.promise = new Promise((resolve, reject) => Object.assign(entry, { resolve, reject }));
  return entry;
}
