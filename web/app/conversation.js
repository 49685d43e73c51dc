// One conversation as this page knows it: an unbroken stretch of its chain, the
// messages on their way into it, and how far each member has come. No DOM here.

export const PAGE = 40;

/** The id of the conversation of two people (docs/PROTOCOL.md, names). */
export function pairId(a, b, inbox = 0) {
  const digits = /^\d+$/;
  const numeric = digits.test(a) && digits.test(b);
  const before = numeric ? BigInt(a) <= BigInt(b) : a <= b;
  return `${inbox}:1:${before ? `${a}:${b}` : `${b}:${a}`}`;
}

/** The other one of a conversation of two, from its id. */
export function peerOf(id, me) {
  const [, , a, b] = id.split(':');
  return a === me ? b : a;
}

export class Conversation {
  type;
  name = '';
  peer = null;
  lastSeq = 0;
  last = null; // the newest entry, for the list
  unread = 0;
  readSeq = 0;
  rank = 0; // newer activity, higher rank
  left = false;
  members = null; // [{user, role}], when asked for

  entries = []; // ascending by seq, without holes
  loaded = false;
  more = false; // older ones exist
  outgoing = new Map(); // client_msg_id → {params, state: pending|stored|failed, seq?, ts}
  marks = new Map(); // user → {delivered, read}

  constructor(id, me) {
    this.id = id;
    this.me = me;
    this.type = { 1: 'p2p', 2: 'group', 3: 'channel' }[id.split(':')[1]];
    if (this.type === 'p2p') this.peer = peerOf(id, me);
  }

  get title() {
    return this.name || this.peer || this.id.split(':').slice(2).join(':');
  }

  get low() {
    return this.entries[0]?.seq ?? this.lastSeq + 1;
  }

  get high() {
    return this.entries.at(-1)?.seq ?? 0;
  }

  /** The newest entries are known up to where the conversation is known to reach. */
  get hasHole() {
    return this.loaded && this.high < this.lastSeq;
  }

  /** What conversation.list and conversation.get say. */
  describe(summary) {
    this.name = summary.name ?? this.name;
    this.peer = summary.peer ?? this.peer;
    this.setMembers(summary.members);
    if ((summary.last_seq ?? 0) < this.lastSeq) return; // the stream was faster
    this.lastSeq = summary.last_seq ?? 0;
    this.last = summary.last_message ?? this.last;
    this.unread = summary.unread ?? this.unread;
    this.readSeq = Math.max(this.readSeq, summary.read_seq ?? 0);
  }

  setMembers(members) {
    if (!members) return;
    this.members = members;
    this.left = this.type === 'group' && !members.some(({ user }) => user === this.me);
    for (const { user, delivered_seq = 0, read_seq = 0 } of members) {
      this.#mark(user, 'delivered', Math.max(delivered_seq, read_seq));
      this.#mark(user, 'read', read_seq);
    }
  }

  /** A page of history: the newest, older ones, or those that fill a hole. */
  addHistory({ messages, more }, where) {
    const known = new Set(this.entries.map(({ seq }) => seq));
    const fresh = messages.filter(({ seq }) => !known.has(seq));
    this.entries = [...this.entries, ...fresh].sort((a, b) => a.seq - b.seq);
    for (const entry of fresh) this.#arrived(entry);
    if (where !== 'newer') this.more = more;
    this.loaded = true;
  }

  /** Everything known of the chain may be wrong: forget it. */
  forget() {
    this.entries = [];
    this.loaded = false;
    this.lastSeq = 0;
  }

  /** A live entry with a seq of its own. */
  addLive(entry) {
    if (entry.seq === this.high + 1 && this.loaded) this.entries.push(entry);
    this.#arrived(entry);
    if (entry.seq <= this.lastSeq) return false;
    this.lastSeq = entry.seq;
    this.last = entry;
    if (entry.event === 'message' && entry.from !== this.me && entry.seq > this.readSeq) this.unread++;
    if (entry.event === 'conversation') this.#applyChange(entry);
    return true;
  }

  addReceipt({ user, kind, seq }) {
    this.#mark(user, 'delivered', seq);
    if (kind === 'read') this.#mark(user, 'read', seq);
    if (kind === 'read' && user === this.me) this.readUpTo(seq);
  }

  readUpTo(seq) {
    if (seq <= this.readSeq) return;
    this.readSeq = seq;
    const counted = this.entries.filter((entry) =>
      entry.seq > seq && entry.event === 'message' && entry.from !== this.me).length;
    this.unread = seq >= this.lastSeq ? 0 : Math.min(this.unread, counted);
  }

  /* ---- outgoing ---- */

  addOutgoing(params, ts) {
    this.outgoing.set(params.client_msg_id, { params, ts, state: 'pending' });
  }

  stored({ client_msg_id, seq, ts }) {
    const item = this.outgoing.get(client_msg_id);
    if (!item) return;
    if (this.entries.some((entry) => entry.seq === seq)) this.outgoing.delete(client_msg_id);
    else Object.assign(item, { state: 'stored', seq, ts: ts ?? item.ts });
  }

  failed(clientMsgId, error) {
    const item = this.outgoing.get(clientMsgId);
    if (item) Object.assign(item, { state: 'failed', error });
  }

  /** Those not yet in `entries`, in the order in which they will be. */
  get tail() {
    return [...this.outgoing.values()].sort((a, b) => (a.seq ?? Infinity) - (b.seq ?? Infinity) || a.ts - b.ts);
  }

  /** How far my message `seq` has come: stored, delivered or read, by all others. */
  stateOf(seq) {
    const others = this.type === 'p2p' ? [this.peer]
      : (this.members ?? []).map(({ user }) => user).filter((user) => user !== this.me);
    const reached = (kind) => others.filter((user) => (this.marks.get(user)?.[kind] ?? 0) >= seq).length;
    const read = reached('read');
    const delivered = reached('delivered');
    const state = others.length === 0 ? 'stored'
      : read === others.length ? 'read' : delivered === others.length ? 'delivered' : 'stored';
    return { state, read, delivered, others: others.length };
  }

  #arrived(entry) {
    if (entry.event === 'message' && entry.from === this.me) this.outgoing.delete(entry.client_msg_id);
  }

  #applyChange({ change, users = [], name }) {
    this.name = name || this.name;
    const mine = users.includes(this.me);
    if (change === 'left' && mine) this.left = true;
    if ((change === 'joined' || change === 'invited' || change === 'created') && mine) this.left = false;
    if (!this.members) return;
    if (change === 'left') this.members = this.members.filter(({ user }) => !users.includes(user));
    else
      for (const user of users)
        if (!this.members.some((member) => member.user === user)) this.members.push({ user, role: 'member' });
  }

  #mark(user, kind, seq) {
    const marks = this.marks.get(user) ?? { delivered: 0, read: 0 };
    marks[kind] = Math.max(marks[kind], seq);
    this.marks.set(user, marks);
  }
}
