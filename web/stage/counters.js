// What has come through, for both people together, drawn a few times a second.

import { byId } from '../app/dom.js';
import { locale } from '../app/language.js';

const EVERY_MS = 250;

const number = new Intl.NumberFormat(locale);

function bytes(count) {
  if (count < 10_000) return number.format(count);
  const [size, unit] = count < 1_000_000 ? [count / 1e3, 'kB'] : [count / 1e6, 'MB'];
  return `${number.format(Math.round(size * 10) / 10)} ${unit}`;
}

export class Counters {
  #people;

  /** @param {import('./person.js').Person[]} people */
  constructor(people) {
    this.#people = people;
    setInterval(() => document.visibilityState === 'visible' && this.draw(), EVERY_MS);
  }

  draw() {
    const sum = (of) => this.#people.reduce((total, person) => total + of(person), 0);
    this.#show('messages', number.format(sum(({ audit }) => audit.messages)));
    this.#show('bytes', bytes(sum(({ audit }) => audit.bytes)));
    this.#show('flying', number.format(sum(({ client }) => client?.pending.length ?? 0)));
    for (const [id, of] of [['lost', (audit) => audit.lost], ['twice', (audit) => audit.twice], ['late', (audit) => audit.late]]) {
      const count = sum(({ audit }) => of(audit));
      this.#show(id, number.format(count));
      byId(`count-${id}`).parentElement.dataset.bad = String(count > 0);
    }
  }

  #show(id, text) {
    const element = byId(`count-${id}`);
    if (element.textContent !== text) element.textContent = text;
  }
}
