// The client of Rung. One durable session over whatever the network lets through: it
// starts on the rung that worked last, falls when that fails, and climbs back without a
// pause (docs/CLIENT.md). This file is what an application sees; web/rung/ does the work.

import { carries as allCarries } from './carry/table.js';
import { BeatClock } from './rung/beat.js';
import { Cache } from './rung/cache.js';
import { claimsOf } from './rung/claims.js';
import { systemClock } from './rung/clock.js';
import { Credentials } from './rung/credentials.js';
import { Emitter } from './rung/emitter.js';
import { RungError } from './rung/error.js';
import { History } from './rung/history.js';
import { Http } from './rung/http.js';
import { Kept } from './rung/kept.js';
import { Memory, kindOfNetwork } from './rung/memory.js';
import { makeFileMessage, makeMessage } from './rung/messages.js';
import { Outbox } from './rung/outbox.js';
import { MixedChain, SingleChain } from './rung/position.js';
import { Rtt } from './rung/rtt.js';
import { Session } from './rung/session.js';
import { uuid7 } from './rung/uuid7.js';

export { RungError };

const READS = /^(message\.history|conversation\.(list|get)|session\.info)$/;
const CHANGES = new Set(['message', 'conversation', 'receipt', 'gap']); // a conversation's summary

/**
 * Options, events and types: rung.d.ts. Beside what is there, tests may give `carries`.
 */
export class RungClient {
  #options;
  #clock;
  #random;
  #credentials;
  #memory;
  #http;
  #position;
  #cache;
  #kept; // instead of the cache, where the application says so
  #history;
  #outbox;
  #session;
  #emitter = new Emitter();
  #keptAt = 0; // the order of what is unsent in the cache
  #readyNow;

  /** @type {string | null} */
  user = null;
  /** What was remembered has been read: `cursor` and `pending` are complete. */
  ready = new Promise((resolve) => (this.#readyNow = resolve));

  /** @param {import('./rung.d.ts').Options} [options] */
  constructor(options = {}) {
    const rtt = new Rtt();
    this.#options = options;
    this.#clock = new BeatClock(options.clock ?? systemClock);
    this.#random = options.random ?? Math.random;
    this.user = options.user ?? null;
    this.#credentials = options.credentials ?? new Credentials(options.token ?? null, options.getToken ?? null);
    this.#memory = this.#makeMemory();
    this.#http = new Http({ base: this.#base, fetch: this.#fetch, clock: this.#clock, credentials: this.#credentials, rtt });
    this.#position = options.follow
      ? new SingleChain(options.follow.conversation, options.follow.after)
      : new MixedChain(options.cursor ?? null);
    this.#kept = options.storage ? new Kept(options.storage, options.storageKey) : null;
    this.#cache = new Cache((error) => console.warn('rung: not kept', error));
    this.#history = new History((params) => this.call('message.history', params), this.#cache);
    this.#outbox = new Outbox({
      clock: this.#clock,
      random: this.#random,
      deliver: (params) => this.call('message.send', params),
      changed: (waiting, change) => this.#keepUnsent(waiting, change),
    });
    this.#session = this.#makeSession(rtt);
  }

  /* ---- listening ---- */

  /**
   * @param {string} name
   * @param {(value: any) => void} listener
   * @returns {() => void} call it to stop listening
   */
  on(name, listener) {
    return this.#emitter.on(name, listener);
  }

  get status() {
    return this.#session.status;
  }

  /** The ladder, best first. */
  get rungs() {
    return this.#session.rungs;
  }

  /** Where this device stands; null before the server has said. */
  get cursor() {
    return this.#position.cursor;
  }

  get device() {
    return this.#options.device ?? 'default';
  }

  /* ---- connecting ---- */

  /** Start carrying; returns at once, see `status`. */
  start() {
    this.#session.start();
  }

  /** Stop. Messages not yet stored stay pending and go on with start(). */
  close() {
    this.#outbox.stop();
    this.#session.close();
  }

  /**
   * From now on by this rung alone, or ("auto") by the ladder. It is opened while the
   * old one still carries, and replaces it with its first event.
   * @returns {Promise<void>} rejects, with the old one still carrying, when it cannot
   */
  setTransport(name) {
    return this.#session.setTransport(name);
  }

  /** Do not use this rung (the live one is left at once), or use it again. */
  blockRung(name, blocked = true) {
    this.#session.block(name, blocked);
  }

  /** The way is free: forget what failed, try now what is better than the live rung. */
  climb() {
    this.#session.climb();
  }

