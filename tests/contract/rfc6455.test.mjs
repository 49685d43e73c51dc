// What a fuzzing suite would send: frames right and wrong, told as a table, on
// a plain echo and on /v1/ws of the same host. Each case names the bytes and
// what must come back, to the last frame; whatever a peer did, the server
// serves on.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import test, { after, before } from 'node:test';
import { deflateRawSync } from 'node:zlib';
import {
  acceptOf, BINARY, chop, CLOSE, closing, CONTINUATION, fragments, frame,
  handshake, PING, PONG, RawPeer, TEXT,
} from '../lib/frames.mjs';
import { ConformanceServer, instrumented } from '../lib/server.mjs';

const MAX_BYTES = 65536; // max_message_bytes

let server;
let token;

before(async () => {
  server = await ConformanceServer.start({
    env: { RUNG_CONNECTION_RATE: '1000000', RUNG_USER_RATE: '1000000',
           RUNG_WORKERS: '1' },
  });
  token = await server.login('alice');
});
after(() => server.finish());

/** What is spoken at an address: a message to send with `text` in it, and the
 * answer that it gets. */
const echo = {
  name: '/echo',
  target: () => '/echo',
  greeted: async () => {},
  ask(text = 'hello') {
    const payload = Buffer.from(text);
    return { payload, answer: says(payload) };
  },
  answers: (one) => [one],
};

let asked = 0;
const session = {
  name: '/v1/ws',
  target: () => `/v1/ws?access_token=${token}`,
  greeted: async (peer) =>
    assert.match((await peer.next('hello')).payload.toString(), /"hello"/),
  ask(text = 'hello') {
    const before = Buffer.from(`{"id":"${++asked} `);
    const text_ = Buffer.from(text);
    const after = Buffer.from('","method":"session.info"}');
    const payload = Buffer.concat([before, text_, after]);
    const id = Buffer.concat([before.subarray(7), text_]).toString();
    return { payload, answer: ({ opcode, payload: reply }) => {
      assert.equal(opcode, TEXT);
      assert.equal(JSON.parse(reply).id, id);
      assert.ok(JSON.parse(reply).result);
    } };
  },
  /** A frame may hold several replies, one a line. */
  answers: (one) => one.opcode !== TEXT ? [one]
    : one.payload.toString().split('\n').map((payload) => ({ ...one, payload })),
  sized(size) {
    const { payload, answer } = session.ask('');
    return { payload: Buffer.concat([payload,
                                     Buffer.alloc(size - payload.length, ' ')]),
             answer };
  },
};

/* --- what comes back ------------------------------------------------------ */

const says = (payload, opcode = TEXT) => (got) => {
  assert.equal(got.opcode, opcode);
  assert.ok(got.fin);
  assert.ok(got.payload.equals(Buffer.from(payload)),
            `${got.payload.length} bytes came back`);
};
const pong = (payload = '') => says(payload, PONG);

/** A close frame; then the connection must end. */
function closed(code) {
  const check = ({ opcode, payload }) => {
    assert.equal(opcode, CLOSE);
    assert.equal(payload.length ? payload.readUInt16BE(0) : undefined, code);
    assert.ok(payload.length <= 125);
  };
  check.isEnd = true;
  return check;
}

async function goodbye(peer) {
  await peer.send(frame(CLOSE, closing(1000)));
  closed(1000)(await peer.next('the close frame'));
}

/** Open, send, compare every frame, end. */
async function play(dialect, { send, expect }) {
  const peer = await RawPeer.open(server.port, dialect.target());
  const got = [];
  try {
    await dialect.greeted(peer);
    await peer.send(send);
    for (const [i, check] of expect.entries()) {
      if (!got.length)
        got.push(...dialect.answers(
          await peer.next(`answer ${i + 1} of ${expect.length}`)));
      check(got.shift());
    }
    assert.deepEqual(got, []);
    if (!expect.at(-1)?.isEnd)
      await goodbye(peer);
    await peer.end();
    assert.equal(peer.told(), 'nothing'); // and nothing besides
    assert.equal(peer.error, undefined);
  } finally {
    peer.destroy();
  }
}

