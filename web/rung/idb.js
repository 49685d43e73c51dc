// Tables in IndexedDB: they outlive the page. The interface is that of ram.js.

const TABLES = ['state', 'entries', 'stretches', 'outbox'];

function done(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

function committed(transaction) {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = transaction.onerror = () => reject(transaction.error);
  });
}

export class IdbTables {
  #name;
  #db = null;

  /** @param {string} name of the database */
  constructor(name) {
    this.#name = name;
  }

  async open() {
    const request = indexedDB.open(this.#name, 1);
    request.onupgradeneeded = () => {
      for (const table of TABLES) request.result.createObjectStore(table);
    };
    this.#db = await done(request);
    this.#db.onversionchange = () => this.close(); // somebody deletes it
  }

  async range(table, low, high) {
    const bounds = low === undefined && high === undefined ? undefined
      : high === undefined ? IDBKeyRange.lowerBound(low)
      : low === undefined ? IDBKeyRange.upperBound(high)
      : IDBKeyRange.bound(low, high);
    return done(this.#db.transaction(table).objectStore(table).getAll(bounds));
  }

  async write(changes) {
    const transaction = this.#db.transaction([...new Set(changes.map(({ table }) => table))], 'readwrite');
    for (const { table, key, value } of changes) {
      const store = transaction.objectStore(table);
      if (value === undefined) store.delete(key);
      else store.put(value, key);
    }
    transaction.commit?.(); // at once, not when the puts are answered: the page may be about to go
    await committed(transaction);
  }

  async clear(...tables) {
    const transaction = this.#db.transaction(tables, 'readwrite');
    for (const table of tables) transaction.objectStore(table).clear();
    await committed(transaction);
  }

  close() {
    this.#db?.close();
  }
}
