// One rung of the ladder: what can be said of it, and how long it rests after failures.

export const PROBE_MS = 5_000;
export const PROBE_CAP_MS = 600_000;
export const BLOCKED = 'blocked by the application';

export class Step {
  /** @type {import('./link.js').Link | null} */
  link = null;
  state = 'untried';
  why = '';
  failures = 0;
  failedAt = 0;
  restsUntil = 0;
  round = 0; // the last one it was tried in
  suspect = false; // failed in this round; counts when another gets through

  /**
   * @param {import('../carry/table.js').Carry} carry
   * @param {number} rank 0: the best
   * @param {string | null} missing what is not there that it needs
   */
  constructor(carry, rank, missing) {
    this.carry = carry;
    this.name = carry.name;
    this.rank = rank;
    if (missing) this.to('missing', missing);
  }

  to(state, why = '') {
    this.state = state;
    this.why = why;
  }

  get usable() {
    return this.state !== 'missing' && this.state !== 'blocked';
  }

  /** It failed where another did not: it is left alone for a while, longer each time. */
  rest(now, random) {
    this.suspect = false;
    this.failures++;
    this.failedAt = now;
    const ceiling = Math.min(PROBE_CAP_MS, PROBE_MS * 2 ** (this.failures - 1));
    this.restsUntil = now + Math.round(ceiling / 2 + (random() * ceiling) / 2);
  }

  /** It has proved itself. */
  clear() {
    this.failures = 0;
    this.restsUntil = 0;
  }

  /** @param {import('./memory.js').Failed | undefined} failed what was remembered */
  recall(failed) {
    this.failures = failed?.failures ?? 0;
    this.failedAt = failed?.at ?? 0;
    this.restsUntil = failed?.restsUntil ?? 0;
  }
}