/** Cases are {name: (dialect) => ({send, expect})}. */
function section(title, dialects, cases) {
  test(title, async (t) => {
    for (const dialect of dialects)
      for (const [name, make] of Object.entries(cases))
        await t.test(`${dialect.name}: ${name}`, () =>
          play(dialect, make(dialect)));
    await server.answers();
  });
}
const both = [echo, session];

/* --- 1 framing ------------------------------------------------------------ */

const boundaries = [0, 1, 125, 126, 127, 128, 65535, 65536];
const framing = {};
for (const size of boundaries)
  for (const [kind, opcode] of [['text', TEXT], ['binary', BINARY]]) {
    const body = Buffer.alloc(size, '*');
    const whole = { send: frame(opcode, body), expect: [says(body, opcode)] };
    framing[`${kind} of ${size} bytes`] = () => whole;
    framing[`${kind} of ${size} bytes, in pieces`] = () =>
      ({ ...whole, send: chop(whole.send, size > 1000 ? 997 : 1) });
  }
section('framing: every length', [echo], framing);

section('framing: lengths that a session takes', [session],
  Object.fromEntries([125, 126, 127, 128, 65535, 65536].map((size) =>
    [`a call of ${size} bytes`, () => {
      const { payload, answer } = session.sized(size);
      return { send: frame(TEXT, payload), expect: [answer] };
    }])));

section('framing: pieces, neighbours, limits', both, {
  'a message byte by byte': (d) => {
    const { payload, answer } = d.ask();
    return { send: chop(frame(TEXT, payload)), expect: [answer] };
  },
  'ten messages in one segment': (d) => {
    const all = Array.from({ length: 10 }, () => d.ask());
    return {
      send: Buffer.concat(all.map(({ payload }) => frame(TEXT, payload))),
      expect: all.map(({ answer }) => answer),
    };
  },
  'one byte too much closes with 1009': () => ({
    send: frame(TEXT, Buffer.alloc(MAX_BYTES + 1, ' ')),
    expect: [closed(1009)],
  }),
  'one byte too much in fragments closes with 1009': () => ({
    send: fragments(TEXT, [Buffer.alloc(MAX_BYTES, ' '), 'x']),
    expect: [closed(1009)],
  }),
  'an announced length closes with 1009 before its bytes come': () => ({
    send: [frame(TEXT, '', { length: 2n ** 62n, lengthBytes: 8 })],
    expect: [closed(1009)],
  }),
});

section('framing: a session takes no binary', [session], {
  'a binary message': () =>
    ({ send: frame(BINARY, '{}'), expect: [closed(1003)] }),
  'an empty one': () => ({ send: frame(BINARY), expect: [closed(1003)] }),
  'the first fragment of one': () =>
    ({ send: frame(BINARY, '{', { fin: false }), expect: [closed(1003)] }),
});

/* --- 2 pings and pongs ---------------------------------------------------- */

const tenPings = Array.from({ length: 10 }, (_, i) => `ping ${i}`);

section('pings and pongs', both, {
  'an empty ping': () => ({ send: frame(PING), expect: [pong()] }),
  'a ping with text': () => ({ send: frame(PING, 'hi'), expect: [pong('hi')] }),
  'a ping with bytes': () => {
    const bytes = Buffer.from([0, 255, 254, 253, 0, 251]);
    return { send: frame(PING, bytes), expect: [pong(bytes)] };
  },
  'a ping of 125 bytes': () => {
    const bytes = randomBytes(125);
    return { send: frame(PING, bytes), expect: [pong(bytes)] };
  },
  'a ping of 125 bytes, byte by byte': () => {
    const bytes = randomBytes(125);
    return { send: chop(frame(PING, bytes)), expect: [pong(bytes)] };
  },
  'a ping of 126 bytes closes with 1002': () =>
    ({ send: frame(PING, Buffer.alloc(126)), expect: [closed(1002)] }),
  'a pong of 126 bytes closes with 1002': () =>
    ({ send: frame(PONG, Buffer.alloc(126)), expect: [closed(1002)] }),
  'a pong that nobody asked for': () => ({ send: frame(PONG), expect: [] }),
  'a pong with payload, then a ping': () => ({
    send: [frame(PONG, 'unsolicited'), frame(PING, 'asked')],
    expect: [pong('asked')],
  }),
  'ten pings in one segment': () => ({
    send: Buffer.concat(tenPings.map((text) => frame(PING, text))),
    expect: tenPings.map(pong),
  }),
  'ten pings byte by byte': () => ({
    send: chop(Buffer.concat(tenPings.map((text) => frame(PING, text)))),
    expect: tenPings.map(pong),
  }),
});

