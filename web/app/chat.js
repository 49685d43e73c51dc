// What this page knows, kept true by a RungClient: conversations, which one is
// open, and the few rules that join the two (fill holes, count unread, mark read,
// follow an open channel). Views draw it on "change"; no DOM here.

import { RungClient } from '../rung.js';
import { Conversation, PAGE, pairId } from './conversation.js';

const LIST_PAGE = 100;
const LISTED_MAX = 1000;
const CHANNELS = 'rung.channels';

export class Chat {
  conversations = new Map();
  open = null; // the Conversation on screen
  #client;
  #changed;
  #troubled;
  #store;
  #inbox;
  #rank = 0;
  #loaded = false;
  #follower = null;
  #listing = null;
  #filling = new Set();
  #marked = new Map(); // conversation → seq told to the server

  /**
   * @param {object} parts
   * @param {RungClient} parts.client
   * @param {() => void} parts.changed something to draw
   * @param {(what: string, error: Error) => void} parts.troubled something to tell
   * @param {Storage} parts.store remembers the channels that are followed
   * @param {number} [parts.inbox] of the app; conversations are named after it
   */
  constructor({ client, changed, troubled, store, inbox = 0 }) {
    this.#client = client;
    this.#changed = changed;
    this.#troubled = troubled;
    this.#store = store;
    this.#inbox = inbox;
    this.#listen(client);
    client.on('status', ({ state }) => state === 'online' && this.#catchUp());
    client.on('reset', () => this.#reload());
    client.on('sent', (message) => this.#sent(message));
    client.on('unsent', ({ message, error }) => this.#unsent(message, error));
  }

  get me() {
    return this.#client.user;
  }

  /** The conversation with this user. */
  pairWith(user) {
    return pairId(this.me, user, this.#inbox);
  }

  /** Newest activity first. */
  get list() {
    return [...this.conversations.values()].sort((a, b) => b.rank - a.rank);
  }

  /** Load what there is, and show again what a reload of the page left unsent. */
  async load() {
    await this.refresh();
    this.#loaded = true;
    for (const params of this.#client.pending) this.#destination(params).addOutgoing(params, Date.now());
    await Promise.all(this.#channels().map((id) => this.#describe(id).catch(() => {})));
    this.#changed();
  }

  /* What could not be loaded while we were offline. */
  #catchUp() {
    if (!this.#loaded) this.load().catch(() => {});
    else if (this.open && !this.open.loaded) this.show(this.open.id);
  }

  /** The list anew; calls while one is under way share it. */
  refresh() {
    this.#listing ??= this.#list().finally(() => (this.#listing = null));
    return this.#listing;
  }

  async show(id) {
    const conversation = this.#of(id);
    this.open = conversation;
    this.#follow(conversation);
    this.#changed();
    try {
      await this.#describe(id);
      if (!conversation.loaded) await this.#loadNewest(conversation);
    } catch (error) {
      if (error.code === 'not_found' && conversation.type === 'p2p') conversation.loaded = true; // nothing said yet
      else this.#troubled('Could not open it', error);
    }
    this.#changed();
  }

  hide() {
    this.open = null;
    this.#follow(null);
    this.#changed();
  }

  async loadOlder(conversation) {
    if (!conversation.more || this.#filling.has(conversation)) return;
    await this.#fill(conversation, 'older', { before: conversation.low });
  }

  send(text) {
    const { id, type, peer } = this.open;
    const to = type === 'p2p' ? { to: peer } : { conversation: id };
    this.#send(this.open, { client_msg_id: this.#client.newMessageId(), ...to, type: 'text', body: { text } });
    this.#touch(this.open);
  }

  resend(conversation, clientMsgId) {
    this.#send(conversation, conversation.outgoing.get(clientMsgId).params);
    this.#changed();
  }

  #send(conversation, message) {
    conversation.addOutgoing(message, Date.now());
    this.#client.sendMessage(message).catch(() => {}); // told by "unsent"
  }

  /** All of `conversation` has been seen. */
  seen(conversation) {
    const { id, lastSeq: seq, readSeq, left } = conversation;
    if (left || seq <= Math.max(readSeq, this.#marked.get(id) ?? 0)) return;
    this.#marked.set(id, seq);
    this.#client.markConversationRead(id, seq).then(
      () => {
        conversation.readUpTo(seq);
        this.#changed();
      },
      (error) => error.retryable && this.#marked.delete(id), // told at the next occasion
    );
  }

  async create(type, { id, name, members, settings }) {
    const made = await this.#client.createConversation({ type, id, name, members, settings });
    this.#touch(this.#of(made.conversation));
    return made.conversation;
  }

  /** Open the channel `id`, making it when there is none. */
  async openChannel(id) {
    const conversation = `${this.#inbox}:3:${id}`;
    try {
      await this.#describe(conversation);
    } catch (error) {
      if (error.code !== 'not_found') throw error;
      await this.create('channel', { id, name: id, settings: { open: true } });
      await this.#describe(conversation);
    }
    this.#touch(this.#of(conversation));
    this.#rememberChannels([...new Set([...this.#channels(), conversation])]);
    return conversation;
  }

  async invite(conversation, users) {
    await this.#client.invite(conversation.id, users);
    await this.#describe(conversation.id);
    this.#changed();
  }

  async leave(conversation) {
    if (conversation.type === 'channel') {
      this.#rememberChannels(this.#channels().filter((id) => id !== conversation.id));
    } else {
      await this.#client.leave(conversation.id);
    }
    this.conversations.delete(conversation.id);
    if (this.open === conversation) this.hide();
    this.#changed();
  }

  /** Carry everything by another transport. */
  setTransport(name) {
    this.#follower?.setTransport(name).catch(() => {});
    return this.#client.setTransport(name);
  }

  /* ---- what comes ---- */

  #listen(client) {
    client.on('message', (event) => this.#live(event));
    client.on('conversation', (event) => this.#live(event));
    client.on('receipt', (event) => this.#receipt(event));
    client.on('gap', ({ conversation }) => this.#gap(conversation));
  }

  #live(event) {
    const known = this.conversations.get(event.conversation);
    if (!known && event.change === 'left' && event.users?.includes(this.me)) return; // I left, it is gone
    if (!known || event.event === 'conversation') this.refresh().catch(() => {}); // its name, its members
    const conversation = this.#of(event.conversation);
    if (conversation.addLive(event)) conversation.rank = ++this.#rank;
    if (conversation.hasHole) this.#fill(conversation, 'newer', { after: conversation.high });
    this.#changed();
  }

  #receipt(event) {
    this.#of(event.conversation).addReceipt(event);
    this.#changed();
  }

  #gap(id) {
    const conversation = this.conversations.get(id);
    if (!conversation?.loaded) return;
    conversation.forget();
    this.refresh().then(() => this.open === conversation && this.#loadNewest(conversation)).catch(() => {});
  }

  /* It is another log: nothing that we know is of it. */
  async #reload() {
    const id = this.open?.id;
    this.conversations.clear();
    this.#marked.clear();
    this.hide();
    try {
      await this.load();
    } catch (error) {
      this.#troubled('Could not load anew', error);
    }
    if (id) await this.show(id);
  }

  #sent(message) {
    const conversation = this.conversations.get(message.conversation);
    conversation?.stored(message);
    this.#changed();
  }

  #unsent(params, error) {
    this.#destination(params).failed(params.client_msg_id, error);
    this.#troubled('Not sent', error);
    this.#changed();
  }

  /* ---- what is asked for ---- */

  async #list() {
    const conversations = await this.#allSummaries();
    const news = conversations.filter((summary) => {
      const known = this.conversations.get(summary.conversation);
      return !known || known.lastSeq < summary.last_seq;
    });
    for (const summary of news.reverse()) this.#of(summary.conversation).rank = ++this.#rank;
    for (const summary of conversations) this.#of(summary.conversation).describe(summary);
    if (this.open?.hasHole) this.#fill(this.open, 'newer', { after: this.open.high });
    this.#changed();
  }

  async #allSummaries() {
    const all = [];
    let page = {};
    do {
      page = await this.#client.list({ limit: LIST_PAGE, before: page.before });
      all.push(...page.conversations);
    } while (page.more && all.length < LISTED_MAX);
    return all;
  }

  async #describe(id) {
    const summary = await this.#client.getConversation(id);
    this.#of(id).describe(summary);
  }

  async #loadNewest(conversation) {
    const before = conversation.lastSeq + 1;
    const page = await this.#client.history({ conversation: conversation.id, before, limit: PAGE });
    conversation.addHistory(page, 'newest');
    if (conversation.hasHole) await this.#fill(conversation, 'newer', { after: conversation.high });
    this.#changed();
  }

  async #fill(conversation, where, range) {
    if (this.#filling.has(conversation)) return;
    this.#filling.add(conversation);
    let grew = false;
    try {
      const page = await this.#client.history({ conversation: conversation.id, ...range, limit: PAGE });
      conversation.addHistory(page, where);
      grew = page.messages.length > 0;
    } catch (error) {
      this.#troubled('Could not load messages', error);
    } finally {
      this.#filling.delete(conversation);
    }
    this.#changed();
    if (grew && conversation.hasHole) await this.#fill(conversation, 'newer', { after: conversation.high });
  }

  /* A channel has no members, so it is not on anybody's mixed chain: while one is
   * open, a second client follows its single chain. */
  #follow(conversation) {
    this.#follower?.close();
    this.#follower = null;
    if (conversation?.type !== 'channel') return;
    this.#follower = this.#client.follow(conversation.id, conversation.lastSeq);
    this.#listen(this.#follower);
    this.#follower.start();
  }

  #of(id) {
    if (!this.conversations.has(id)) this.conversations.set(id, new Conversation(id, this.me));
    return this.conversations.get(id);
  }

  #destination({ conversation, to }) {
    return this.#of(conversation ?? this.pairWith(to));
  }

  #touch(conversation) {
    conversation.rank = ++this.#rank;
    this.#changed();
  }

  #channels() {
    return JSON.parse(this.#store.getItem(CHANNELS) ?? '[]');
  }

  #rememberChannels(ids) {
    this.#store.setItem(CHANNELS, JSON.stringify(ids));
  }
}
