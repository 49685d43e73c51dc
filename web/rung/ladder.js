// The ladder: which rung carries, which are tried beside it, when to climb, fall, wait
// and give up. The rules, by their numbers, are those of docs/CLIENT.md, "Climbing".

import { fullJitter } from './backoff.js';
import { RungError } from './error.js';
import { judge } from './judge.js';
import { Link } from './link.js';
import { BLOCKED, Step } from './step.js';
import { Timers } from './timers.js';

const STAGGER_MS = 250;
const PATIENCE_MS = 500; // with the rung that worked last
const STABLE_MS = 5_000;
const DOUBT_MS = 5_000;
const NONE = Infinity; // the rank of nothing

/**
 * @typedef {object} Listener
 * @property {(step: Step) => void} rung the state of a rung is another
 * @property {() => void} status the state of the ladder is another
 * @property {() => void} up a rung is live
 * @property {(link: Link, event: object) => void} event
 * @property {(link: Link, cursor?: string) => void} level
 */

export class Ladder {
  state = 'idle';
  attempt = 0; // rounds without success
  retryAt = null;
  error = null;

  #host;
  #clock;
  #random;
  #rtt;
  #memory;
  #canRenew;
  #on;
  #steps;
  #only; // the one rung to use, or null
  #best = null;
  #live = null;
  #doubt = null; // the live rung opened once more, because it may be dead
  #round = 0;
  #order = []; // the rungs of this round
  #refusals = 0; // tokens refused since we were last up
  #obliged = false; // the server has said how long to wait
  #timers; // stagger, retry, probe, stable

  /**
   * @param {object} parts
   * @param {import('../carry/table.js').Carry[]} parts.carries best first
   * @param {string | null} parts.only
   * @param {import('../carry/table.js').Host} parts.host
   * @param {() => number} parts.random
   * @param {import('./rtt.js').Rtt} parts.rtt
   * @param {import('./memory.js').Memory} parts.memory
   * @param {() => boolean} parts.canRenew can there be another token?
   * @param {Listener} parts.on
   */
  constructor({ carries, only, host, random, rtt, memory, canRenew, on }) {
    this.#host = host;
    this.#clock = host.clock;
    this.#timers = new Timers(host.clock);
    this.#random = random;
    this.#rtt = rtt;
    this.#memory = memory;
    this.#canRenew = canRenew;
    this.#on = on;
    this.#only = only;
    this.#steps = carries.map((carry, rank) => new Step(carry, rank, carry.missing?.(host) ?? null));
  }

  /* ---- to look at ---- */

  get live() {
    return this.#live;
  }

  get steps() {
    return this.#steps;
  }

  /** Those tried in this round, in order. */
  get tried() {
    return this.#order.map(({ name, state, why }) => ({ rung: name, state, why }));
  }

  get switching() {
    return this.#only !== null && this.#live !== null && this.#live.name !== this.#only && this.#opening.length > 0;
  }

  /* ---- to steer ---- */

  start() {
    if (this.state !== 'idle' && this.state !== 'stopped') return;
    this.attempt = 0;
    this.#refusals = 0;
    this.#recall();
    this.#begin();
  }

  stop() {
    this.#letGoOfAll('the client was closed');
    this.#become('idle');
  }

