// A link is one carry at work, watched. It is up with its first event and not before:
// a connection or a status proves nothing, for a proxy may hold back the rest. It is
// up at most once, down at most once, and says nothing after it was closed.

import { RungError } from './error.js';

const CONNECT_MS = 10_000;
const TRUST_MS = 1_000; // and three round trips

export class Link {
  #clock;
  #rtt;
  #on;
  #handle = null;
  #watchdog = null;
  #quietMs;
  #openedAt;

  /** Is it open? False for good after close() or its going down. */
  open = true;
  up = false;
  heardAt = 0;

  /**
   * @param {import('../carry/table.js').Carry} carry
   * @param {import('../carry/table.js').Host} host
   * @param {import('./rtt.js').Rtt} rtt
   * @param {{up(link: Link): void, event(link: Link, event: object): void, level(link: Link, cursor?: string): void, down(link: Link, why: import('../carry/table.js').Why): void}} on
   *   level: a batch has ended; with a cursor: all up to there has come
   */
  constructor(carry, host, rtt, on) {
    this.name = carry.name;
    this.streams = carry.streams;
    this.#clock = host.clock;
    this.#rtt = rtt;
    this.#on = on;
    this.#quietMs = carry.quietMs ?? Infinity; // until the server says its rhythm
    this.#openedAt = this.#clock.now();
    this.#watch(CONNECT_MS, 'it was not accepted');
    this.#handle = carry.open(host, {
      accepted: () => this.#accepted(),
      batch: (events, cursor) => this.#batch(events, cursor),
      down: (why) => this.#wentDown(why),
    });
  }

  get canRequest() {
    return this.up && this.open && this.#handle.request !== undefined;
  }

  request(method, params) {
    return this.#handle.request(method, params);
  }

  close() {
    if (!this.open) return;
    this.open = false;
    this.#clock.cancel(this.#watchdog);
    this.#handle?.close();
  }

  #accepted() {
    if (!this.open || this.up) return;
    this.#rtt.note(this.#clock.now() - this.#openedAt);
    this.#watch(3 * this.#rtt.ms + TRUST_MS, 'it was accepted, and then nothing came');
  }

  #batch(events, cursor) {
    if (!this.open) return;
    this.heardAt = this.#clock.now();
    if (!this.up) {
      this.up = true;
      this.#on.up(this);
    }
    this.#learnRhythm(events);
    this.#watch(this.#quietMs, 'nothing came');
    for (const event of events) {
      if (!this.open) return; // a listener closed us: what is left was not taken
      this.#on.event(this, event);
    }
    if (this.open) this.#on.level(this, cursor);
  }

  #learnRhythm(events) {
    if (!this.streams) return;
    for (const { event, heartbeat_ms } of events)
      if (event === 'hello' && heartbeat_ms) this.#quietMs = 2 * heartbeat_ms;
  }

  #watch(ms, what) {
    if (!this.open) return;
    this.#clock.cancel(this.#watchdog);
    this.#watchdog = ms === Infinity ? null : this.#clock.after(ms, () =>
      this.#wentDown({ error: new RungError('timeout', `${what} for ${Math.round(ms)} ms`) }));
  }

  #wentDown({ error, final, unfit }) {
    if (!this.open) return;
    this.close();
    const known = error instanceof RungError ? error : new RungError('disconnected', error.message, { cause: error });
    this.#on.down(this, { error: known, final, unfit });
  }
}
