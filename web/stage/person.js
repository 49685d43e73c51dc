// One of the two people on the stage: a chat in a frame, and the client inside it, which
// is looked at and, by the server's demo levers, put into a bad network.

import { avatar, h } from '../app/dom.js';
import { t } from '../app/language.js';
import { BUFFERED } from '../app/rungs.js';
import { storageOf } from '../app/storage.js';
import { Audit, madeAt } from './audit.js';

export class Person {
  audit = new Audit();
  client = null;
  blocked = new Set(); // rungs
  #changed;
  #store;
  #applying = Promise.resolve();
  #cut = false; // the session was lost since the walls were last built

  /**
   * @param {'a' | 'b'} side
   * @param {string} user
   * @param {string} peer
   * @param {() => void} changed something to draw
   */
  constructor(side, user, peer, changed) {
    this.side = side;
    this.user = user;
    this.#changed = changed;
    this.#store = storageOf(`stage-${side}`);
    this.frame = h('iframe', { title: t('The chat of {user}', { user }), src: this.#address(peer) });
    this.head = h('header', { class: 'whose' }, avatar(user), h('strong', {}, t('{user}’s window', { user })));
    this.#recall();
    addEventListener('rung-pane', ({ detail }) => detail.pane === side && this.#enter(detail));
  }

  #address(peer) {
    const query = new URLSearchParams({ pane: this.side, user: this.user });
    const pair = [this.user, peer].sort().join(':');
    return `/chat.html?${query}#c/${encodeURIComponent(`0:1:${pair}`)}`;
  }

  #enter({ client }) {
    this.client = client;
    this.user = client.user;
    client.on('status', ({ state }) => this.#moved(state));
    client.on('transport', () => this.#changed());
    client.on('reset', () => this.audit.reset());
    this.apply();
    this.#changed();
  }

  /* Walls end with the server that built them. */
  #moved(state) {
    if (state === 'waiting') this.#cut = true;
    if (state === 'online' && this.#cut) {
      this.#cut = false;
      if (this.blocked.size > 0 || this.behindProxy) this.apply();
    }
    this.#changed();
  }

  /** Watch what comes, by whichever client of this person, and who of `people` made it. */
  watch(client, people) {
    client.on('event', (event) => {
      const near = people.some(({ user }) => user === event.from) && event.from !== this.user;
      this.audit.take(event, { rung: client.status.transport, sentAt: near ? madeAt(event.client_msg_id) : null });
      this.#changed();
    });
  }

  get live() {
    return this.client?.status.state === 'online' ? this.client.status.transport : null;
  }

  /* ---- the network of this person ---- */

  block(rung, blocked) {
    if (blocked) this.blocked.add(rung);
    else this.blocked.delete(rung);
    return this.apply();
  }

  proxy(on) {
    this.behindProxy = on;
    return this.apply();
  }

  heal() {
    this.blocked.clear();
    this.behindProxy = false;
    return this.apply();
  }

  /** How a rung is hindered: "blocked", "buffered", or not: "". */
  wallOf(rung) {
    if (this.blocked.has(rung)) return 'blocked';
    if (!this.behindProxy) return '';
    return rung === 'ws' ? 'blocked' : BUFFERED.includes(rung) ? 'buffered' : '';
  }

  /** Tell the server; one call after the other, so that the last one counts. */
  apply() {
    this.#remember();
    this.#changed();
    this.#applying = this.#applying.then(() => this.#build()).catch(() => (this.#cut = true)); // again when we are back
    return this.#applying;
  }

  async #build() {
    if (!this.client) return;
    const blocked = new Set(this.blocked);
    if (this.behindProxy) blocked.add('ws');
    const buffered = this.behindProxy ? BUFFERED.filter((rung) => !blocked.has(rung)) : [];
    await this.client.call('demo.block', { transports: [...blocked], buffered, device: this.client.device });
    this.client.climb();
  }

  #remember() {
    this.#store.setItem('walls', JSON.stringify({ blocked: [...this.blocked], proxy: Boolean(this.behindProxy) }));
  }

  #recall() {
    const { blocked = [], proxy = false } = JSON.parse(this.#store.getItem('walls') ?? '{}');
    this.blocked = new Set(blocked);
    this.behindProxy = proxy;
  }
}
