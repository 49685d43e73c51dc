// Messages on their way out. Each is tried, always under its one client_msg_id, until
// the server has stored it or said that it never will. Messages to one destination are
// a lane: they leave one after the other, so a retry cannot be overtaken, and are
// counted, so that a copy delayed on the way cannot come in behind the next one.

import { fullJitter } from './backoff.js';
import { RungError } from './error.js';

const ATTEMPT_MS = 15_000;
const MISCOUNTS = 3; // in a row, before there is a pause: another tab counts, too

class Lane {
  entries = []; // the first one in flight or waiting
  next = 1; // the client_seq of the next message; where the server's is another, it says so
  miscounts = 0;
}

export class Outbox {
  #clock;
  #random;
  #deliver;
  #changed;
  #stopped = true;
  #lanes = new Map(); // destination → Lane

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
    return [...this.#lanes.values()].flatMap(({ entries }) => entries.map(({ params }) => params));
  }

  /**
   * @param {object} params of message.send, with its client_msg_id
   * @returns {Promise<object>} the server's answer
   */
  add(params) {
    const entry = newEntry(params);
    this.#lane(entry).entries.push(entry);
    this.#changed(this.waiting, { added: params });
    this.#pump(entry.lane);
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
    const lanes = new Set(entries.map((entry) => this.#lane(entry)));
    for (const lane of lanes) {
      const started = lane.entries.filter(({ attempts }) => attempts > 0).length;
      lane.entries.splice(started, 0, ...entries.filter((entry) => entry.lane === lane));
      this.#pump(lane);
    }
    return entries;
  }

  /** The way is free again: do not wait out a backoff (but do what a server asked for). */
  flush() {
    for (const lane of this.#lanes.values()) if (!lane.entries[0]?.obliged) this.#pump(lane);
  }

  /** The message came back on a stream, so it is stored, whatever became of the answer. */
  settle(event) {
    for (const { entries } of this.#lanes.values()) {
      const entry = entries.find(({ params }) => params.client_msg_id === event.client_msg_id);
      if (entry) this.#stored(entry, event);
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
    for (const entry of [...this.#lanes.values()].flatMap(({ entries }) => entries)) {
      this.#clock.cancel(entry.timer);
      entry.busy = false;
    }
  }

  /** None of them is sent any more. What is on its way may still be stored. */
  clear() {
    const entries = [...this.#lanes.values()].flatMap((lane) => lane.entries.splice(0));
    this.#lanes.clear();
    for (const { timer } of entries) this.#clock.cancel(timer);
    this.#changed([], {});
    for (const { reject } of entries) reject(new RungError('disconnected', 'forgotten'));
  }

  #lane(entry) {
    const key = entry.params.conversation ?? `to:${entry.params.to}`;
    if (!this.#lanes.has(key)) this.#lanes.set(key, new Lane());
    entry.lane = this.#lanes.get(key);
    return entry.lane;
  }

  #pump(lane) {
    const entry = lane.entries[0];
    if (!entry || entry.busy || this.#stopped) return;
    const attempt = ++entry.attempts;
    const stillOurs = () => entry.busy && entry.attempts === attempt;
    this.#clock.cancel(entry.timer);
    entry.busy = true;
    entry.obliged = false;
    entry.count = lane.next;
    entry.timer = this.#clock.after(ATTEMPT_MS, () =>
      this.#failed(entry, new RungError('timeout', `not stored within ${ATTEMPT_MS} ms`)));
    this.#deliver({ client_seq: lane.next, ...entry.params }).then(
      (result) => this.#stored(entry, result), // even a late one is the truth
      (error) => stillOurs() && this.#failed(entry, error),
    );
  }

  #failed(entry, error) {
    this.#clock.cancel(entry.timer);
    const miscounted = this.#recount(entry, error);
    if (!error.retryable && !miscounted) {
      this.#finish(entry, () => entry.reject(error));
      return;
    }
    entry.busy = false;
    entry.obliged = error.retryAfterMs !== undefined;
    if (this.#stopped) return;
    const jitter = miscounted && entry.lane.miscounts <= MISCOUNTS ? 0 : fullJitter(entry.attempts - 1, this.#random);
    entry.timer = this.#clock.after((error.retryAfterMs ?? 0) + jitter, () => this.#pump(entry.lane));
  }

  /* The server counts on from what it has of this device: an earlier page, another tab. */
  #recount({ lane, params }, error) {
    if (error.code !== 'conflict' || error.expected === undefined || params.client_seq !== undefined) return false;
    lane.next = error.expected;
    lane.miscounts++;
    return true;
  }

  #stored(entry, result) {
    const { lane } = entry;
    if (entry.count !== undefined && lane.entries.includes(entry)) {
      lane.next = entry.count + 1;
      lane.miscounts = 0;
    }
    this.#finish(entry, () => entry.resolve(result));
  }

  #finish(entry, tell) {
    const { lane } = entry;
    const at = lane.entries.indexOf(entry);
    if (at < 0) return; // settled before
    this.#clock.cancel(entry.timer);
    lane.entries.splice(at, 1);
    this.#changed(this.waiting, { gone: entry.params });
    tell();
    this.#pump(lane);
  }
}

function newEntry(params) {
  const entry = { params, lane: null, count: undefined, attempts: 0, busy: false, timer: null, obliged: false };
  entry.promise = new Promise((resolve, reject) => Object.assign(entry, { resolve, reject }));
  return entry;
}
