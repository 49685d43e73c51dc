// The session of one device: it owns the cursor and the messages on their way out.
// Carries come and go, one at a time or two during a switch; whatever they bring,
// an event is taken only when it lies beyond the cursor, the cursor moves before
// anybody is told, and the next carry goes on from there.

import { carries as allCarries } from './carry/table.js';
import { fullJitter } from './rung/backoff.js';
import { systemClock } from './rung/clock.js';
import { Credentials } from './rung/credentials.js';
import { Emitter } from './rung/emitter.js';
import { RungError } from './rung/error.js';
import { Http } from './rung/http.js';
import { Link } from './rung/link.js';
import { Outbox } from './rung/outbox.js';
import { MixedChain, SingleChain } from './rung/position.js';
import { uuid7 } from './rung/uuid7.js';

export { RungError };

const ACK_AFTER_MS = 200; // received messages are acknowledged together
const STABLE_MS = 5_000; // a connection that lived this long was a good one
const BYE = 'bye';
const NOT_AS_YOU_ARE = new Set(['token_expired', 'unauthorized', 'forbidden', 'not_member']); // reasons of a bye
const READS = /^(message\.history|conversation\.(list|get)|session\.info)$/;

/**
 * @typedef {object} Options
 * @property {string} [url] the server, e.g. "https://chat.example"; default: the page's own
 * @property {string} [token]
 * @property {() => Promise<string>} [getToken] asked for the first token when none is
 *   given, and for a new one whenever the server refuses the old
 * @property {Credentials} [credentials] instead of both, to share those of another client
 * @property {string} [user] who the token is for; login() sets it
 * @property {string} [device] default "default"
 * @property {'ws'|'sse'|'longpoll'|'poll'} [transport] default "ws"
 * @property {string | null} [cursor] where to go on from; "0": from the first kept
 *   entry; null or absent: what `storage` remembers, else from now on
 * @property {{conversation: string, after: number}} [follow] follow this one
 *   conversation by seq instead of everything by cursor
 * @property {{getItem(k: string): string | null, setItem(k: string, v: string): void}} [storage]
 *   remembers the cursor and unsent messages, e.g. sessionStorage
 * @property {string} [storageKey] default "rung"
 * @property {number} [pollMs] the pause between short polls, default 2000
 * @property {typeof fetch} [fetch]
 * @property {typeof WebSocket} [WebSocket]
 * @property {typeof EventSource} [EventSource]
 * @property {import('./rung/clock.js').Clock} [clock]
 * @property {() => number} [random]
 * @property {Record<string, import('./carry/table.js').Carry>} [carries]
 */

/**
 * @typedef {object} Status
 * @property {'idle'|'connecting'|'online'|'waiting'|'stopped'} state waiting: between two
 *   attempts; stopped: the server does not want us back as we are, see `error`
 * @property {string | null} transport the one that is live
 * @property {string} wanted the one that was asked for
 * @property {boolean} switching the wanted one is being opened beside the live one
 * @property {string | null} cursor
 * @property {number | null} retryAt when the next attempt starts, on the client's clock
 * @property {number} attempt how many have failed in a row
 * @property {RungError | null} error why the last connection ended
 */

/**
 * Events, by `on(name, listener)`: every kind of the wire (`message`, `receipt`,
 * `conversation`, `gap`, `reset`, …), `event` for each of them, `status` (a Status)
 * whenever it changes, `cursor` (a string) whenever it moves, `sent` (the stored
 * message) and `unsent` ({message, error}) for every message that was to be sent.
 */
export class RungClient {
  #options;
  #clock;
  #random;
  #carries;
  #credentials;
  #http;
  #host;
  #position;
  #outbox;
  #emitter = new Emitter();

  #state = 'idle';
  #wanted;
  #live = null; // the link that carries
  #next = null; // the link that shall replace it
  #switch = null; // {resolve, reject} of the setTransport() under way
  #retryTimer = null;
  #retryAt = null;
  #attempt = 0;
  #error = null;
  #refusals = 0; // tokens refused since we were last up
  #ackTimer = null;
  #acked = null;

