// How long a question and its answer take here. A measure may hold more than one round
// trip (a handshake, the server's work), never less: a smaller one is believed at once, of
// a larger one an eighth.

export class Rtt {
  /** @type {number | null} milliseconds; null before the first measure */
  ms = null;

  note(ms) {
    this.ms = this.ms === null || ms < this.ms ? ms : this.ms + (ms - this.ms) / 8;
  }
}