/* --- 3 reserved bits, 4 opcodes ------------------------------------------- */

const refused = (title, frames) =>
  section(title, both, Object.fromEntries(Object.entries(frames).flatMap(
    ([name, bytes]) => [
      [name, () => ({ send: bytes, expect: [closed(1002)] })],
      [`${name}, byte by byte`, () =>
        ({ send: chop(bytes), expect: [closed(1002)] })],
      [`${name}, behind a message and before a ping`, (d) => {
        const { payload, answer } = d.ask();
        return {
          send: Buffer.concat([frame(TEXT, payload), bytes, frame(PING)]),
          expect: [answer, closed(1002)],
        };
      }],
    ])));

const reserved = {};
for (let rsv = 1; rsv < 8; rsv++) {
  reserved[`text with reserved bits ${rsv}`] = frame(TEXT, '{}', { rsv });
  reserved[`a ping with reserved bits ${rsv}`] = frame(PING, '', { rsv });
}
reserved['a close with a reserved bit'] =
  frame(CLOSE, closing(1000), { rsv: 4 });
refused('reserved bits', reserved);

refused('reserved opcodes', Object.fromEntries(
  [3, 4, 5, 6, 7, 11, 12, 13, 14, 15].flatMap((opcode) => [
    [`opcode ${opcode}`, frame(opcode)],
    [`opcode ${opcode} with payload`, frame(opcode, 'payload')],
  ])));

/* --- 5 fragmentation ------------------------------------------------------ */

const halves = ({ payload }) => [payload.subarray(0, 5), payload.subarray(5)];

section('fragmentation', both, {
  'two fragments': (d) => {
    const ask = d.ask();
    return { send: fragments(TEXT, halves(ask)), expect: [ask.answer] };
  },
  'two fragments in one segment': (d) => {
    const ask = d.ask();
    return { send: Buffer.concat(fragments(TEXT, halves(ask))),
             expect: [ask.answer] };
  },
  'a fragment for each byte': (d) => {
    const ask = d.ask();
    return { send: Buffer.concat(fragments(TEXT, chop(ask.payload))),
             expect: [ask.answer] };
  },
  'empty fragments around': (d) => {
    const ask = d.ask();
    return { send: fragments(TEXT, ['', ask.payload, '']),
             expect: [ask.answer] };
  },
  'a ping between': (d) => {
    const ask = d.ask();
    const [one, two] = fragments(TEXT, halves(ask));
    return { send: [one, frame(PING, 'between'), two],
             expect: [pong('between'), ask.answer] };
  },
  'a ping between, all byte by byte': (d) => {
    const ask = d.ask();
    const [one, two] = fragments(TEXT, halves(ask));
    return { send: chop(Buffer.concat([one, frame(PING, 'between'), two])),
             expect: [pong('between'), ask.answer] };
  },
  'pings and pongs between all of many, in one segment': (d) => {
    const ask = d.ask();
    const parts = fragments(TEXT, chop(ask.payload, 3));
    return {
      send: Buffer.concat(parts.flatMap((part, i) =>
        [part, frame(PONG), frame(PING, `${i}`)])),
      expect: d === echo
        ? [...parts.slice(1).map((_, i) => pong(`${i}`)), ask.answer,
           pong(`${parts.length - 1}`)]
        // a reply leaves at the end of the turn, so behind the last pong
        : [...parts.map((_, i) => pong(`${i}`)), ask.answer],
    };
  },
  'a close between': () => ({
    send: [frame(TEXT, '{', { fin: false }), frame(CLOSE, closing(1000))],
    expect: [closed(1000)],
  }),
  'a new message behind a finished one': (d) => {
    const [one, two] = [d.ask(), d.ask()];
    return { send: [...fragments(TEXT, halves(one)), frame(TEXT, two.payload)],
             expect: [one.answer, two.answer] };
  },
});

