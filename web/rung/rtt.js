// How long a question and its answer take here: smoothed, an eighth of each new measure.

export class Rtt {
  /** @type {number | null} milliseconds; null before the first measure */
  ms = null;

  note(ms) {
    this.ms = this.ms === null ? ms : this.ms + (ms - this.ms) / 8;
  }
}
