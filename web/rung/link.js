// A link is one carry at work, watched: it is up at most once, down at most once,
// and says nothing after it was closed. Silence for two heartbeats means death.

import { RungError } from './error.js';

const HANDSHAKE_MS = 10_000;

export class Link {
  #clock;
  #on;
  #handle = null;
  #watchdog = null;
  #quietMs;

  /** Is it open? False for good after close() or its going down. */
  open = true;
  up = false;
  upSince = 0;

  /**
   * @param {import('../carry/table.js').Carry} carry
   * @param {import('../carry/table.js').Host} host
   * @param {import('./clock.js').Clock} clock
   * @param {{up(link: Link): void, event(link: Link, event: object): void, level(link: Link, cursor: string): void, down(link: Link, why: import('../carry/table.js').Why): void}} on
   */
  constructor(carry, host, clock, on) {
    this.name = carry.name;
    this.streams = carry.streams;
    this.#clock = clock;
    this.#on = on;
    this.#quietMs = carry.quietMs ?? HANDSHAKE_MS;
    this.#alive();
    this.#handle = carry.open(host, {
      up: () => this.#cameUp(),
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

  #cameUp() {
    if (!this.open || this.up) return;
    this.up = true;
    this.upSince = this.#clock.now();
    if (this.streams) this.#quietMs = Infinity; // until the server says its rhythm
    this.#alive();
    this.#on.up(this);
  }

  #batch(events, cursor) {
    if (!this.open) return;
    for (const event of events) {
      this.#learnRhythm(event);
      this.#on.event(this, event);
      if (!this.open) return; // a listener closed us: what is left was not taken
    }
    if (cursor !== undefined) this.#on.level(this, cursor);
    this.#alive();
  }

  #learnRhythm(event) {
    if (event.event !== 'hello' || !event.heartbeat_ms) return;
    this.#quietMs = 2 * event.heartbeat_ms;
  }

  #alive() {
    if (!this.open) return;
    this.#clock.cancel(this.#watchdog);
    this.#watchdog = null;
    if (this.#quietMs === Infinity) return;
    this.#watchdog = this.#clock.after(this.#quietMs, () => this.#silent());
  }

  #silent() {
    this.#wentDown({ error: new RungError('timeout', `nothing came for ${this.#quietMs} ms`) });
  }

  #wentDown(why) {
    if (!this.open) return;
    this.close();
    this.#on.down(this, why);
  }
}
