// The machine's time. Tests give their own object of this shape, so that no
// test has to sleep.

/** @typedef {{now(): number, after(ms: number, fn: () => void): unknown, cancel(timer: unknown): void}} Clock */

/** @type {Clock} */
export const systemClock = {
  now: () => Date.now(),
  after: (ms, fn) => setTimeout(fn, ms),
  cancel: (timer) => clearTimeout(timer),
};