refused('fragmentation that is none', {
  'a ping in fragments': frame(PING, 'x', { fin: false }),
  'a pong in fragments': frame(PONG, 'x', { fin: false }),
  'a close in fragments': frame(CLOSE, closing(1000), { fin: false }),
  'a continuation of nothing': frame(CONTINUATION, 'x'),
  'a continuation of nothing, to be continued':
    frame(CONTINUATION, 'x', { fin: false }),
  'a continuation of nothing behind a pong': Buffer.concat([
    frame(PONG), frame(CONTINUATION)]),
  'a message inside a message': Buffer.concat([
    frame(TEXT, '{', { fin: false }), frame(TEXT, '}')]),
  'a binary message inside a message': Buffer.concat([
    frame(TEXT, '{', { fin: false }), frame(BINARY, '}')]),
  'a fragment of a message inside a message': Buffer.concat([
    frame(TEXT, '{', { fin: false }), frame(TEXT, '}', { fin: false })]),
});

/* --- 6 UTF-8 -------------------------------------------------------------- */

const texts = {
  'two bytes': 'Größe',
  'three bytes': '消息',
  'four bytes': 'a😀b𝄞',
  'the last of each length': '\u007f\u07ff\uffff\u{10ffff}',
  'the first of each length': '\u0080\u0800\u{10000}',
  'around the surrogates': '\ud7ff\ue000',
  'non-characters': '\ufffe\uffff\u{1fffe}',
  'greek': 'κόσμε',
};

section('UTF-8', both, Object.fromEntries(
  Object.entries(texts).flatMap(([name, text]) => [
    [name, (d) => {
      const { payload, answer } = d.ask(text);
      return { send: frame(TEXT, payload), expect: [answer] };
    }],
    [`${name}, byte by byte`, (d) => {
      const { payload, answer } = d.ask(text);
      return { send: chop(frame(TEXT, payload)), expect: [answer] };
    }],
    [`${name}, a fragment for each byte`, (d) => {
      const { payload, answer } = d.ask(text);
      return { send: fragments(TEXT, chop(payload)), expect: [answer] };
    }],
    [`${name}, a fragment for each byte, a ping behind each`, (d) => {
      const { payload, answer } = d.ask(text);
      const parts = fragments(TEXT, chop(payload));
      return { send: parts.flatMap((part, i) =>
                 i < parts.length - 1 ? [part, frame(PING)] : [part]),
               expect: [...parts.slice(1).map(() => pong()), answer] };
    }],
  ])));

const notUtf8 = {
  'a lone tail': [0x80],
  'tails without a head': [0xbf, 0x80, 0xbf],
  'FE': [0xfe],
  'FF': [0xff],
  'a head without its tail': [0xc3, 0x20],
  'three bytes cut to two': [0xe4, 0xbd],
  'four bytes cut to three': [0xf0, 0x9f, 0x98],
  'a slash in two bytes': [0xc0, 0xaf],
  'a slash in three bytes': [0xe0, 0x80, 0xaf],
  'a slash in four bytes': [0xf0, 0x80, 0x80, 0xaf],
  'overlong at its edge': [0xe0, 0x9f, 0xbf],
  'overlong NUL': [0xc0, 0x80],
  'the first surrogate': [0xed, 0xa0, 0x80],
  'the last surrogate': [0xed, 0xbf, 0xbf],
  'a pair of surrogates': [0xed, 0xa0, 0x80, 0xed, 0xb0, 0x80],
  'beyond the last character': [0xf4, 0x90, 0x80, 0x80],
  'five bytes': [0xf8, 0x88, 0x80, 0x80, 0x80],
  'six bytes': [0xfc, 0x84, 0x80, 0x80, 0x80, 0x80],
};

section('no UTF-8', both, Object.fromEntries(
  Object.entries(notUtf8).flatMap(([name, list]) => {
    const body = Buffer.concat([Buffer.from('{"id":"κ'), Buffer.from(list),
                                Buffer.from('"}')]);
    const ending = Buffer.concat([Buffer.from('{"'), Buffer.from(list)]);
    return [
      [name, () => ({ send: frame(TEXT, body), expect: [closed(1007)] })],
      [`${name}, byte by byte`, () =>
        ({ send: chop(frame(TEXT, body)), expect: [closed(1007)] })],
      [`${name}, a fragment for each byte`, () => ({
        send: Buffer.concat(fragments(TEXT, chop(body))),
        expect: [closed(1007)],
      })],
      [`${name}, last`, () =>
        ({ send: frame(TEXT, ending), expect: [closed(1007)] })],
      [`${name}, last before an empty fragment`, () =>
        ({ send: fragments(TEXT, [ending, '']), expect: [closed(1007)] })],
    ];
  })));

