// How we are connected: state, countdown to the next attempt, transport, cursor.

import { byId, h } from './dom.js';
import { t } from './language.js';
import { nameOf, RUNGS } from './rungs.js';

const TICK_MS = 250;
const CHOICES = ['auto', ...RUNGS.filter((name) => name !== 'jsonp')];

export class StatusBar {
  #bar = byId('status');
  #text = byId('state-text');
  #countdown = byId('countdown'); // seen, not read out every second
  #cursor = byId('cursor');
  #retry = byId('retry');
  #client;
  #timer = null;

  /**
   * @param {import('../rung.js').RungClient} client
   * @param {(name: string) => void} pick a transport was chosen by hand
   */
  constructor(client, pick) {
    this.#client = client;
    this.#retry.onclick = () => (client.status.state === 'stopped' ? client.start() : client.retryNow());
    byId('transport').append(...CHOICES.map((name) => h('label', {},
      h('input', { type: 'radio', name: 'transport', value: name, onchange: () => pick(name) }),
      h('span', {}, nameOf(name)))));
  }

  draw() {
    const status = this.#client.status;
    Object.assign(this.#bar.dataset, {
      state: status.state, transport: status.transport ?? '', wanted: status.wanted,
      switching: String(status.switching), cursor: status.cursor ?? '',
    });
    const sentence = this.#sentence(status);
    if (this.#text.textContent !== sentence) this.#text.textContent = sentence;
    this.#countdown.textContent = this.#wait(status);
    this.#cursor.textContent = status.cursor ?? '–';
    this.#retry.hidden = status.state !== 'waiting' && status.state !== 'stopped';
    for (const input of byId('transport').elements) input.checked = input.value === status.wanted;
    clearTimeout(this.#timer);
    if (status.state === 'waiting') this.#timer = setTimeout(() => this.draw(), TICK_MS);
  }

  #wait({ state, retryAt }) {
    if (state !== 'waiting') return '';
    return t(', next try in {seconds} s', { seconds: Math.max(0, Math.ceil((retryAt - Date.now()) / 1000)) });
  }

  #sentence({ state, transport, wanted, switching, error }) {
    if (switching && transport) return t('{rung}, switching to {other}…', { rung: nameOf(transport), other: nameOf(wanted) });
    switch (state) {
      case 'online':
        return t('Connected by {rung}', { rung: nameOf(transport) });
      case 'connecting':
        return t('Connecting…');
      case 'waiting':
        return t('Offline');
      case 'stopped':
        return t('Stopped: {why}', { why: error?.message ?? t('the server does not want us back') });
      default:
        return t('Not connected');
    }
  }
}