  /** Do not wait for the next attempt: the network is back, or the user asks. */
  retryNow() {
    this.#session.retryNow();
  }

  /* ---- messages ---- */

  /** A message with an id, complete, to be shown, sent, and sent again. */
  createMessage(message) {
    return makeMessage(message, () => this.newMessageId());
  }

  /** Upload `file`; the message that refers to it. */
  createFileMessage(message) {
    const put = (path, blob, limits) => this.#http.put(path, blob, limits);
    return makeFileMessage(message, { put, newId: () => this.newMessageId() });
  }

  newMessageId() {
    return uuid7(this.#clock.now());
  }

  /**
   * Send a message. It is tried under one client_msg_id until it is stored, on the
   * live connection if there is one, else by POST.
   * @returns {Promise<object>} the stored message, with its seq and cursor
   */
  sendMessage(message) {
    const params = { client_msg_id: this.newMessageId(), ...message };
    const stored = this.#told(params, this.#outbox.add(params));
    if (this.status.state === 'idle' || this.#loaded) this.#outbox.start();
    return stored;
  }

  /** The messages given to sendMessage() and not yet stored. */
  get pending() {
    return this.#outbox.waiting;
  }

  /** I have read up to `seq`; without it: all that has come. */
  async markConversationRead(conversation, seq) {
    const upTo = seq ?? this.#cache.newestSeq(conversation) ?? (await this.getConversation(conversation)).last_seq;
    return this.call('message.read', { conversation, seq: upTo });
  }

  /** The entries below `before` (default: all), newest first. */
  messagesBefore(conversation, before) {
    return this.#history.before(conversation, before);
  }

  /** The entries above `after`, oldest first. */
  messagesAfter(conversation, after = 0) {
    return this.#history.after(conversation, after);
  }

  /** One page. @param {{conversation: string, before?: number, after?: number, limit?: number}} params */
  history(params) {
    return this.#history.page(params);
  }

  /** Stop, and forget what this device has kept: cursor, entries, unsent messages. */
  async forget() {
    this.close();
    this.#outbox.clear();
    this.#position.reset(null);
    this.#kept?.set('cursor', null);
    await this.#cache.clear();
  }

  /* ---- conversations ---- */

  /** My conversations, newest first. */
  list(params = {}) {
    return this.call('conversation.list', params);
  }

  getConversation(conversation) {
    return this.call('conversation.get', { conversation });
  }

  /** @param {{type: 'group'|'channel', name?: string, id?: string, members?: string[], settings?: object}} params */
  createConversation(params) {
    return this.call('conversation.create', params);
  }

  /** @param {string} conversation @param {string[]} users */
  invite(conversation, users) {
    return this.call('conversation.invite', { conversation, users });
  }

  join(conversation) {
    return this.call('conversation.join', { conversation });
  }

  leave(conversation) {
    return this.call('conversation.leave', { conversation });
  }

  /**
   * A second client, with the same identity, that follows one conversation by seq:
   * for a channel, which is on nobody's mixed chain.
   */
  follow(conversation, after) {
    return new RungClient({
      ...this.#options,
      credentials: this.#credentials,
      memory: this.#memory,
      user: this.user,
      transport: this.status.wanted,
      storage: undefined,
      cache: false,
      follow: { conversation, after },
    });
  }

  /* ---- methods ---- */

  /**
   * Call any method, on the live connection if it can, else by POST.
   * @returns {Promise<any>} its result; rejects with a RungError
   */
  async call(method, params = {}) {
    const link = this.#session.caller;
    if (!link) return this.#http.post(method, params);
    try {
      return await link.request(method, params);
    } catch (error) {
      const lost = error.code === 'disconnected' && READS.test(method);
      if (lost || (error.wantsToken && this.#credentials.canRenew)) return this.#http.post(method, params);
      throw error;
    }
  }

  /** Log in by name, on a server started with --demo. */
  async login(user) {
    const ask = () => this.#http.post('demo.login', { user }, { anonymous: true });
    const session = await ask();
    const renew = this.#options.getToken ?? (async () => (await ask()).token);
    this.#credentials.set(session.token, renew);
    this.user = session.user;
    return session;
  }

  /* ---- inside ---- */

  get #base() {
    return this.#options.url ?? globalThis.location.origin;
  }

  get #fetch() {
    return this.#options.fetch ?? globalThis.fetch?.bind(globalThis);
  }

  get #loaded() {
    return this.#readyNow === null;
  }

  #makeMemory() {
    const { memory, network = kindOfNetwork } = this.#options;
    if (memory instanceof Memory) return memory;
    return new Memory(memory ?? localStorageOrNull(), () => `${this.#base} ${network()}`, this.#clock);
  }

  #makeSession(rtt) {
    const { carries = allCarries, transport = 'auto', tabs = true, cache = true } = this.#options;
    return new Session({
      carries,
      wanted: transport,
      host: this.#makeHost(),
      position: this.#position,
      cache: this.#cache,
      kept: this.#kept,
      credentials: this.#credentials,
      memory: this.#memory,
      rtt,
      clock: this.#clock,
      random: this.#random,
      share: tabs && globalThis.document !== undefined,
      persist: cache && globalThis.indexedDB !== undefined,
      identity: () => this.#identity(),
      on: {
        event: (event) => this.#receive(event),
        status: () => this.#emitter.emit('status', this.status),
        moved: () => this.#moved(),
        rung: (change) => this.#emitter.emit('transport', change),
        up: () => this.#outbox.flush(),
        loaded: (kept) => this.#load(kept),
        call: (method, params) => this.call(method, params),
      },
    });
  }

