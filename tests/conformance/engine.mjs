// Engine.IO by hand: HTTP requests and WebSocket messages as they go over the
// wire, so that a test says each of them.

import assert from 'node:assert/strict';
import WebSocket from 'ws';
import { request, withQuery } from '../lib/http.mjs';
import { eventually, within } from '../lib/wait.mjs';

export const RS = '\x1e';

const ENGINE = '/engine.io/';

function target({ url }, path, query) {
  return withQuery(url + path, query);
}

/** A request to Engine.IO with any query; `undefined` leaves a part out. */
export function ask(server, { path = ENGINE, method, headers, body, signal,
                              ...query } = {}) {
  return request(target(server, path, { EIO: 4, transport: 'polling',
                                        ...query }),
                 { method, headers, body, signal });
}

export function assertRefused(answer, code) {
  const messages = ['Transport unknown', 'Session ID unknown',
                    'Bad handshake method', 'Bad request', 'Forbidden',
                    'Unsupported protocol version'];
  assert.equal(answer.status, 400);
  assert.match(answer.headers['content-type'], /^application\/json/);
  assert.deepEqual(answer.json, { code, message: messages[code] });
}

/** A session on HTTP long-polling, protocol 4. */
export class Polling {
  packets = [];

  constructor(server, { path = ENGINE, ...query } = {}) {
    this.server = server;
    this.path = path;
    this.query = query;
  }

  static async open(server, options) {
    const session = new this(server, options);
    session.begin((await session.poll()).text);
    return session;
  }

  /** The answer to the first poll: an open packet. */
  begin(text) {
    assert.equal(text[0], '0', text);
    this.handshake = JSON.parse(text.slice(1));
    this.query.sid = this.handshake.sid;
  }

  get sid() {
    return this.query.sid;
  }

  ask(options) {
    return ask(this.server, { path: this.path, ...this.query, ...options });
  }

  poll(options) {
    return this.ask(options);
  }

  post(body, options) {
    return this.ask({ method: 'POST', body,
                      headers: { 'content-type': 'text/plain;charset=UTF-8' },
                      ...options });
  }

  /** Packets, which the server takes. */
  async send(...packets) {
    const answer = await this.post(packets.join(RS));
    assert.equal(answer.status, 200, answer.text);
    assert.equal(answer.text, 'ok');
  }

  /** The packets of the next answer. */
  async receive() {
    const answer = await this.poll();
    assert.equal(answer.status, 200, answer.text);
    return answer.text.split(RS);
  }

  /** The next packet, whichever answer it comes in; pings are answered. */
  async next() {
    while (this.packets.length === 0)
      for (const packet of await this.receive())
        if (packet === '2')
          await this.send('3');
        else
          this.packets.push(packet);
    return this.packets.shift();
  }

  /** The server has forgotten the session. */
  async gone() {
    await eventually(async () => (await this.post('6')).json?.code === 1,
                     'the session is gone');
    assertRefused(await this.poll(), 1);
  }

  /** The server ends the session: the next poll is told, or finds nothing. */
  async closes() {
    for (;;) {
      const answer = await this.poll();
      if (answer.status !== 200)
        return assertRefused(answer, 1);
      if (answer.text.split(RS).includes('1'))
        return this.gone();
    }
  }

  async alive() {
    await this.send('4are you there?');
    let packet;
    do // what released a poll for an upgrade may lie before it
      packet = await this.next();
    while (packet === '6');
    assert.equal(packet, '4are you there?');
  }
}

/** A WebSocket, as it is: text comes as a string, binary as a Buffer. */
export class Channel {
  #unread = [];
  #waiting = [];

  constructor(server, { path = ENGINE, ...query } = {}) {
    this.socket = new WebSocket(
      target(server, path, { EIO: 4, transport: 'websocket', ...query })
        .replace(/^http/, 'ws'));
    this.opened = new Promise((resolve, reject) => {
      this.socket.on('open', resolve);
      this.socket.on('error', reject);
    });
    this.opened.catch(() => {});
    this.refused = new Promise((resolve) => {
      this.socket.on('unexpected-response', (req, res) => {
        resolve(res.statusCode);
        req.destroy();
        this.socket.terminate();
      });
    });
    this.closed = new Promise((resolve) => {
      this.socket.on('close', (code, reason) => {
        resolve({ code, reason: String(reason) });
        this.#take(undefined);
      });
    });
    this.socket.on('message', (data, binary) =>
      this.#take(binary ? data : data.toString()));
  }

  #take(message) {
    const waiting = this.#waiting.shift();
    if (waiting)
      waiting(message);
    else
      this.#unread.push(message);
  }

  /** Open, and a session when the query names none. */
  static async open(server, options) {
    const channel = new this(server, options);
    await within(10000, channel.opened, 'the WebSocket opens');
    if (!options?.sid) {
      const first = await channel.receive();
      assert.equal(first[0], '0', first);
      channel.handshake = JSON.parse(first.slice(1));
    }
    return channel;
  }

  get sid() {
    return this.handshake.sid;
  }

  send(...messages) {
    for (const message of messages)
      this.socket.send(message);
  }

  /** The next message; undefined when it has closed instead. */
  receive() {
    return within(10000, this.#unread.length > 0
      ? Promise.resolve(this.#unread.shift())
      : new Promise((resolve) => { this.#waiting.push(resolve); }),
    'a message comes');
  }

  /** The same, with pings answered. */
  async next() {
    for (;;) {
      const message = await this.receive();
      if (message !== '2')
        return message;
      this.send('3');
    }
  }

  /** It closes, whatever comes before that; with that code if one is given. */
  async closes(code) {
    const end = await within(10000, this.closed, 'the WebSocket closes');
    if (code !== undefined)
      assert.equal(end.code, code);
  }

  /** It never opens, or closes at once. */
  async isRefused() {
    await within(10000, Promise.race([this.refused, this.closed]),
                 'the WebSocket is refused');
  }

  async alive() {
    this.send('4are you there?');
    assert.equal(await this.next(), '4are you there?');
  }

  close() {
    this.socket.terminate();
  }
}

/** A WebSocket that probes for a session on polling: its pong has come. */
export async function probe(polling) {
  const channel = await Channel.open(polling.server, {
    path: polling.path, ...polling.query });
  channel.send('2probe');
  assert.equal(await channel.receive(), '3probe');
  return channel;
}

/** A session that has moved from polling to its WebSocket. */
export async function upgraded(server, options) {
  const polling = await Polling.open(server, options);
  const channel = await probe(polling);
  channel.send('5');
  return { polling, channel };
}
