// The session of one device: joins the cursor, the ladder, the cache and the other tabs.
// What it may do by itself, and when, is docs/CLIENT.md.

import { tabCarry } from '../carry/tab.js';
import { Acks } from './acks.js';
import { fullJitter } from './backoff.js';
import { RungError } from './error.js';
import { IdbTables } from './idb.js';
import { Ladder } from './ladder.js';
import { RamTables } from './ram.js';
import { Receiver } from './receiver.js';
import { BLOCKED } from './step.js';
import { Tabs } from './tabs.js';
import { onWake } from './wake.js';

const NOT_AS_YOU_ARE = new Set(['token_expired', 'unauthorized', 'forbidden', 'not_member', 'bad_request']); // reasons of a bye

export class Session {
  role = 'alone';

  #parts;
  #receiver;
  #acks;
  #ladder = null;
  #tabs = null;
  #wanted;
  #switch = null; // {resolve, reject, before} of the setTransport() under way
  #blocked = new Set();
  #started = false;
  #run = 0; // counts start() and close(): what waited meanwhile belongs to an earlier one
  #stopWaking = null;
  #waiting = null; // {attempt, error, retryAt, end}: for a token, before there is a ladder
  #ram = new RamTables();

  /**
   * @param {object} parts
   * @param {Record<string, import('../carry/table.js').Carry>} parts.carries
   * @param {string} parts.wanted "auto" or the name of the only rung
   * @param {import('../carry/table.js').Host} parts.host
   * @param {import('./position.js').MixedChain | import('./position.js').SingleChain} parts.position
   * @param {import('./cache.js').Cache} parts.cache
   * @param {import('./kept.js').Kept | null} parts.kept instead of the cache, for cursor and what is unsent
   * @param {import('./credentials.js').Credentials} parts.credentials
   * @param {import('./memory.js').Memory} parts.memory
   * @param {import('./rtt.js').Rtt} parts.rtt
   * @param {import('./beat.js').BeatClock} parts.clock
   * @param {() => number} parts.random
   * @param {boolean} parts.share with other tabs
   * @param {boolean} parts.persist keep the cache beyond the page
   * @param {() => Promise<string>} parts.identity names what may be shared and kept
   * @param {object} parts.on event, status, moved, rung, up, loaded
   */
  constructor(parts) {
    this.#parts = parts;
    this.#wanted = this.#known(parts.wanted);
    this.#acks = new Acks(parts.clock, (acked) => this.#acknowledge(acked));
    this.#receiver = new Receiver(parts.position, {
      event: (event) => parts.on.event(event),
      moved: () => parts.on.moved(),
      placed: (link) => this.#ladder?.reopenOthers(link),
      bye: (link, bye) => this.#dismissed(link, bye),
      batch: (batch) => this.#took(batch),
      isLive: (link) => this.#ladder?.live?.link === link,
    });
  }

  /* ---- to look at ---- */

  get status() {
    const ladder = this.#ladder;
    const before = this.#started ? { state: this.#waiting ? 'waiting' : 'connecting', ...this.#waiting } : { state: 'idle' };
    const { state, retryAt, attempt, error } = ladder ?? before;
    return {
      state,
      transport: ladder?.live?.name ?? null,
      wanted: this.#wanted,
      switching: ladder?.switching ?? false,
      role: this.role,
      cursor: this.#parts.position.cursor,
      retryAt: retryAt ?? null,
      attempt: attempt ?? 0,
      error: error ?? null,
    };
  }

  get rungs() {
    const steps = this.#ladder?.steps ?? this.#carries().map(({ name }) => ({ name, state: 'untried', why: '' }));
    return steps.map(({ name, state, why, failures = 0, restsUntil = 0 }) =>
      ({ name, state, why, failures, retryAt: restsUntil > this.#parts.clock.now() ? restsUntil : null }));
  }

  /** The live link, when calls can go over it. */
  get caller() {
    const link = this.#ladder?.live?.link;
    return link?.canRequest ? link : null;
  }

  /* ---- to steer ---- */

  start() {
    if (this.#started) {
      this.#ladder?.start();
      return;
    }
    this.#started = true;
    this.#run++;
    this.#parts.on.status();
    this.#stopWaking = onWake(() => {
      this.#waiting?.end();
      this.#ladder?.wake();
    });
    if (this.#shares || this.#parts.persist || this.#parts.kept) {
      this.#prepare();
    } else {
      this.#keepInMemory();
      this.#climb('alone', this.#carries(), this.#only);
    }
  }

  close() {
    this.#started = false;
    this.#run++;
    this.#stopWaking?.();
    this.#waiting?.end();
    this.#endSwitch(new RungError('disconnected', 'the client was closed'));
    this.#dropLadder();
    this.#acks.stop();
    this.#leaveTabs();
    this.#parts.cache.close();
    this.#parts.on.status();
  }

  setTransport(name) {
    const why = this.#unusable(this.#known(name));
    if (why) return Promise.reject(new RungError('unsupported', `${name}: ${why}`));
    const live = this.#ladder?.live;
    const before = live && this.#wanted !== 'auto' ? live.name : this.#wanted;
    this.#wanted = name;
    this.#endSwitch(new RungError('conflict', 'another transport was chosen meanwhile'));
    const { state } = this.status;
    if (this.#tabs && !this.#shares) this.#stopSharing();
    if (this.#ladder && !this.#has(name)) this.#climb('alone', Object.values(this.#parts.carries), this.#only);
    if (!this.#started || state === 'stopped' || name === 'auto' || live?.name === name) {
      this.#ladder?.want(this.#only);
      this.#parts.on.status();
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      this.#switch = { resolve, reject, before };
      this.#ladder?.want(name);
      this.#parts.on.status();
    });
  }

  block(name, blocked) {
    this.#known(name);
    if (blocked) this.#blocked.add(name);
    else this.#blocked.delete(name);
    if (blocked && name === this.#wanted) this.#endSwitch(new RungError('unsupported', `${name}: ${BLOCKED}`));
    this.#ladder?.block(name, blocked);
  }

  climb() {
    this.#ladder?.climb();
  }

  retryNow() {
    this.#waiting?.end();
    this.#ladder?.retryNow();
  }

  /** Somebody's message has come: tell the server, if this rung does not by itself. */
  acknowledge() {
    if (this.#ladder?.live?.carry.streams && this.#parts.position.cursor !== null) this.#acks.soon();
  }

  /* ---- starting ---- */

  get #only() {
    return this.#wanted === 'auto' ? null : this.#wanted;
  }

  get #shares() {
    return this.#parts.share && this.#wanted === 'auto';
  }

  #known(name) {
    const names = Object.keys(this.#parts.carries);
    if (name !== 'auto' && !names.includes(name))
      throw new RungError('bad_request', `transport: "${name}" is not one of auto, ${names.join(', ')}`);
    return name;
  }

  /* Why it cannot be switched to, or null. */
  #unusable(name) {
    if (this.#blocked.has(name)) return BLOCKED;
    return this.#parts.carries[name]?.missing?.(this.#parts.host) ?? null;
  }

  /* Where tabs cannot share, the ladder lacks some. */
  #has(name) {
    return name === 'auto' || this.#ladder.steps.some((step) => step.name === name);
  }

  async #prepare() {
    const { cache, on } = this.#parts;
    const run = this.#run;
    const name = await this.#identify(run);
    if (run !== this.#run) return;
    const kept = name === null ? null : await this.#recall(name);
    if (run !== this.#run) {
      if (!this.#started) cache.close(); // it was opened behind the close()
      return;
    }
    if (kept) on.loaded(kept);
    else this.#keepInMemory();
    if (!this.#shares || name === null || !Tabs.possible) return this.#climb('alone', this.#carries(), this.#only);
    this.#tabs = new Tabs(name);
    this.#tabs.join({
      leads: () => this.#climb('leader', this.#carries(), this.#only),
      follows: () => this.#climb('follower', [tabCarry((heard) => this.#tabs.listen(heard)), this.#parts.carries.poll], null),
      cannot: () => this.#goAlone(this.#spare()),
    });
  }

  /* Whose session this is, asked for until there is an answer: what is kept says where to go
   * on. null: there is none, and nothing is shared or kept. */
  async #identify(run) {
    for (let attempt = 0; run === this.#run; attempt++) {
      try {
        return await this.#parts.identity();
      } catch (error) {
        if (!error.retryable) return null;
        await this.#wait(attempt, error, run);
      }
    }
    return null;
  }

  async #wait(attempt, error, run) {
    if (run !== this.#run) return;
    const { clock, random, on } = this.#parts;
    const delay = (error.retryAfterMs ?? 0) + fullJitter(attempt, random);
    await new Promise((resolve) => {
      const timer = clock.after(delay, resolve);
      const end = () => resolve(clock.cancel(timer));
      this.#waiting = { attempt: attempt + 1, error, retryAt: clock.now() + delay, end };
      on.status();
    });
    this.#waiting = null;
    if (run === this.#run) on.status();
  }

  /* What has been kept for `name`; nothing, where nothing can be. */
  async #recall(name) {
    const { kept, persist, cache } = this.#parts;
    if (kept) {
      await cache.open(this.#ram);
      return kept.open(name);
    }
    if (!persist) return null;
    return cache.open(new IdbTables(name)).catch((error) => console.warn('rung: nothing is kept', error));
  }

  #keepInMemory() {
    this.#parts.cache.open(this.#ram);
    this.#parts.on.loaded({ cursor: null, outbox: [] });
  }

  /* Where tabs cannot share, no request may stay open in each of them: six connections
   * are all that a browser has for a host. */
  #carries() {
    return this.#shares && !Tabs.possible ? this.#spare() : Object.values(this.#parts.carries);
  }

  #spare() {
    return Object.values(this.#parts.carries).filter(({ name }) => name === 'ws' || name === 'poll');
  }

  #goAlone(carries = Object.values(this.#parts.carries)) {
    this.#leaveTabs();
    this.#climb('alone', carries, this.#only);
  }

  /* One rung alone is nothing to share. Who led keeps the ladder, so that what is live goes on. */
  #stopSharing() {
    if (this.role === 'leader') this.#leaveTabs();
    else this.#goAlone();
  }

  #leaveTabs() {
    this.#tabs?.leave();
    this.#tabs = null;
    this.role = 'alone';
  }

  #climb(role, carries, only) {
    const { host, random, rtt, memory, credentials, on } = this.#parts;
    this.role = role;
    this.#dropLadder();
    this.#ladder = new Ladder({
      carries, only, host, random, rtt, memory,
      canRenew: () => credentials.canRenew,
      on: {
        rung: (step) => this.#rungChanged(step),
        status: () => this.#ladderChanged(),
        up: () => on.up(),
        event: (link, event) => this.#receiver.take(link, event),
        level: (link, cursor) => this.#receiver.level(link, cursor),
      },
    });
    for (const name of this.#blocked) this.#ladder.block(name, true);
    this.#ladder.start();
  }

  #dropLadder() {
    const old = this.#ladder;
    this.#ladder = null;
    old?.stop();
  }

  /* ---- what comes ---- */

  #took(batch) {
    this.#parts.clock.beat();
    if (this.role === 'follower') return this.#parts.cache.hear(batch.events);
    this.#parts.cache.take(batch.events, batch.cursor);
    if (batch.events.length > 0 || batch.from.cursor !== batch.cursor) this.#tabs?.tell(batch);
  }

  #dismissed(link, { reason, retry_after_ms = 0 }) {
    const code = NOT_AS_YOU_ARE.has(reason) ? reason : 'bye';
    const error = new RungError(code, `the server said bye: ${reason ?? 'no reason given'}`,
      { retryAfterMs: retry_after_ms });
    if (error.wantsToken) this.#parts.credentials.expire();
    this.#ladder?.dismiss(link, { error });
  }

  #acknowledge(acked) {
    const { position, on } = this.#parts;
    const { cursor } = position;
    if (cursor === acked || !this.#ladder?.live) return null;
    return { cursor, sent: on.call('message.ack', position.mark()) };
  }

  /* ---- switching ---- */

  #rungChanged(step) {
    const { live, tried = [] } = this.#ladder ?? {};
    this.#parts.on.rung({ rung: step.name, state: step.state, why: step.why, live: live?.name ?? null, tried });
    if (step.name !== this.#wanted) return;
    if (step.state === 'live') this.#switched();
    else if (step.state === 'failed') this.#endSwitch(this.#ladder.error);
  }

  /* Refused for good, no rung comes any more. */
  #ladderChanged() {
    if (this.#ladder?.state === 'stopped') this.#endSwitch(this.#ladder.error);
    this.#parts.on.status();
  }

  #switched() {
    this.#switch?.resolve();
    this.#switch = null;
  }

  /* The old rung goes on when it still can; if it was lost meanwhile, the next
   * attempt is for the wanted one. */
  #endSwitch(error) {
    const chosen = this.#switch;
    this.#switch = null;
    if (!chosen) return;
    if (error.code !== 'conflict' && this.#ladder?.live) {
      this.#wanted = chosen.before;
      this.#ladder.want(this.#only);
    }
    chosen.reject(error);
  }
}
