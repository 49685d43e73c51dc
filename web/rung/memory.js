// What is remembered of the rungs, for each network apart: which one worked last, and
// which failed. For a while, not for ever: networks change, and so do their proxies.

const BEST_KEPT_MS = 7 * 24 * 3_600_000;
const FAILURES_KEPT_MS = 30 * 60_000;
const KEY = 'rung.ladder';

/**
 * @typedef {{failures: number, restsUntil: number, at: number}} Failed at: the last failure
 * @typedef {{best: string | null, bestAt: number, failed: Record<string, Failed>}} Record
 */

export class Memory {
  #store;
  #network;
  #clock;

  /**
   * @param {{getItem(k: string): string | null, setItem(k: string, v: string): void} | null} store
   * @param {() => string} network names the one we are on
   * @param {import('./clock.js').Clock} clock
   */
  constructor(store, network, clock) {
    this.#store = store ?? inThisPageOnly();
    this.#network = network;
    this.#clock = clock;
  }

  /** @returns {Record} of this network, without what is too old */
  recall() {
    const now = this.#clock.now();
    const { best = null, bestAt = 0, failed = {} } = this.#all()[this.#network()] ?? {};
    return {
      best: now - bestAt < BEST_KEPT_MS ? best : null,
      bestAt,
      failed: Object.fromEntries(Object.entries(failed).filter(([, { at }]) => now - at < FAILURES_KEPT_MS)),
    };
  }

  /** @param {string | null} best @param {Record<string, Failed>} failed */
  keep(best, failed) {
    try {
      this.#store.setItem(KEY, JSON.stringify(
        { ...this.#all(), [this.#network()]: { best, bestAt: this.#clock.now(), failed } }));
    } catch {
      // Storage is full or forbidden: nothing is remembered, and nothing else is wrong.
    }
  }

  #all() {
    try {
      return JSON.parse(this.#store.getItem(KEY) ?? '{}') ?? {};
    } catch {
      return {};
    }
  }
}

function inThisPageOnly() {
  let text = null;
  return { getItem: () => text, setItem: (_key, value) => (text = value) };
}

/** What a browser knows of its network. */
export function kindOfNetwork() {
  return globalThis.navigator?.connection?.type ?? 'any';
}
