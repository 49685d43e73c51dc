// What one person has received, checked by the numbers that the server gave it: every
// conversation counts its entries 1, 2, 3 … without gaps, so what is missing, double or
// late shows by itself. No DOM here.

const KEPT = 500; // latencies per rung

/** When a UUIDv7 was made, in ms since the epoch (RFC 9562, 5.7); else null. */
export function madeAt(id) {
  const hex = id?.replaceAll('-', '') ?? '';
  return /^[0-9a-f]{12}7[0-9a-f]{19}$/i.test(hex) ? parseInt(hex.slice(0, 12), 16) : null;
}

export class Audit {
  messages = 0;
  bytes = 0;
  twice = 0;
  late = 0;
  latencies = new Map(); // rung → the newest, in ms
  #chains = new Map(); // conversation → {high, missing}

  /** Those that have been passed over and have not come since. */
  get lost() {
    return [...this.#chains.values()].reduce((sum, { missing }) => sum + missing.size, 0);
  }

  /**
   * @param {any} event as the client hands it on
   * @param {{rung?: string | null, sentAt?: number | null, now?: number}} [how] sentAt: when its sender,
   *   whose clock is ours, made it
   */
  take(event, { rung = null, sentAt = null, now = Date.now() } = {}) {
    if (event.event === 'gap') return this.#forgotten(event);
    if (!event.seq || !event.conversation || event.event === 'receipt') return undefined;
    if (!this.#count(event)) return undefined;
    if (event.event !== 'message') return undefined;
    this.messages++;
    this.bytes += JSON.stringify(event).length;
    if (rung && sentAt !== null) this.#timed(rung, now - sentAt);
    return undefined;
  }

  /** Another log: what was known of the old one says nothing. */
  reset() {
    this.#chains.clear();
  }

  #count({ conversation, seq }) {
    const chain = this.#chains.get(conversation);
    if (!chain) {
      this.#chains.set(conversation, { high: seq, missing: new Set() });
      return true;
    }
    if (seq > chain.high) {
      for (let between = chain.high + 1; between < seq; between++) chain.missing.add(between);
      chain.high = seq;
      return true;
    }
    if (!chain.missing.delete(seq)) {
      this.twice++;
      return false;
    }
    this.late++;
    return true;
  }

  /* What retention has removed is not lost on the way. */
  #forgotten({ conversation, from, to }) {
    const chain = this.#chains.get(conversation);
    if (!chain) return;
    for (let seq = from; seq <= to; seq++) chain.missing.delete(seq);
    chain.high = Math.max(chain.high, to);
  }

  #timed(rung, ms) {
    if (!this.latencies.has(rung)) this.latencies.set(rung, []);
    const list = this.latencies.get(rung);
    list.push(Math.max(0, ms));
    if (list.length > KEPT) list.shift();
  }
}

/** @param {number[]} values @param {number} part 0.5: the median */
export function quantile(values, part) {
  if (values.length === 0) return null;
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))];
}