section('bytes that are no UTF-8 are fine in binary', [echo],
  Object.fromEntries(Object.entries(notUtf8).map(([name, list]) =>
    [name, () => {
      const body = Buffer.from(list);
      return { send: frame(BINARY, body), expect: [says(body, BINARY)] };
    }])));

/* --- 7 closing ------------------------------------------------------------ */

const close = (...args) => frame(CLOSE, closing(...args));

section('closing', both, {
  'without a code': () => ({ send: close(), expect: [closed(undefined)] }),
  'with a reason': () =>
    ({ send: close(1000, 'so long'), expect: [closed(1000)] }),
  'with the longest reason': () =>
    ({ send: close(1000, 'x'.repeat(123)), expect: [closed(1000)] }),
  'with a longer one closes with 1002': () =>
    ({ send: close(1000, 'x'.repeat(124)), expect: [closed(1002)] }),
  'byte by byte': () =>
    ({ send: chop(close(3000, 'κόσμε')), expect: [closed(3000)] }),
  'with one byte closes with 1002': () =>
    ({ send: frame(CLOSE, '\x03'), expect: [closed(1002)] }),
  'with a reason that is no UTF-8 closes with 1007': () => ({
    send: close(1000, Buffer.from([0xce, 0xba, 0xed, 0xa0, 0x80])),
    expect: [closed(1007)],
  }),
  'behind a message': (d) => {
    const { payload, answer } = d.ask();
    return { send: Buffer.concat([frame(TEXT, payload), close(1000)]),
             expect: [answer, closed(1000)] };
  },
  'twice': () => ({ send: Buffer.concat([close(1000), close(1001)]),
                    expect: [closed(1000)] }),
  'then a ping': () => ({ send: Buffer.concat([close(1000), frame(PING)]),
                          expect: [closed(1000)] }),
  'then a message': (d) => ({
    send: Buffer.concat([close(1000), frame(TEXT, d.ask().payload)]),
    expect: [closed(1000)],
  }),
  'then a broken frame': () => ({
    send: Buffer.concat([close(1000), frame(15, 'x', { masked: false })]),
    expect: [closed(1000)],
  }),
  'then very much': () => ({
    send: Buffer.concat([close(1000), Buffer.alloc(1 << 18)]),
    expect: [closed(1000)],
  }),
});

section('closing: codes that one may send', both, Object.fromEntries(
  [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014,
   3000, 3999, 4000, 4999].map((code) =>
    [`${code}`, () => ({ send: close(code), expect: [closed(code)] })])));

section('closing: codes that nobody may send', both, Object.fromEntries(
  [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535]
    .flatMap((code) => [
      [`${code}`, () => ({ send: close(code), expect: [closed(1002)] })],
      [`${code} with a reason`, () =>
        ({ send: close(code, 'why'), expect: [closed(1002)] })],
    ])));

for (const [how, end] of Object.entries({
  '': () => {},
  ', though nothing more can come': (peer) => peer.socket.end(),
}))
  test(`closing: what was asked for is answered before the close is${how}`,
       async () => {
    const carol = await server.login('carol'); // alice shall not hear of it
    const peer = await RawPeer.open(server.port,
                                    `/v1/ws?access_token=${carol}`);
    const ids = [];
    try {
      await session.greeted(peer);
      const calls = [1, 2, 3].map((id) => frame(TEXT, JSON.stringify({
        id, method: 'message.send',
        params: { to: 'bob', body: { text: 'last words' } },
      })));
      await peer.send(Buffer.concat([...calls, close(1000)]));
      end(peer);
      for (;;) {
        const one = await peer.next('replies, then a close');
        if (one.opcode === CLOSE)
          break;
        ids.push(...session.answers(one)
          .map(({ payload }) => JSON.parse(payload))
          .filter(({ id }) => id !== undefined) // the others are events
          .map(({ id, result }) => result.seq && id));
      }
      assert.deepEqual(ids, [1, 2, 3]);
      await peer.end();
      assert.equal(peer.told(), 'nothing');
    } finally {
      peer.destroy();
    }
  });

