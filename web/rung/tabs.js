// The tabs of one browser share one stream: who holds the Web Lock leads and carries,
// the others listen to it on a BroadcastChannel. When the leader goes, so does the lock.

export class Tabs {
  #name;
  #channel = null;
  #leave = null;

  /** Are there locks and channels here? @returns {boolean} */
  static get possible() {
    return Boolean(globalThis.navigator?.locks && globalThis.BroadcastChannel);
  }

  /** @param {string} name the same for the tabs that share */
  constructor(name) {
    this.#name = name;
  }

  /**
   * @param {{leads: () => void, follows: () => void, cannot: () => void}} on leads may come
   *   after follows; cannot: the browser refuses, by a policy
   */
  join({ leads, follows, cannot }) {
    const { locks } = globalThis.navigator;
    const left = new AbortController();
    const gone = new Promise((resolve) => left.signal.addEventListener('abort', resolve));
    const hold = () => {
      if (left.signal.aborted) return undefined;
      leads();
      return gone; // the lock is ours until then
    };

    this.#channel = new BroadcastChannel(this.#name);
    this.#leave = () => left.abort();
    locks.request(this.#name, { ifAvailable: true }, (lock) => {
      if (lock) return hold();
      if (left.signal.aborted) return undefined;
      follows();
      locks.request(this.#name, { signal: left.signal }, hold).catch(() => {}); // left before it was our turn
      return undefined;
    }).catch(() => left.signal.aborted || cannot());
  }

  /** Tell the followers. */
  tell(batch) {
    this.#channel?.postMessage(batch);
  }

  /** @param {(batch: object) => void} listener @returns {() => void} stop listening */
  listen(listener) {
    const channel = this.#channel;
    const heard = ({ data }) => listener(data);
    channel.addEventListener('message', heard);
    return () => channel.removeEventListener('message', heard);
  }

  leave() {
    this.#leave?.();
    this.#channel?.close();
    this.#leave = this.#channel = null;
  }
}
