// How we are connected: state, countdown to the next attempt, transport, cursor.

import { byId } from './dom.js';

const NAMES = { ws: 'WebSocket', sse: 'SSE', longpoll: 'Long poll', poll: 'Poll' };
const TICK_MS = 250;

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
    for (const input of byId('transport').elements)
      input.onchange = () => pick(input.value);
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
    return `, next try in ${Math.max(0, Math.ceil((retryAt - Date.now()) / 1000))} s`;
  }

  #sentence({ state, transport, wanted, switching, error }) {
    if (switching && transport) return `${NAMES[transport]}, switching to ${NAMES[wanted]}…`;
    switch (state) {
      case 'online':
        return `Connected by ${NAMES[transport]}`;
      case 'connecting':
        return `Connecting by ${NAMES[wanted]}…`;
      case 'waiting':
        return 'Offline';
      case 'stopped':
        return `Stopped: ${error?.message ?? 'the server does not want us back'}`;
      default:
        return 'Not connected';
    }
  }
}