/* --- 8 masks, 9 lengths --------------------------------------------------- */

section('masks', both, {
  'a mask of zeros': (d) => {
    const { payload, answer } = d.ask();
    return { send: frame(TEXT, payload, { mask: Buffer.alloc(4) }),
             expect: [answer] };
  },
  'another mask for each fragment': (d) => {
    const ask = d.ask();
    const [one, two] = halves(ask);
    return {
      send: [frame(TEXT, one, { fin: false, mask: Buffer.alloc(4, 0xff) }),
             frame(CONTINUATION, two, { mask: Buffer.from('mask') })],
      expect: [ask.answer],
    };
  },
});

refused('no mask', {
  'a message without a mask': frame(TEXT, '{}', { masked: false }),
  'a ping without a mask': frame(PING, 'x', { masked: false }),
  'a close without a mask': frame(CLOSE, closing(1000), { masked: false }),
  'an empty message without a mask': frame(TEXT, '', { masked: false }),
});

refused('lengths', {
  'none in two bytes': frame(TEXT, '', { lengthBytes: 2 }),
  '125 in two bytes':
    frame(TEXT, Buffer.alloc(125, ' '), { lengthBytes: 2 }),
  '5 in eight bytes': frame(TEXT, '     ', { lengthBytes: 8 }),
  '65535 in eight bytes': frame(TEXT, '', { length: 65535, lengthBytes: 8 }),
  'the top bit': frame(TEXT, '', { length: 2n ** 63n, lengthBytes: 8 }),
  'all bits': frame(TEXT, '', { length: 2n ** 64n - 1n, lengthBytes: 8 }),
  'the top bit and a small rest':
    frame(BINARY, 'x', { length: 2n ** 63n + 1n, lengthBytes: 8 }),
  'a ping whose length is in two bytes': frame(PING, 'x', { lengthBytes: 2 }),
});

/* --- 10 handshakes -------------------------------------------------------- */

const KEY = 'dGhlIHNhbXBsZSBub25jZQ=='; // RFC 6455 section 1.3

const refusals = {
  'a POST': [405, (target) => ({ line: `POST ${target} HTTP/1.1` })],
  'HTTP/1.0': [426, (target) => ({ line: `GET ${target} HTTP/1.0` })],
  'elsewhere': [404, () => ({ line: 'GET /elsewhere HTTP/1.1' })],
  'below': [404, (target) => ({
    line: `GET ${target.split('?')[0]}/below HTTP/1.1` })],
  'version 12': [426, () => ({ headers: { 'Sec-WebSocket-Version': '12' } })],
  'version 14': [426, () => ({ headers: { 'Sec-WebSocket-Version': '14' } })],
  'no version': [426, () =>
    ({ headers: { 'Sec-WebSocket-Version': undefined } })],
  'no key': [400, () => ({ headers: { 'Sec-WebSocket-Key': undefined } })],
  'two keys': [400, () => ({ headers: { 'Sec-WebSocket-Key': [KEY, KEY] } })],
  'an empty key': [400, () => ({ key: '' })],
  'a key of 15 bytes': [400, () =>
    ({ key: randomBytes(15).toString('base64') })],
  'a key of 17 bytes': [400, () =>
    ({ key: randomBytes(17).toString('base64') })],
  'a key that is no base64': [400, () => ({ key: `${'!'.repeat(22)}==` })],
  'no Host': [400, () => ({ headers: { Host: undefined } })],
  'another subprotocol': [400, () =>
    ({ headers: { 'Sec-WebSocket-Protocol': 'chat' } })],
  'a body': [400, () => ({ headers: { 'Content-Length': '5' } })],
};

const acceptances = {
  'as in the RFC': { key: KEY },
  'tokens in lists and in any case': { key: KEY, headers: {
    Connection: 'keep-alive, UPGRADE', Upgrade: 'WebSocket' } },
  'extensions and headers that nobody knows': { key: KEY, headers: {
    'Sec-WebSocket-Extensions': 'x-unknown; a=b, permessage-deflate',
    'X-Unknown': 'x'.repeat(5000) } },
};

