// Cursor and unsent messages in a storage of the application's own, such as
// sessionStorage, instead of the cache: each person's under that person's name, so
// that nobody else who uses the storage sees or sends them.

export class Kept {
  #storage;
  #prefix;
  #owner = null;

  /** @param {import('../rung.d.ts').KeyValue} storage @param {string} [prefix] of its keys */
  constructor(storage, prefix = 'rung') {
    this.#storage = storage;
    this.#prefix = prefix;
  }

  /** From now on `owner`'s. @returns {{cursor: string | null, outbox: object[]}} what is there */
  open(owner) {
    this.#owner = owner;
    return { cursor: this.#get('cursor'), outbox: this.#get('outbox') ?? [] };
  }

  /** Nothing is kept before it is known whose it is. */
  set(name, value) {
    if (this.#owner !== null) this.#storage.setItem(this.#key(name), JSON.stringify(value));
  }

  #get(name) {
    const text = this.#storage.getItem(this.#key(name));
    return text ? JSON.parse(text) : null;
  }

  #key(name) {
    return `${this.#prefix}.${name}.${this.#owner}`;
  }
}
