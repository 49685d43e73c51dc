// A clock whose timers also run when something comes from the server. Browsers let
// the timers of hidden pages sleep for a minute, but not what the network brings:
// the server's heartbeats wind this clock.

/** @typedef {import('./clock.js').Clock} Clock */

/** @implements {Clock} */
export class BeatClock {
  #clock;
  #timers = new Set();

  /** @param {Clock} clock */
  constructor(clock) {
    this.#clock = clock;
  }

  now() {
    return this.#clock.now();
  }

  after(ms, fn) {
    const timer = { due: this.now() + ms, fn };
    timer.under = this.#clock.after(ms, () => this.#ring(timer));
    this.#timers.add(timer);
    return timer;
  }

  cancel(timer) {
    if (this.#timers.delete(timer)) this.#clock.cancel(timer.under);
  }

  /** Run what is due and has not run. */
  beat() {
    const now = this.now();
    const late = [...this.#timers].filter(({ due }) => due <= now).sort((a, b) => a.due - b.due);
    for (const timer of late) this.#ring(timer);
  }

  #ring(timer) {
    if (!this.#timers.delete(timer)) return; // cancelled by one that rang before
    this.#clock.cancel(timer.under);
    timer.fn();
  }
}
