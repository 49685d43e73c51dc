// One end of a conversation, behind a network that can lose a packet: a client
// that shows what it receives, keeps what it is told of its messages, and sends
// again what was not answered.

import http from 'node:http';
import { randomUUID } from 'node:crypto';
import { transports } from '../lib/followers.mjs';
import { call } from '../lib/http.mjs';
import { Roamer } from '../lib/roamer.mjs';
import { within } from '../lib/wait.mjs';

const polls = ['longpoll', 'poll', 'jsonp'];
const agent = new http.Agent({ keepAlive: false });

export class Party {
  /** How often each text was shown. */
  shown = new Map();
  /** Of the other one: how far my messages have got; and what I have read. */
  state = { delivered: 0, read: 0 };
  readByMe = 0;
  #waiting = new Set();

  /** `stream` and `calls` are proxies: what is received comes over the one,
   * single requests go over the other. */
  constructor({ person, other, random, stream, calls }) {
    Object.assign(this, { person, other, random, stream, calls });
    this.roamer = new Roamer({
      url: stream.url, token: person.token, device: person.device,
      cursor: '0', random, wait: 20, interval: 100,
      // over a websocket it can call, too
      pick: () => random.below(3) ? random.pick(transports) : 'ws',
      onEvent: (event) => this.#take(event),
    });
  }

  #take(event) {
    if (event.event === 'message')
      this.shown.set(event.body.text,
                     (this.shown.get(event.body.text) ?? 0) + 1);
    if (event.event === 'receipt' && event.user === this.other)
      this.state[event.kind] = Math.max(this.state[event.kind], event.seq);
    if (event.event === 'receipt' && event.user === this.person.name)
      this.readByMe = Math.max(this.readByMe, event.seq);
    for (const look of [...this.#waiting])
      look();
  }

  /** Until `condition`, looked at after each event. */
  until(condition, what) {
    let look;
    const met = new Promise((resolve) => {
      look = () => condition() && resolve();
      this.#waiting.add(look);
      look();
    });
    return within(30000, Promise.race([met, this.roamer.running]), () =>
      `${this.person} over ${this.over}: ${what}`)
      .finally(() => this.#waiting.delete(look));
  }

  /** The transport it is on. */
  get over() {
    return this.roamer.current?.name;
  }

  get presentsByItself() {
    return polls.includes(this.over);
  }

  /** A websocket that calls can go over, or undefined. */
  get socket() {
    const { current } = this.roamer;
    return current?.name === 'ws' && current.hello && !current.over
      ? current : undefined;
  }

  #once(socket, method, params) {
    if (!socket)
      return call(this.calls.url, method, params, {
        token: this.person.token, agent, query: { device: this.person.device },
      });
    return socket.reply(method, params).then(({ result, error }) => {
      if (error)
        throw Object.assign(new Error(error.message), { status: 400 });
      return result;
    });
  }

  /** Call until there is an answer → {answer, lost}: how many were not
   * answered. The first goes over `socket`, when there is one. */
  async call(method, params, socket) {
    for (let lost = 0;; lost++) {
      try {
        return { answer: await this.#once(socket, method, params), lost };
      } catch (error) {
        if (error.status !== undefined || lost > 20)
          throw error;
        socket = undefined;
      }
    }
  }

  send(text, socket) {
    return this.call('message.send', {
      to: this.other, client_msg_id: randomUUID(), body: { text },
    }, socket);
  }

  async stop() {
    await this.roamer.stop();
  }
}
