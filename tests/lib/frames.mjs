// WebSocket frames as bytes, right ones and wrong ones, and a client that sends
// them as they are and takes what comes apart (RFC 6455 section 5).

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import net from 'node:net';
import { within } from './wait.mjs';

export const CONTINUATION = 0;
export const TEXT = 1;
export const BINARY = 2;
export const CLOSE = 8;
export const PING = 9;
export const PONG = 10;

/** The shortest length field, or the one of `lengthBytes` (0, 2 or 8). */
function lengthField(size, lengthBytes, maskBit) {
  const bytes = lengthBytes ?? (size < 126 ? 0 : size < 65536 ? 2 : 8);

  if (!bytes)
    return Buffer.from([maskBit | Number(size)]);
  const field = Buffer.alloc(1 + bytes);
  field[0] = maskBit | (bytes === 2 ? 126 : 127);
  if (bytes === 2)
    field.writeUInt16BE(Number(size), 1);
  else
    field.writeBigUInt64BE(BigInt(size), 1);
  return field;
}

/** One client frame. `length` announces another length than the payload's. */
export function frame(opcode, payload = '', {
  fin = true, rsv = 0, masked = true, mask = randomBytes(4), length, lengthBytes,
} = {}) {
  const body = Buffer.from(payload);
  const size = length ?? body.length;

  if (masked)
    for (let i = 0; i < body.length; i++)
      body[i] ^= mask[i % 4];
  return Buffer.concat([
    Buffer.from([(fin ? 0x80 : 0) | (rsv << 4) | opcode]),
    lengthField(size, lengthBytes, masked ? 0x80 : 0),
    masked ? mask : Buffer.alloc(0),
    body,
  ]);
}

/** A close frame's payload; without a code: empty. */
export function closing(code, reason = '') {
  if (code === undefined)
    return Buffer.alloc(0);
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(code);
  return Buffer.concat([bytes, Buffer.from(reason)]);
}

/** A message in one fragment for each of `parts`. */
export function fragments(opcode, parts) {
  return parts.map((part, i) =>
    frame(i ? CONTINUATION : opcode, part, { fin: i === parts.length - 1 }));
}

/** `bytes` in pieces of `size`. */
export function chop(bytes, size = 1) {
  const pieces = [];
  for (let i = 0; i < bytes.length; i += size)
    pieces.push(bytes.subarray(i, i + size));
  return pieces;
}

/** The first frame of `bytes` that a server sent, or undefined: not yet. */
function parse(bytes) {
  if (bytes.length < 2)
    return undefined;
  const short = bytes[1] & 0x7f;
  const head = 2 + (short === 126 ? 2 : short === 127 ? 8 : 0);
  if (bytes.length < head)
    return undefined;
  const size = short < 126 ? short
    : short === 126 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2));
  if (bytes.length < head + size)
    return undefined;
  assert.equal(bytes[0] & 0x70, 0, 'a server sets no reserved bit');
  assert.equal(bytes[1] & 0x80, 0, 'a server masks nothing');
  return {
    opcode: bytes[0] & 0x0f,
    fin: (bytes[0] & 0x80) !== 0,
    payload: bytes.subarray(head, head + size),
    end: head + size,
  };
}

/** A handshake's request. `headers` replaces, or with undefined removes; an
 * array sends a header several times. */
export function handshake(target, { line = `GET ${target} HTTP/1.1`,
                                    key = randomBytes(16).toString('base64'),
                                    headers = {} } = {}) {
  const all = {
    Host: 'localhost',
    Connection: 'Upgrade',
    Upgrade: 'websocket',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': key,
    ...headers,
  };
  const lines = Object.entries(all)
    .flatMap(([name, value]) => [value].flat().map((one) => [name, one]))
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}: ${value}\r\n`);
  return `${line}\r\n${lines.join('')}\r\n`;
}

export function acceptOf(key) {
  return createHash('sha1')
    .update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
}

/** A socket, the answer to a handshake, and the frames that come behind it. */
export class RawPeer {
  frames = [];
  ended = false;
  #bytes = Buffer.alloc(0);
  #changed = () => {};

  constructor(port) {
    this.socket = net.connect({ port, host: '127.0.0.1',
                                allowHalfOpen: true });
    this.socket.setNoDelay(true);
    this.socket.on('data', (part) => this.#take(part));
    this.socket.on('error', (error) => { this.error = error; });
    this.socket.on('end', () => this.socket.end());
    this.socket.on('close', () => {
      this.ended = true;
      this.#changed();
    });
  }

  /** Connected, and through the handshake. `behind` is sent with it. */
  static async open(port, target, { behind = Buffer.alloc(0),
                                    ...changes } = {}) {
    const peer = new RawPeer(port);
    peer.socket.write(Buffer.concat([
      Buffer.from(handshake(target, changes)), behind]));
    await peer.until(() => peer.head, 'an answer to the handshake');
    assert.match(peer.head, /^HTTP\/1\.1 101 /);
    return peer;
  }

  #take(part) {
    this.#bytes = Buffer.concat([this.#bytes, part]);
    if (this.head === undefined) {
      const end = this.#bytes.indexOf('\r\n\r\n');
      if (end < 0)
        return;
      this.head = this.#bytes.toString('latin1', 0, end + 2);
      this.#bytes = this.#bytes.subarray(end + 4);
    }
    for (let one; this.head.startsWith('HTTP/1.1 101 ') &&
                  (one = parse(this.#bytes)) !== undefined;) {
      this.frames.push(one);
      this.#bytes = this.#bytes.subarray(one.end);
    }
    this.#changed();
  }

  async until(condition, what) {
    await within(10000, new Promise((resolve) => {
      this.#changed = () => {
        if (condition() || this.ended)
          resolve();
      };
      this.#changed();
    }), () => `${what}; so far ${this.told()}`);
    assert.ok(condition(), `${what}; it ended after ${this.told()}` +
              (this.error ? `, ${this.error.message}` : ''));
  }

  told() {
    return this.frames.map(({ opcode, payload }) =>
      `${opcode}:${payload.toString('latin1', 0, 60)}`).join(' ') || 'nothing';
  }

  /** The next frame; it is taken. */
  async next(what = 'a frame') {
    await this.until(() => this.frames.length > 0, what);
    return this.frames.shift();
  }

  /** Each of `pieces` in a segment of its own. */
  async send(pieces) {
    for (const piece of [pieces].flat()) {
      if (this.socket.destroyed)
        return;
      await new Promise((resolve) => this.socket.write(piece, () =>
        setImmediate(resolve)));
    }
  }

  async end() {
    await this.until(() => this.ended, 'the end of the connection');
  }

  destroy() {
    this.socket.destroy();
  }
}
