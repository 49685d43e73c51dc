// Tables in memory, for where there is no IndexedDB: gone with the page. Keys are
// strings, numbers or arrays of them, ordered as IndexedDB orders them.

/** Below, equal or above: numbers before strings before arrays. */
export function compareKeys(a, b) {
  if (Array.isArray(a) && Array.isArray(b)) {
    for (let i = 0; i < Math.min(a.length, b.length); i++) {
      const order = compareKeys(a[i], b[i]);
      if (order !== 0) return order;
    }
    return a.length - b.length;
  }
  const kind = (key) => (Array.isArray(key) ? 2 : typeof key === 'string' ? 1 : 0);
  if (kind(a) !== kind(b)) return kind(a) - kind(b);
  return a < b ? -1 : a > b ? 1 : 0;
}

export class RamTables {
  #tables = new Map();

  async open() {}

  /** All values with low <= key <= high, in the order of their keys. */
  async range(table, low, high) {
    return [...this.#table(table).values()]
      .filter(({ key }) => (low === undefined || compareKeys(key, low) >= 0) && (high === undefined || compareKeys(key, high) <= 0))
      .sort((a, b) => compareKeys(a.key, b.key))
      .map(({ value }) => value);
  }

  /** @param {{table: string, key: any, value?: any}[]} changes all or none; without a value: delete */
  async write(changes) {
    for (const { table, key, value } of changes) {
      if (value === undefined) this.#table(table).delete(JSON.stringify(key));
      else this.#table(table).set(JSON.stringify(key), { key, value });
    }
  }

  async clear(...tables) {
    for (const table of tables) this.#table(table).clear();
  }

  close() {}

  #table(name) {
    if (!this.#tables.has(name)) this.#tables.set(name, new Map());
    return this.#tables.get(name);
  }
}
