// What this device has seen, kept by cursor: the cursor is written together with the
// entries that it says have come. Of each conversation one unbroken stretch counts,
// from seq `low` to `high`; what lies outside is asked for again.

export class Cache {
  #tables = null; // null: closed
  #opened = null; // the last that were open
  #stretches = new Map(); // conversation → {low, high}
  #changes = []; // to be written together
  #hearing = false; // what another tab writes
  #cursor;
  #writing = null;
  #failed;

  /** @param {(error: Error) => void} [failed] told of what could not be written */
  constructor(failed = () => {}) {
    this.#failed = failed;
  }

  /**
   * From now on kept in `tables`, with what has come before.
   * @param {import('./ram.js').RamTables} tables
   * @returns {Promise<{cursor: string | null, outbox: object[]}>} what they hold
   */
  async open(tables) {
    await tables.open();
    const [cursor] = await tables.range('state', 'cursor', 'cursor');
    for (const { conversation, low, high } of await tables.range('stretches'))
      if (!this.#stretches.has(conversation)) this.#stretches.set(conversation, { low, high });
    const outbox = await tables.range('outbox');
    this.#tables = this.#opened = tables;
    this.#writeSoon();
    return { cursor: cursor ?? null, outbox: outbox.sort((a, b) => a.at - b.at).map(({ params }) => params) };
  }

  /* ---- what comes ---- */

  /** A batch has been taken, up to `cursor`. */
  take(events, cursor) {
    this.#learn(events);
    if (cursor === this.#cursor) return;
    this.#cursor = cursor;
    this.#change('state', 'cursor', cursor);
  }

  /** Another tab has taken a batch, and keeps it: know of it without writing it again. */
  hear(events) {
    this.#hearing = true;
    this.#learn(events);
    this.#hearing = false;
  }

  /** A page of history. @param {{before?: number, after?: number}} asked */
  async addPage({ before, after }, { messages }) {
    const run = unbroken(messages, before === undefined && after !== undefined);
    if (run.length === 0) return;
    const { conversation } = run[0];
    const [low, high] = [run[0].seq, run.at(-1).seq];
    const stretch = this.#stretches.get(conversation);
    if (!stretch || high > stretch.high + 1 && low > stretch.high + 1) this.#setStretch(conversation, low, high);
    else if (high >= stretch.low - 1) this.#setStretch(conversation, Math.min(low, stretch.low), Math.max(high, stretch.high));
    else return; // an island below: not worth a second stretch
    for (const entry of run) this.#change('entries', [conversation, entry.seq], entry);
    await this.written();
  }

  /* ---- what is asked for ---- */

  /** The newest `limit` entries below `seq`, ascending; null when they are not all here. */
  async before(conversation, seq, limit) {
    const { low, high } = this.#stretches.get(conversation) ?? {};
    if (!(low < seq && seq <= high + 1)) return null;
    const from = Math.max(low, seq - limit);
    return this.#page(conversation, from, seq - 1, from > 1);
  }

  /** The oldest `limit` entries above `seq`; null when they are not all here. */
  async after(conversation, seq, limit) {
    const { low, high } = this.#stretches.get(conversation) ?? {};
    if (!(low <= seq + 1 && seq < high)) return null;
    return this.#page(conversation, seq + 1, Math.min(high, seq + limit), true);
  }

  /** The newest there are; null when there are none. */
  async newest(conversation, limit) {
    const stretch = this.#stretches.get(conversation);
    return stretch ? this.before(conversation, stretch.high + 1, limit) : null;
  }

  /** The newest seq of a conversation that is known; undefined: none. */
  newestSeq(conversation) {
    return this.#stretches.get(conversation)?.high;
  }

  /* ---- the outbox ---- */

  keepUnsent(params, at) {
    this.#change('outbox', params.client_msg_id, { params, at });
  }

  dropUnsent({ client_msg_id }) {
    this.#change('outbox', client_msg_id, undefined);
  }

  /** Everything has been written, or has failed to be. */
  async written() {
    while (this.#writing) await this.#writing;
  }

  /** Forget everything, when closed: somebody logs out. */
  async clear() {
    this.#stretches.clear();
    this.#changes = [];
    this.#cursor = undefined;
    await this.written();
    await this.#opened?.open();
    await this.#opened?.clear('state', 'entries', 'stretches', 'outbox');
    this.#opened?.close();
  }

  /** Until the next open(). */
  async close() {
    const tables = this.#tables;
    this.#tables = null;
    await this.written();
    tables?.close();
  }

  /* ---- inside ---- */

  async #page(conversation, from, to, more) {
    await this.written();
    if (!this.#tables) return null;
    const messages = await this.#tables.range('entries', [conversation, from], [conversation, to]);
    return messages.length === to - from + 1 ? { messages, more } : null;
  }

  #learn(events) {
    for (const event of events) {
      if (event.event === 'reset') this.#forget();
      else if (event.event === 'gap') this.#cut(event);
      else if (isEntry(event)) this.#append(event);
    }
  }

  #append(entry) {
    const { conversation, seq } = entry;
    const stretch = this.#stretches.get(conversation);
    if (stretch && seq >= stretch.low && seq <= stretch.high) return;
    this.#change('entries', [conversation, seq], entry);
    this.#setStretch(conversation, stretch && seq === stretch.high + 1 ? stretch.low : seq, seq);
  }

  #cut({ conversation, to }) {
    const stretch = this.#stretches.get(conversation);
    if (!stretch || to < stretch.low) return;
    if (to < stretch.high) return this.#setStretch(conversation, to + 1, stretch.high);
    this.#stretches.delete(conversation);
    this.#change('stretches', conversation, undefined);
  }

  /* Another log: nothing kept is of it, but what is unsent is still to be sent. */
  #forget() {
    for (const conversation of this.#stretches.keys()) this.#change('stretches', conversation, undefined);
    this.#stretches.clear();
  }

  #setStretch(conversation, low, high) {
    this.#stretches.set(conversation, { low, high });
    this.#change('stretches', conversation, { conversation, low, high });
  }

  /* Changes of one turn are written in one transaction. */
  #change(table, key, value) {
    if (this.#hearing) return;
    this.#changes.push({ table, key, value });
    this.#writeSoon();
  }

  #writeSoon() {
    const tables = this.#tables;
    if (tables) this.#writing ??= Promise.resolve().then(() => this.#write(tables));
  }

  async #write(tables) {
    try {
      while (this.#changes.length > 0) await tables.write(this.#changes.splice(0));
    } catch (error) {
      this.#failed(error);
    } finally {
      this.#writing = null;
    }
  }
}

function isEntry({ event, seq }) {
  return (event === 'message' || event === 'conversation') && seq !== undefined;
}

/* Where one was not a member, seqs are missing: the run that touches what was asked for. */
function unbroken(entries, fromStart) {
  const runs = [[]];
  for (const entry of entries) {
    const before = runs.at(-1).at(-1);
    if (before && entry.seq !== before.seq + 1) runs.push([]);
    runs.at(-1).push(entry);
  }
  return fromStart ? runs[0] : runs.at(-1);
}