  /** @type {string | null} */
  user = null;

  /** @param {Options} [options] */
  constructor(options = {}) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? Math.random;
    this.#carries = options.carries ?? allCarries;
    this.#wanted = this.#known(options.transport ?? 'ws');
    this.user = options.user ?? null;
    this.#credentials = options.credentials ?? new Credentials(options.token ?? null, options.getToken ?? null);
    this.#http = new Http({
      base: options.url ?? globalThis.location.origin,
      fetch: options.fetch ?? globalThis.fetch.bind(globalThis),
      clock: this.#clock,
      credentials: this.#credentials,
    });
    this.#position = options.follow
      ? new SingleChain(options.follow.conversation, options.follow.after)
      : new MixedChain(options.cursor ?? this.#recall('cursor') ?? null);
    this.#host = this.#makeHost();
    this.#outbox = new Outbox({
      clock: this.#clock,
      random: this.#random,
      deliver: (params) => this.call('message.send', params),
      changed: (waiting) => this.#remember('outbox', waiting),
    });
    for (const params of this.#recall('outbox') ?? []) this.#post(params).catch(() => {});
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

  /** @returns {Status} */
  get status() {
    return {
      state: this.#state,
      transport: this.#live?.up ? this.#live.name : null,
      wanted: this.#wanted,
      switching: this.#next !== null && this.#next.name !== this.#live?.name,
      cursor: this.cursor,
      retryAt: this.#retryAt,
      attempt: this.#attempt,
      error: this.#error,
    };
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
    if (this.#live) return;
    this.#attempt = 0;
    this.#refusals = 0;
    this.#connect();
    this.#outbox.start();
  }

  /** Do not wait for the next attempt: the network is back, or the user asks. */
  retryNow() {
    if (this.#state === 'waiting') this.#connect();
  }

  /** Stop. Messages not yet stored stay pending and go on with start(). */
  close() {
    this.#dropLinks();
    this.#outbox.stop();
    this.#clock.cancel(this.#ackTimer);
    this.#ackTimer = null;
    this.#become('idle');
  }

  /**
   * Carry on by another transport: it is opened with the cursor while the old one
   * still carries, and replaces it when it is up.
   * @param {'ws'|'sse'|'longpoll'|'poll'} name
   * @returns {Promise<void>} rejects, with the old one still carrying, when it cannot
   */
  setTransport(name) {
    const before = this.#live?.up ? this.#live.name : this.#wanted;
    this.#wanted = this.#known(name);
    this.#abandonSwitch(new RungError('conflict', 'another transport was chosen meanwhile'));
    if (this.#state === 'idle' || this.#state === 'stopped' || this.#live?.name === name) {
      this.#announce();
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      this.#switch = { resolve, reject, before };
      if (this.#live?.up) this.#next = this.#open(name);
      else this.#connect();
      this.#announce();
    });
  }

  /* ---- methods ---- */

  /**
   * Call any method, on the live connection if it can, else by POST.
   * @param {string} method
   * @param {object} [params]
   * @returns {Promise<any>} its result; rejects with a RungError
   */
  async call(method, params = {}) {
    if (!this.#live?.canRequest) return this.#http.post(method, params);
    try {
      return await this.#live.request(method, params);
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

  /**
   * Send a message. It is tried under one client_msg_id until it is stored, on the
   * live connection if there is one, else by POST.
   * @param {{to?: string, conversation?: string, body: object, type?: string, client_msg_id?: string, echo?: boolean}} message
   * @returns {Promise<object>} the stored message, with its seq and cursor
   */
  sendMessage(message) {
    const stored = this.#post({ client_msg_id: this.newMessageId(), ...message });
    this.#outbox.start();
    return stored;
  }

  /** An id for a message, for those who want to know it before sending. */
  newMessageId() {
    return uuid7(this.#clock.now());
  }

  /**
   * A second client, with the same identity, that follows one conversation by seq:
   * for a channel, which is on nobody's mixed chain.
   * @param {string} conversation
   * @param {number} after
   */
  follow(conversation, after) {
    return new RungClient({
      ...this.#options,
      credentials: this.#credentials,
      user: this.user,
      transport: this.#wanted,
      storage: undefined,
      follow: { conversation, after },
    });
  }

  /** The messages given to sendMessage() and not yet stored. */
  get pending() {
    return this.#outbox.waiting;
  }

  /** @param {{conversation: string, before?: number, after?: number, limit?: number}} params */
  history(params) {
    return this.call('message.history', params);
  }

  /** I have read up to `seq`. */
  markRead(conversation, seq) {
    return this.call('message.read', { conversation, seq });
  }

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

  /* ---- links ---- */

  #known(name) {
    if (!this.#carries[name])
      throw new RungError('bad_request',
        `transport: "${name}" is not one of ${Object.keys(this.#carries).join(', ')}`);
    return name;
  }

  #makeHost() {
    const { WebSocket, EventSource, pollMs = 2_000 } = this.#options;
    return {
      device: this.device,
      clock: this.#clock,
      pollMs,
      WebSocket: WebSocket ?? globalThis.WebSocket,
      EventSource: EventSource ?? globalThis.EventSource,
      position: () => this.#position.query(),
      token: () => this.#credentials.token(),
      tokenRefused: () => this.#credentials.expire(),
      url: (path, params) => this.#http.url(path, params),
      post: (method, params) => this.#http.post(method, params),
      get: (path, params, options) => this.#http.get(path, params, options),
    };
  }

  #open(name) {
    return new Link(this.#carries[name], this.#host, this.#clock, {
      up: (link) => this.#linkUp(link),
      event: (link, event) => this.#receive(link, event),
      level: (_link, cursor) => this.#level(cursor),
      down: (link, why) => this.#linkDown(link, why),
    });
  }

  #connect() {
    this.#clock.cancel(this.#retryTimer);
    this.#retryAt = null;
    this.#live?.close();
    this.#live = this.#open(this.#wanted);
    this.#become('connecting');
  }

  #linkUp(link) {
    if (link === this.#next) {
      this.#live?.close();
      this.#live = link;
      this.#next = null;
    }
    this.#refusals = 0;
    this.#error = null;
    this.#retryAt = null;
    this.#clock.cancel(this.#retryTimer);
    this.#become('online');
    this.#switch?.resolve();
    this.#switch = null;
    this.#outbox.flush();
  }

  #linkDown(link, { error, final = false }) {
    if (link === this.#next) this.#switchFailed(error, final);
    else if (link === this.#live) this.#lost(link, error, final);
  }

  /* The old carry goes on when it still can; if it was lost meanwhile, the next
   * attempt is for the wanted one. */
  #switchFailed(error, final) {
    const chosen = this.#switch;
    this.#next = null;
    this.#switch = null;
    chosen?.reject(error);
    if (chosen && this.#live) {
      this.#wanted = chosen.before;
      this.#announce();
      return;
    }
    this.#live?.close();
    this.#live = null;
    this.#retryOrStop(error, final);
  }

  #lost(link, error, final) {
    this.#live = null;
    this.#error = error;
    if (link.up && this.#clock.now() - link.upSince >= STABLE_MS) this.#attempt = 0;
    if (this.#next) this.#become('connecting'); // the one being opened takes over
    else this.#retryOrStop(error, final);
  }

  #retryOrStop(error, final) {
    this.#error = error;
    const anotherToken = error.wantsToken && this.#credentials.canRenew && this.#refusals++ === 0;
    if (!anotherToken && (final || !error.retryable)) {
      this.#stopFor(error);
      return;
    }
    /* A bye gives each client a delay of its own: no jitter on top. */
    const jitter = error.code === BYE ? 0 : fullJitter(this.#attempt, this.#random);
    const delay = (error.retryAfterMs ?? 0) + jitter;
    this.#attempt++;
    this.#retryAt = this.#clock.now() + delay;
    this.#retryTimer = this.#clock.after(delay, () => this.#connect());
    this.#become('waiting');
  }

  #stopFor(error) {
    this.#dropLinks();
    this.#error = error;
    this.#become('stopped');
  }

  #dropLinks() {
    this.#abandonSwitch(this.#error ?? new RungError('disconnected', 'the client was closed'));
    this.#live?.close();
    this.#live = null;
    this.#clock.cancel(this.#retryTimer);
    this.#retryAt = null;
  }

  #abandonSwitch(error) {
    this.#next?.close();
    this.#next = null;
    this.#switch?.reject(error);
    this.#switch = null;
  }

  #become(state) {
    this.#state = state;
    this.#announce();
  }

  #announce() {
    this.#emitter.emit('status', this.status);
  }

  /* ---- the cursor ---- */

  #receive(link, event) {
    switch (event.event) {
      case 'hello': // where the stream starts; news only to one who had no place
        this.user ??= event.user ?? null;
        if (this.cursor === null && event.cursor) this.#level(event.cursor);
        break;
      case 'heartbeat': // in order, like all else: what is below it has come
        if (event.cursor) this.#level(event.cursor);
        break;
      case 'gap': // what it speaks of will not come any more
        if (this.#position.pass(event)) this.#moved();
        break;
      case 'reset':
        this.#position.reset(event.cursor);
        this.#moved();
        break;
      case 'bye':
        this.#dismissed(link, event);
        break;
      default:
        if (event.cursor !== undefined) {
          if (!this.#position.take(event)) return;
          this.#moved();
          this.#noteMessage(event);
        }
    }
    this.#emitter.emit(event.event, event);
    this.#emitter.emit('event', event);
  }

  #level(cursor) {
    if (this.#position.move(cursor)) this.#moved();
  }

  #moved() {
    this.#remember('cursor', this.cursor);
    this.#emitter.emit('cursor', this.cursor);
  }

  #dismissed(link, { reason, retry_after_ms = 0 }) {
    link.close();
    const code = NOT_AS_YOU_ARE.has(reason) ? reason : BYE;
    const error = new RungError(code, `the server said bye: ${reason ?? 'no reason given'}`,
      { retryAfterMs: retry_after_ms });
    if (error.wantsToken) this.#credentials.expire();
    this.#linkDown(link, { error });
  }

  #noteMessage(event) {
    if (event.event !== 'message') return;
    if (event.client_msg_id && event.from === (this.user ?? event.from)) this.#outbox.settle(event);
    if (event.from !== this.user) this.#ackSoon();
  }

  #ackSoon() {
    if (!this.#live?.streams || this.#ackTimer !== null || this.cursor === null) return;
    this.#ackTimer = this.#clock.after(ACK_AFTER_MS, () => {
      this.#ackTimer = null;
      const cursor = this.cursor;
      if (cursor === this.#acked || !this.#live?.up) return;
      this.call('message.ack', { cursor }).then(
        () => (this.#acked = cursor),
        () => {}, // the next one, or the cursor of the next connection, says it as well
      );
    });
  }

  /* ---- sending and remembering ---- */

  #post(params) {
    const stored = this.#outbox.add(params).then((answer) =>
      ({ event: 'message', from: this.user, type: 'text', ...params, ...answer }));
    stored.then(
      (message) => this.#emitter.emit('sent', message),
      (error) => this.#emitter.emit('unsent', { message: params, error }),
    );
    return stored;
  }

  #remember(name, value) {
    const key = `${this.#options.storageKey ?? 'rung'}.${name}`;
    this.#options.storage?.setItem(key, JSON.stringify(value));
  }

  #recall(name) {
    const text = this.#options.storage?.getItem(`${this.#options.storageKey ?? 'rung'}.${name}`);
    return text ? JSON.parse(text) : null;
  }
}
