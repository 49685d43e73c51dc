// What came on a stream is acknowledged together, by the cursor, so that its senders
// hear "delivered". A poll says it by the next cursor that it presents.

const ACK_AFTER_MS = 200;

export class Acks {
  #clock;
  #timer = null;
  #acked = null;
  #send;

  /** @param {import('./clock.js').Clock} clock @param {() => {cursor: string, sent: Promise<unknown>} | null} send
   *   acknowledge now, unless nothing is live */
  constructor(clock, send) {
    this.#clock = clock;
    this.#send = send;
  }

  soon() {
    this.#timer ??= this.#clock.after(ACK_AFTER_MS, () => {
      this.#timer = null;
      const ack = this.#send(this.#acked);
      ack?.sent.then(
        () => (this.#acked = ack.cursor),
        () => {}, // the next one, or the cursor of the next connection, says it as well
      );
    });
  }

  stop() {
    this.#clock.cancel(this.#timer);
    this.#timer = null;
  }
}