for (const dialect of both)
  test(`handshakes at ${dialect.name}`, async (t) => {
    const answered = async (request) => {
      const peer = new RawPeer(server.port);
      try {
        peer.socket.write(request);
        await peer.until(() => peer.head, 'an answer');
        return peer.head;
      } finally {
        peer.destroy();
      }
    };

    for (const [name, [status, changes]] of Object.entries(refusals))
      await t.test(`${name} is refused`, async () =>
        assert.match(await answered(handshake(dialect.target(),
                                              changes(dialect.target()))),
                     new RegExp(`^HTTP/1\\.1 ${status} `)));
    for (const [name, headers] of Object.entries({
      'no Upgrade': { Upgrade: undefined },
      'no Connection': { Connection: undefined },
      'Connection without its token': { Connection: 'keep-alive' },
      'Upgrade to something else': { Upgrade: 'h2c' },
    }))
      await t.test(`${name} is no handshake`, async () =>
        // at /v1/ws nothing else is to be had; of /echo HTTP knows nothing
        assert.match(await answered(handshake(dialect.target(), { headers })),
                     dialect === session ? /^HTTP\/1\.1 426 /
                                         : /^HTTP\/1\.1 404 /));
    for (const [name, changes] of Object.entries(acceptances))
      await t.test(`${name} is accepted`, async () => {
        const head = await answered(handshake(dialect.target(), changes));
        assert.match(head, /^HTTP\/1\.1 101 /);
        assert.ok(head.includes(acceptOf(KEY)), head);
        assert.match(head, /^upgrade: websocket\r$/mi);
        assert.match(head, /^connection: upgrade\r$/mi);
        assert.doesNotMatch(head, /sec-websocket-extensions/i);
      });
    await t.test('frames in its own segment are heard', async () => {
      const { payload, answer } = dialect.ask();
      const peer = await RawPeer.open(server.port, dialect.target(), {
        behind: Buffer.concat([frame(PING, 'early'), frame(TEXT, payload)]),
      });
      const seen = [];
      while (seen.length < (dialect === session ? 3 : 2))
        seen.push(await peer.next());
      pong('early')(seen.find(({ opcode }) => opcode === PONG));
      answer(seen.at(-1));
      await goodbye(peer);
      await peer.end();
    });
  });

/* --- 11 compression ------------------------------------------------------- */

section('compression: none is agreed to, so none is undone', both, {
  'a compressed message': () => ({
    send: frame(TEXT, deflateRawSync('{}'), { rsv: 4 }),
    expect: [closed(1002)],
  }),
  'an empty compressed message': () =>
    ({ send: frame(TEXT, '', { rsv: 4 }), expect: [closed(1002)] }),
  'a bomb': () => ({
    send: frame(TEXT, deflateRawSync(Buffer.alloc(1 << 24)), { rsv: 4 }),
    expect: [closed(1002)],
  }),
  'a bomb in fragments': () => {
    const bomb = deflateRawSync(Buffer.alloc(1 << 24));
    return {
      send: Buffer.concat([frame(TEXT, bomb.subarray(0, 100),
                                 { rsv: 4, fin: false }),
                           frame(CONTINUATION, bomb.subarray(100))]),
      expect: [closed(1002)],
    };
  },
});

/* --- 12 those who do not read --------------------------------------------- */

for (const dialect of both)
  test(`pings to ${dialect.name} without reading: nothing is kept but the ` +
       'newest', async () => {
    const peer = await RawPeer.open(server.port, dialect.target());
    const many = 120000; // more than the sockets hold
    try {
      await dialect.greeted(peer);
      const before = await server.memoryKb();
      peer.socket.pause();
      for (let i = 0; i < many; i += 1000)
        await peer.send(Buffer.concat(Array.from({ length: 1000 }, (_, k) =>
          frame(PING, `${i + k}`.padStart(125)))));
      const after = await server.memoryKb();
      if (!instrumented)
        assert.ok(after - before < 4096, `${after - before} KiB more`);
      peer.socket.resume();
      let last;
      do {
        last = await peer.next('pongs');
        assert.equal(last.opcode, PONG);
      } while (Number(last.payload) < many - 1);
      await goodbye(peer);
      await peer.end();
    } finally {
      peer.destroy();
    }
  });
