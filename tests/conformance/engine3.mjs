// Engine.IO 3 by hand, as socket.io-client 2.x speaks it.

import assert from 'node:assert/strict';
import querystring from 'node:querystring';
import vm from 'node:vm';
import { Channel, Polling } from './engine.mjs';

/** Packets as one text payload: lengths are JavaScript's. */
export const written = (packets) =>
  packets.map((packet) => `${packet.length}:${packet}`).join('');

export function read(text) {
  const packets = [];
  while (text !== '') {
    const [head, length] = /^(\d+):/.exec(text) ?? assert.fail(text);
    assert.ok(text.length >= head.length + Number(length), text);
    packets.push(text.slice(head.length, head.length + Number(length)));
    text = text.slice(head.length + Number(length));
  }
  return packets;
}

/** The payload that has bytes in it: text packets as strings, others as
 * Buffers, each with its type in front. */
export function readOctets(bytes) {
  const packets = [];
  for (let at = 0; at < bytes.length;) {
    const end = bytes.indexOf(255, at);
    const length = Number([...bytes.subarray(at + 1, end)].join(''));
    const packet = bytes.subarray(end + 1, end + 1 + length);
    assert.equal(packet.length, length);
    packets.push(bytes[at] === 0 ? packet.toString() : packet);
    at = end + 1 + length;
  }
  return packets;
}

export function writtenOctets(packets) {
  return Buffer.concat(packets.flatMap((packet) => {
    const bytes = Buffer.from(packet);
    return [Buffer.from([typeof packet === 'string' ? 0 : 1,
                         ...String(bytes.length).split('').map(Number), 255]),
            bytes];
  }));
}

export class Polling3 extends Polling {
  constructor(server, options) {
    super(server, { EIO: 3, ...options });
  }

  begin(text) {
    const [first, ...rest] = read(text);
    super.begin(first);
    this.packets.push(...rest);
  }

  async send(...packets) {
    const answer = await this.post(written(packets));
    assert.equal(answer.status, 200, answer.text);
    assert.equal(answer.text, 'ok');
  }

  async receive() {
    const answer = await this.poll();
    assert.equal(answer.status, 200, answer.text);
    return /^application\/octet-stream/.test(answer.headers['content-type'])
      ? readOctets(answer.body) : read(answer.text);
  }
}

/** The same in scripts and forms: what a page does that has nothing else. */
export class Jsonp extends Polling3 {
  constructor(server, { j = 7, ...options } = {}) {
    super(server, { j, ...options });
  }

  begin(text) {
    super.begin(this.run(text));
  }

  /** What a script says to the callback that the page has made. */
  run(script) {
    const said = [];
    const functions = [];
    functions[this.query.j] = (text) => said.push(text);
    vm.runInNewContext(script, { ___eio: functions });
    assert.equal(said.length, 1, script);
    return said[0];
  }

  async receive() {
    const answer = await this.poll();
    assert.equal(answer.status, 200, answer.text);
    assert.match(answer.headers['content-type'], /^text\//);
    return read(this.run(answer.text));
  }

  /** As engine.io-client's form does it. */
  post(payload) {
    const d = payload.replace(/\\n/g, '\\\\n').replace(/\n/g, '\\n');
    return super.post(querystring.stringify({ d }), {
      headers: { 'content-type': 'application/x-www-form-urlencoded' } });
  }
}

export const openChannel3 = (server, options) =>
  Channel.open(server, { EIO: 3, ...options });
