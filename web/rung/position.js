// Where a client stands in the log. A position says what to ask a transport for,
// and takes an event only when it lies beyond: whatever arrives twice, from two
// transports or from a retry, is taken once.

function parse(cursor) {
  const dash = cursor.lastIndexOf('-');
  return { epoch: dash < 0 ? '' : cursor.slice(0, dash), lsn: Number(cursor.slice(dash + 1)) };
}

/**
 * Does `cursor` lie beyond `than`? Cursors of two epochs do not compare: only a
 * `reset` leads from one to the other. `null` is nowhere; "0" is before every epoch.
 * @param {string} cursor
 * @param {string | null} than
 */
export function isBeyond(cursor, than) {
  if (than === null) return true;
  const a = parse(cursor);
  const b = parse(than);
  return (b.epoch === '' || a.epoch === b.epoch) && a.lsn > b.lsn;
}

/** On the mixed chain: everything a user may see, by one cursor. */
export class MixedChain {
  /** @param {string | null} cursor null: from now on */
  constructor(cursor) {
    this.cursor = cursor;
  }

  /** The parameters that make a transport go on from here. */
  query() {
    return this.cursor === null ? {} : { cursor: this.cursor };
  }

  /** The parameters of the message.ack that says how far this one has come. */
  mark() {
    return { cursor: this.cursor };
  }

  /** Does a run that begins at `query` leave out something that we lack? */
  isBehind({ cursor }) {
    return cursor !== undefined && isBeyond(cursor, this.cursor);
  }

  /** Step onto `event`; false when it is not beyond. */
  take(event) {
    return this.move(event.cursor);
  }

  /** All up to `cursor` has come; false when that is not news. */
  move(cursor) {
    if (!isBeyond(cursor, this.cursor)) return false;
    this.cursor = cursor;
    return true;
  }

  /** What a gap speaks of is no more: go on behind it. */
  pass(gap) {
    return gap.cursor !== undefined && this.move(gap.cursor);
  }

  reset(cursor) {
    this.cursor = cursor;
  }
}

/** On the single chain of one conversation, by seq. */
export class SingleChain {
  /**
   * @param {string} conversation
   * @param {number} after the last seq already known
   */
  constructor(conversation, after) {
    this.conversation = conversation;
    this.after = after;
    this.cursor = null;
  }

  query() {
    return { conversation: this.conversation, after: this.after };
  }

  /* By seq: a cursor would speak of the whole mixed chain, which this one has not seen. */
  mark() {
    return { conversation: this.conversation, seq: this.after };
  }

  isBehind({ after }) {
    return after > this.after;
  }

  take(event) {
    if (event.conversation !== this.conversation) return false;
    if (event.event === 'receipt') return true; // its seq is what it speaks of, not a place
    if (!(event.seq > this.after)) return false;
    this.after = event.seq;
    this.cursor = event.cursor;
    return true;
  }

  move() {
    return false; // only entries of the conversation move this one
  }

  pass({ conversation, to }) {
    if (conversation !== this.conversation || !(to > this.after)) return false;
    this.after = to;
    return true;
  }

  reset() {
    this.after = 0;
  }
}