  /** Use this rung alone, or (null) all. What is live carries on until a wanted one does. */
  want(only) {
    this.#only = only;
    for (const step of this.#opening) if (!this.#eligible(step)) this.#leave(step, 'not wanted any more');
    if (this.state === 'connecting' || this.state === 'waiting' || this.#live) this.#begin();
  }

  block(name, blocked) {
    const step = this.#steps.find((one) => one.name === name);
    if (!step || step.state === 'missing' || (step.state === 'blocked') === blocked) return;
    const wasLive = step === this.#live;
    if (wasLive) {
      this.#live = null;
      this.#dropDoubt();
      this.#timers.clear('stable', 'probe');
    }
    this.#leave(step, blocked ? BLOCKED : '', blocked ? 'blocked' : 'untried');
    step.clear();
    const stuck = this.state === 'waiting' && this.retryAt === null; // all were blocked
    if (wasLive || this.#live || stuck || this.state === 'connecting') this.#begin();
  }

  /** The way is free: what failed is forgotten, and what is better tried now. */
  climb() {
    for (const step of this.#steps) step.clear();
    this.#absolve();
    this.#remember();
    this.#tryAnew();
  }

  /* Rests end: try now what is better, anew what is being opened. */
  #tryAnew() {
    for (const step of this.#steps) step.restsUntil = 0;
    for (const step of this.#opening) this.#leave(step, 'opened anew');
    if (this.#live || this.state === 'connecting') this.#begin();
  }

  /** A wait ends. */
  retryNow() {
    if (this.state === 'waiting') this.#begin();
  }

  /** The network may be another: nothing that is known of the rungs holds. */
  wake() {
    this.#recall();
    this.#tryAnew();
    if (!this.#obliged) this.retryNow();
    const quiet = this.#clock.now() - (this.#live?.link.heardAt ?? Infinity);
    if (quiet >= DOUBT_MS && !this.#doubt) this.#doubt = this.#linkOf(this.#live);
  }

  /** Where the other rungs were opened is no longer where we are (rule 4 of the cursor). */
  reopenOthers(link) {
    if (this.#doubt !== link) this.#dropDoubt();
    for (const step of this.#opening) {
      if (step.link === link) continue;
      this.#leave(step, 'opened anew, from another cursor');
      step.round = 0;
    }
    this.#timers.set('stagger', 0, () => this.#next());
  }

  /** The server has dismissed us on this link. */
  dismiss(link, why) {
    link.close();
    this.#down(link, why);
  }

  /* ---- rounds (rules 1 to 3) ---- */

  get #opening() {
    return this.#steps.filter((step) => step.link && step !== this.#live);
  }

  #eligible(step) {
    return step.usable && (this.#only === null || step.name === this.#only);
  }

  #rank(step) {
    return step && this.#eligible(step) ? step.rank : NONE;
  }

  #begin() {
    this.#round++;
    this.#order = this.#opening; // from the round before
    for (const step of this.#order) step.round = this.#round;
    this.#timers.clear('retry', 'probe');
    this.retryAt = null;
    if (this.#live) this.#become('online');
    else this.#become('connecting');
    this.#next();
  }

  #next() {
    this.#timers.clear('stagger');
    const step = this.#candidate();
    if (!step) {
      if (this.#live) this.#planProbe();
      else if (this.#opening.length === 0) this.#roundFailed();
      return;
    }
    const patient = step.name === this.#best && !this.#live;
    this.#open(step);
    this.#timers.set('stagger', patient ? PATIENCE_MS : STAGGER_MS, () => this.#next());
  }

  #candidate() {
    const now = this.#clock.now();
    const better = this.#steps.filter((step) => this.#eligible(step) && !step.link
      && step.round !== this.#round && step.rank < this.#rank(this.#live));
    const fresh = better.filter(({ restsUntil }) => restsUntil <= now);
    if (this.#live) return fresh[0];
    return fresh.find(({ name }) => name === this.#best) ?? fresh[0] ?? better[0];
  }

  #open(step) {
    step.round = this.#round;
    if (!this.#order.includes(step)) this.#order.push(step);
    step.link = this.#linkOf(step);
    this.#tell(step, 'opening');
  }

  #linkOf(step) {
    return new Link(step.carry, this.#host, this.#rtt, {
      up: (link) => this.#up(link),
      event: (link, event) => this.#on.event(link, event),
      level: (link, cursor) => this.#on.level(link, cursor),
      down: (link, why) => this.#down(link, why),
    });
  }

  /* ---- climbing (rule 4) ---- */

  #up(link) {
    if (link === this.#doubt) {
      this.#live.link.close();
      this.#live.link = link;
      this.#doubt = null;
      return;
    }
    const step = this.#steps.find((one) => one.link === link);
    const before = this.#live;
    this.#live = step;
    this.#dropDoubt();
    if (before) this.#leave(before, `${step.name} is better`);
    for (const other of this.#opening)
      if (other.rank > step.rank || !this.#eligible(other)) this.#leave(other, `${step.name} is better`);
    this.#settle(step);
    this.#tell(step, 'live', 'its first event came');
    this.#become('online');
    this.#on.up();
    if (this.#live === step && !this.#timers.has('stagger')) this.#next();
  }

  /* What failed while this one got through has failed by itself (rule 6). */
  #settle(step) {
    const now = this.#clock.now();
    this.#refusals = 0;
    this.error = null;
    this.retryAt = null;
    this.#best = step.name;
    for (const other of this.#steps) if (other.suspect && other !== step) other.rest(now, this.#random);
    step.suspect = false;
    this.#absolve();
    this.#remember();
    this.#timers.set('stable', STABLE_MS, () => {
      this.attempt = 0;
      step.clear();
      this.#remember();
    });
  }

  /* What failed and does not count: when nothing got through, or what is forgotten. */
  #absolve() {
    for (const step of this.#steps) if (step.state === 'failed' && step.failures === 0) this.#tell(step, 'untried');
  }

  #planProbe() {
    const resting = this.#steps.filter((step) => this.#eligible(step) && !step.link
      && step.rank < this.#rank(this.#live) && step.restsUntil > 0);
    if (resting.length === 0) return;
    const soonest = Math.min(...resting.map(({ restsUntil }) => restsUntil));
    this.#timers.set('probe', Math.max(0, soonest - this.#clock.now()), () => this.#begin());
  }

  /* ---- falling (rules 5 to 7) ---- */

  #down(link, why) {
    if (link === this.#doubt) {
      this.#doubt = null;
      if (judge(why) !== 'rung') return; // the server can be reached; the live one hears the same
      link = this.#live.link;
      link.close();
    }
    const step = this.#steps.find((one) => one.link === link);
    if (!step) return;
    step.link = null;
    if (step === this.#live) this.#lost(step, why);
    else this.#failed(step, why);
  }

  #failed(step, why) {
    const verdict = judge(why);
    this.error = why.error;
    step.suspect = true;
    if (this.#live) this.#restNow(step);
    else if (verdict !== 'rung') return this.#spoken(step, verdict, why.error);
    this.#tell(step, 'failed', why.error.message);
    this.#next();
  }

  #lost(step, why) {
    const verdict = judge(why);
    const lived = !this.#timers.has('stable');
    this.#live = null;
    this.#dropDoubt();
    this.#timers.clear('stable', 'probe');
    this.error = why.error;
    if (verdict !== 'rung') return this.#spoken(step, verdict, why.error, lived);
    this.#tell(step, 'failed', why.error.message);
    if (!lived || why.unfit) this.#restNow(step);
    const now = this.#clock.now();
    const another = this.#steps.some((one) => this.#eligible(one) && one.restsUntil <= now);
    if (this.#opening.length > 0 || (this.#only === null && another)) this.#begin();
    else this.#later(fullJitter(this.attempt++, this.#random));
  }

  /* The server itself has answered: other rungs would hear the same. */
  #spoken(step, verdict, error, lived = false) {
    step.suspect = false;
    this.#tell(step, verdict === 'bye' ? 'untried' : 'failed', error.message);
    const jitter = () => fullJitter(this.attempt++, this.#random);
    if (verdict === 'stop') this.#give(error);
    else if (verdict === 'bye') this.#later(error.retryAfterMs || (lived ? 0 : fullJitter(0, this.#random)), true);
    else if (verdict === 'later') this.#later((error.retryAfterMs ?? 0) + jitter(), true);
    else if (this.#canRenew() && this.#refusals++ === 0) this.#later(jitter());
    else this.#give(error);
  }

  /* Nothing got through: it says nothing of the rungs. Of one rung alone it does. */
  #roundFailed() {
    for (const step of this.#steps) step.suspect = false;
    if (this.#order.length === 0) this.#nothingToTry();
    else if (this.#only !== null && !this.error.retryable) this.#give(this.error);
    else this.#later(fullJitter(this.attempt++, this.#random));
  }

  #nothingToTry() {
    const reasons = this.#steps.map(({ name, why }) => `${name}: ${why || 'not wanted'}`).join('; ');
    this.error = new RungError('unsupported', `no rung can be used here (${reasons})`);
    if (this.#steps.some(({ state }) => state === 'blocked')) this.#become('waiting'); // until one is not
    else this.#give(this.error);
  }

  #later(delay, obliged = false) {
    this.#obliged = obliged;
    for (const step of this.#opening) this.#leave(step, 'the server asks to wait');
    this.#timers.clear('stagger', 'probe', 'stable');
    this.retryAt = this.#clock.now() + delay;
    this.#timers.set('retry', delay, () => this.#begin());
    this.#become('waiting');
  }

  #give(error) {
    this.#letGoOfAll(error.message);
    this.error = error;
    this.#become('stopped');
  }

  /* ---- the small things ---- */

  #leave(step, why, state = 'untried') {
    step.link?.close();
    step.link = null;
    this.#tell(step, state, why);
  }

  #letGoOfAll(why) {
    this.#live = null;
    for (const step of this.#steps) if (step.link) this.#leave(step, why);
    this.#dropDoubt();
    this.#timers.clear();
    this.retryAt = null;
  }

  #dropDoubt() {
    this.#doubt?.close();
    this.#doubt = null;
  }

  #restNow(step) {
    step.rest(this.#clock.now(), this.#random);
    this.#remember();
  }

  #recall() {
    const { best, failed } = this.#memory.recall();
    this.#best = best;
    for (const step of this.#steps) step.recall(failed[step.name]);
  }

  #remember() {
    const failed = this.#steps.filter(({ failures }) => failures > 0)
      .map(({ name, failures, restsUntil, failedAt }) => [name, { failures, restsUntil, at: failedAt }]);
    this.#memory.keep(this.#best, Object.fromEntries(failed));
  }

  #tell(step, state, why = '') {
    step.to(state, why);
    this.#on.rung(step);
  }

  #become(state) {
    this.state = state;
    this.#on.status();
  }
}
