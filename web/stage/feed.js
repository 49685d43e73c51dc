// What plays on the channels when nobody does: made-up prices, and an audience. It is a
// function of the time alone, and each message's client_msg_id is its tick: so however
// many visitors send it, the log takes each once, and with the last visitor it ends.

import { RungClient } from '../rung.js';
import { storageOf } from '../app/storage.js';

export const QUOTES = ['RUNG', 'LMDB', 'NCHAN', 'COMET'];

const BASES = [128, 64.2, 31.5, 9.85];
const LINES = [
  'It just goes on!', '前方高能', 'who pulled the plug', '没有丢！', 'lost 0, twice 0', '哈哈哈哈哈哈', 'long poll gang', '弹幕护体',
  'look at the ladder', '这也能连上？', 'sawing noises', '太稳了', 'kill it again!', '再来一次', 'SSE is enough for me', '2333333',
  'cursor, cursor, cursor', '名场面', 'hello from 2006', '爷青回',
];

/** Random, but the same for the same number: in [-1, 1). (Steele & al., "SplitMix", 32 bits) */
function noise(n) {
  let z = (n + 0x9e3779b9) | 0;
  z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
  z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
  return ((z ^ (z >>> 15)) >>> 0) / 2 ** 31 - 1;
}

/** @param {number} tick a second @returns {Record<string, number>} */
export function pricesAt(tick) {
  return Object.fromEntries(QUOTES.map((name, i) => {
    const slow = Math.sin(tick / 311 + i) + Math.sin(tick / 1013 + 2 * i);
    const quick = Math.sin(tick / (17 + 3 * i)) + 0.6 * noise(tick * 7 + i);
    return [name, Number((BASES[i] * (1 + 0.02 * slow + 0.006 * quick)).toFixed(2))];
  }));
}

/** @param {number} tick @returns {{text: string, colour: number}} */
export function lineAt(tick) {
  const at = Math.floor(((noise(tick) + 1) / 2) * LINES.length);
  return { text: LINES[at], colour: tick % 6 };
}

const FEEDS = {
  quotes: { user: 'market', every_ms: 1000, type: 'quote', body: pricesAt },
  danmaku: { user: 'audience', every_ms: 1700, type: 'danmaku', body: lineAt },
};

export class Feed {
  #clock;
  #clients = new Map();
  #timer = null;

  /** @param {() => number} clock the server's, in ms, so that all visitors agree */
  constructor(clock) {
    this.#clock = clock;
  }

  /** Play this one, and no other. */
  async play(name) {
    this.stop();
    const feed = FEEDS[name];
    if (!feed) return;
    const client = await this.#clientOf(feed.user);
    this.stop();
    this.#timer = setInterval(() => document.visibilityState === 'visible' && this.#send(client, name, feed), feed.every_ms);
  }

  stop() {
    clearInterval(this.#timer);
  }

  #send(client, name, { type, body, every_ms }) {
    const tick = Math.floor(this.#clock() / every_ms);
    client.call('message.send', { conversation: `0:3:${name}`, client_msg_id: `${name}-${tick}`, type, body: body(tick) })
      .catch(() => {}); // a tick that fails is missed: the next one comes
  }

  /* It only sends: it is never started. */
  async #clientOf(user) {
    if (!this.#clients.has(user)) {
      const client = new RungClient({ device: 'stage', tabs: false, storage: storageOf(`feed-${user}`), transport: 'poll' });
      await client.login(user);
      this.#clients.set(user, client);
    }
    return this.#clients.get(user);
  }
}