  #makeHost() {
    const { WebSocket, EventSource, pollMs = 2_000 } = this.#options;
    return {
      device: this.device,
      clock: this.#clock,
      pollMs,
      fetch: this.#fetch,
      WebSocket: WebSocket ?? globalThis.WebSocket,
      EventSource: EventSource ?? globalThis.EventSource,
      position: () => this.#position.query(),
      isBehind: (query) => this.#position.isBehind(query),
      token: () => this.#credentials.token(),
      tokenRefused: () => this.#credentials.expire(),
      url: (path, params) => this.#http.url(path, params),
      post: (method, params) => this.#http.post(method, params),
      get: (path, params, options) => this.#http.get(path, params, options),
      read: (path, params, options) => this.#http.read(path, params, options),
    };
  }

  /* Who this is: names what is kept, and what tabs share. */
  async #identity() {
    const { sub, app = '', inbox = 0 } = claimsOf(await this.#credentials.token());
    const user = this.user ?? sub;
    if (user === undefined) throw new RungError('unauthorized', 'the token does not say who this is');
    this.user = user;
    const { follow } = this.#options;
    return ['rung', this.#base, app, inbox, user, this.device, ...(follow ? [follow.conversation] : [])].join('|');
  }

  #load({ cursor, outbox }) {
    if (cursor !== null && this.#position.cursor === null && this.#position.move(cursor)) this.#emitter.emit('cursor', cursor);
    this.#resend(outbox);
    this.#kept?.set('outbox', this.#outbox.waiting);
    this.#readyNow?.();
    this.#readyNow = null;
    this.#outbox.start();
  }

  #receive(event) {
    if (event.event === 'hello') this.user ??= event.user ?? null;
    if (event.event === 'message') this.#noteMessage(event);
    this.#emitter.emit(event.event, event);
    this.#emitter.emit('event', event);
    if (event.conversation !== undefined && CHANGES.has(event.event))
      this.#emitter.emit('ConversationChange', { conversation: event.conversation, reason: event.event, event });
  }

  #noteMessage(event) {
    if (event.client_msg_id && event.from === (this.user ?? event.from)) this.#outbox.settle(event);
    if (event.from !== this.user) this.#session.acknowledge();
  }

  #moved() {
    this.#kept?.set('cursor', this.cursor);
    this.#emitter.emit('cursor', this.cursor);
  }

  /* ---- what is unsent ---- */

  #resend(all) {
    for (const { params, promise } of this.#outbox.restore(all)) this.#told(params, promise).catch(() => {});
  }

  #told(params, answered) {
    const stored = answered.then((answer) => ({ event: 'message', from: this.user, type: 'text', ...params, ...answer }));
    stored.then(
      (message) => this.#emitter.emit('sent', message),
      (error) => this.#emitter.emit('unsent', { message: params, error }),
    );
    return stored;
  }

  #keepUnsent(waiting, { added, gone }) {
    if (this.#kept) return this.#kept.set('outbox', waiting);
    if (added) this.#cache.keepUnsent(added, (this.#keptAt = Math.max(this.#keptAt + 1, this.#clock.now() * 1000)));
    if (gone) this.#cache.dropUnsent(gone);
  }
}

function localStorageOrNull() {
  try {
    return globalThis.document ? globalThis.localStorage : null;
  } catch {
    return null; // forbidden on this page
  }
}
