// Danmaku: what the audience of a channel says flies over the film.

import { byId, h } from '../app/dom.js';
import { listen } from './channel.js';
import { paintFilm } from './film.js';

const LANES = 7;
const FLIGHT_MS = 9_000;
const ALOFT_MAX = 60;
const STILL_MAX = 7; // shown as a list to who wants no motion
const TOLD_AGO_MS = 4_000;

const calm = matchMedia('(prefers-reduced-motion: reduce)');

export class Danmaku {
  id = 'danmaku';
  #list = byId('bullets');
  #lanes = Array(LANES).fill(0); // free from, ms
  #people;
  #close = null;
  #film = null;

  /** @param {import('./person.js').Person[]} people */
  constructor(people) {
    this.#people = people;
    byId('shout-from').append(...people.map(({ side, user }) => h('option', { value: side }, user)));
    byId('shout').onsubmit = (event) => {
      event.preventDefault();
      this.#shout(byId('shout-text').value.trim());
    };
  }

  #shout(text) {
    const person = this.#people.find(({ side }) => side === byId('shout-from').value);
    if (!text || !person.client) return;
    byId('shout-text').value = '';
    const colour = person.side === 'a' ? 6 : 7;
    person.client.sendMessage({ conversation: '0:3:danmaku', type: 'danmaku', body: { text, colour } }).catch(() => {});
  }

  async start(person) {
    this.#film = paintFilm(byId('film'));
    this.#close = await listen(person, this.id, { newest: 0, people: this.#people, message: (message) => this.#fire(message) });
  }

  stop() {
    this.#close?.();
    this.#film?.();
    this.#list.replaceChildren();
  }

  #fire({ from, body, ts }) {
    if (typeof body?.text !== 'string' || document.visibilityState !== 'visible') return;
    if (Date.now() - ts > FLIGHT_MS + TOLD_AGO_MS && !calm.matches) return; // its time was while we were away
    const own = this.#people.some(({ user }) => user === from);
    const bullet = h('li', { class: `bullet colour-${Number(body.colour) % 8 || 0}${own ? ' own' : ''}`, 'data-from': from },
      h('span', { class: 'hidden' }, `${from}: `), body.text.slice(0, 60));
    this.#list.append(bullet);
    if (calm.matches) {
      while (this.#list.children.length > STILL_MAX) this.#list.firstChild.remove();
      return;
    }
    while (this.#list.children.length > ALOFT_MAX) this.#list.firstChild.remove();
    this.#fly(bullet);
  }

  /* In the lane that is free first; it is free again once this one's tail is in. */
  #fly(bullet) {
    const now = performance.now();
    const lane = this.#lanes.indexOf(Math.min(...this.#lanes));
    const width = this.#list.clientWidth;
    const own = bullet.offsetWidth;
    const delay = Math.max(0, this.#lanes[lane] - now);
    this.#lanes[lane] = now + delay + FLIGHT_MS * (own + 24) / (width + own);
    bullet.style.top = `${(lane + 0.35) * (100 / (LANES + 0.7))}%`;
    bullet.animate([{ transform: `translateX(${width}px)` }, { transform: `translateX(${-own}px)` }],
      { duration: FLIGHT_MS, delay, fill: 'both' }).finished.then(() => bullet.remove(), () => {});
  }
}
