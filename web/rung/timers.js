// Timers by name: setting one again starts it anew, and they can be cleared together.

export class Timers {
  #clock;
  #set = new Map();

  /** @param {import('./clock.js').Clock} clock */
  constructor(clock) {
    this.#clock = clock;
  }

  set(name, ms, fn) {
    this.clear(name);
    this.#set.set(name, this.#clock.after(ms, () => {
      this.#set.delete(name);
      fn();
    }));
  }

  has(name) {
    return this.#set.has(name);
  }

  /** These, or all. */
  clear(...names) {
    for (const name of names.length > 0 ? names : [...this.#set.keys()]) {
      if (this.#set.has(name)) this.#clock.cancel(this.#set.get(name));
      this.#set.delete(name);
    }
  }
}
