// text/event-stream, taken apart as the HTML standard says: pieces of text in, the data
// of each event out. Names and ids are left aside: the data says both.

export class EventStream {
  #rest = '';
  #data = [];
  #afterCr = false;

  /** @param {string} text some more @returns {string[]} the data of the events that are complete */
  take(text) {
    const all = [];
    if (this.#afterCr && text.startsWith('\n')) text = text.slice(1);
    if (text !== '') this.#afterCr = text.endsWith('\r');
    const lines = (this.#rest + text).split(/\r\n|\n|\r/);
    this.#rest = lines.pop();
    for (const line of lines) {
      if (line === '') {
        if (this.#data.length > 0) all.push(this.#data.join('\n'));
        this.#data = [];
      } else if (line.startsWith('data:')) {
        this.#data.push(line.slice(line[5] === ' ' ? 6 : 5));
      }
    }
    return all;
  }
}
