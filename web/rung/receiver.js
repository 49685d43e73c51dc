// The cursor of one session. Whatever the rungs bring, one or several at once, an
// event is taken only when it lies beyond the cursor, and the cursor moves before
// anybody is told.

export class Receiver {
  #position;
  #on;
  #taken = []; // of the batch that is being read
  #from = null; // where it began

  /**
   * @param {import('./position.js').MixedChain | import('./position.js').SingleChain} position
   * @param {object} on
   * @param {(event: object) => void} on.event one that was taken, and each hello, heartbeat and bye
   * @param {() => void} on.moved the cursor is another
   * @param {(link: object) => void} on.placed by this link, not by going on: the others are elsewhere
   * @param {(link: object, bye: object) => void} on.bye
   * @param {(batch: {from: object, events: object[], cursor: string | null}) => void} on.batch
   * @param {(link: object) => boolean} on.isLive
   */
  constructor(position, on) {
    this.#position = position;
    this.#on = on;
  }

  take(link, event) {
    this.#from ??= this.#position.query();
    if (this.#accepts(link, event)) {
      if (event.event !== 'hello' && event.event !== 'bye') this.#taken.push(event);
      this.#on.event(event);
    }
    if (event.event === 'bye') this.#on.bye(link, event);
  }

  /** The batch has ended; all up to `cursor` has come. */
  level(link, cursor) {
    this.#from ??= this.#position.query();
    const known = this.#position.cursor !== null;
    if (cursor !== undefined && this.#position.move(cursor)) this.#moved();
    if (!known && this.#position.cursor !== null) this.#on.placed(link);
    this.#on.batch({ from: this.#from, events: this.#taken, cursor: this.#position.cursor });
    this.#taken = [];
    this.#from = null;
  }

  #accepts(link, event) {
    const { cursor } = event;
    switch (event.event) {
      case 'hello': // where the stream starts; news only to one who had no place
        if (this.#position.cursor === null && cursor && this.#position.move(cursor)) {
          this.#moved();
          this.#on.placed(link);
        }
        return true;
      case 'heartbeat': // in order, like all else: what is below it has come
        if (cursor && this.#position.move(cursor)) this.#moved();
        return true;
      case 'bye':
        return true;
      case 'gap': // what it speaks of will not come any more
        if (!this.#position.pass(event)) return this.#on.isLive(link);
        this.#moved();
        return true;
      case 'reset':
        this.#position.reset(cursor);
        this.#moved();
        this.#on.placed(link);
        return true;
      default:
        if (cursor === undefined) return this.#on.isLive(link);
        if (!this.#position.take(event)) return false;
        this.#moved();
        return true;
    }
  }

  #moved() {
    this.#on.moved();
  }
}
