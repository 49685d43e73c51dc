// One connection kept alive that asks for one thing after another: what the
// direct host reads itself, and what it must pass on, in any order and in any
// pieces.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import net from 'node:net';
import { attached, p2p, scenario } from '../lib/story.mjs';
import { eventually, pause, within } from '../lib/wait.mjs';

/** A connection, byte for byte. */
class Wire {
  #bytes = Buffer.alloc(0);
  #stir = () => {};
  closed = false;

  constructor(scene, options = {}) {
    this.socket = net.connect({ port: scene.server.port, host: '127.0.0.1',
                                noDelay: true, ...options });
    this.socket.on('data', (part) => {
      this.#bytes = Buffer.concat([this.#bytes, part]);
      this.#stir();
    });
    this.socket.on('error', () => {});
    this.end = new Promise((resolve) => this.socket.on('close', () => {
      this.closed = true;
      this.#stir();
      resolve();
    }));
    scene.onClose(() => this.socket.destroy());
  }

  write(...parts) {
    this.socket.write(parts.join(''));
  }

  get text() {
    return this.#bytes.toString('latin1');
  }

  async #until(found, what) {
    await within(10000, (async () => {
      while (!found()) {
        if (this.closed)
          throw new Error(`closed before ${what}; so far: ${this.text}`);
        await new Promise((resolve) => { this.#stir = resolve; });
      }
    })(), () => `${what}; so far: ${this.text.slice(0, 500)}`);
  }

  /** Until that has come. */
  async sees(text) {
    await this.#until(() => this.text.includes(text), text);
  }

  /** The next whole answer, with a body of stated length. */
  async next() {
    await this.#until(() => this.#bytes.includes('\r\n\r\n'), 'a head');
    const at = this.#bytes.indexOf('\r\n\r\n');
    const [first, ...lines] =
      this.#bytes.subarray(0, at).toString('latin1').split('\r\n');
    const headers = Object.fromEntries(lines.map((line) => {
      const [name, ...value] = line.split(': ');
      return [name.toLowerCase(), value.join(': ')];
    }));
    const end = at + 4 + Number(headers['content-length']);
    await this.#until(() => this.#bytes.length >= end, 'a body');
    const text = this.#bytes.subarray(at + 4, end).toString('utf8');
    this.#bytes = this.#bytes.subarray(end);
    let json;
    try {
      json = JSON.parse(text);
    } catch {
      json = undefined;
    }
    return { status: Number(first.split(' ')[1]), headers, text, json };
  }

  async ends(what = 'the server closes') {
    await within(10000, this.end, what);
  }
}

const get = (who, target, more = '') =>
  `GET ${target} HTTP/1.1\r\nHost: x\r\n` +
  `Authorization: Bearer ${who.token}\r\n${more}\r\n`;

const post = (who, method, params, more = '') => {
  const body = typeof params === 'string' ? params : JSON.stringify(params);
  return `POST /v1/${method} HTTP/1.1\r\nHost: x\r\n` +
    `Authorization: Bearer ${who.token}\r\n` +
    `Content-Length: ${Buffer.byteLength(body)}\r\n${more}\r\n${body}`;
};

const saying = (text, to) => ({ to: String(to), body: { text } });

/** A connection that has had an answer already. */
async function warm(scene, who, options) {
  const wire = new Wire(scene, options);
  wire.write(get(who, '/v1/poll'));
  const { status, json } = await wire.next();
  assert.equal(status, 200);
  return Object.assign(wire, { cursor: json.cursor });
}

scenario('requests of mixed kinds in one segment are answered in order',
         async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const kinds = {
    poll: [get(alice, '/v1/poll'), ({ json }) => json.cursor],
    send: [post(alice, 'message.send', saying('hi', bob)),
           ({ json }) => json.seq],
    none: [post(alice, 'no.method', {}),
           ({ status, text }) => status === 404 && text.includes('no.method')],
    wrong: [get(alice, '/v1/poll?limit=x'), ({ status }) => status === 400],
    page: [get(alice, '/'), ({ text }) => text.includes('<html')],
    health: [get(alice, '/healthz'), ({ json }) => json.status],
    chunks: [`POST /v1/session.info HTTP/1.1\r\nHost: x\r\n` +
             `Authorization: Bearer ${alice.token}\r\n` +
             'Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n',
             ({ json }) => json.user === alice.name],
  };

  for (const order of ['poll poll poll', 'poll page poll', 'send send poll',
                       'none wrong poll', 'poll chunks',
                       'send health poll page none wrong send chunks']) {
    const wire = new Wire(scene);
    const names = order.split(' ');
    wire.write(...names.map((name) => kinds[name][0]));
    for (const name of names) {
      const answer = await wire.next();
      assert.ok(kinds[name][1](answer),
                `${name} of "${order}": ${JSON.stringify(answer)}`);
      if (name === 'chunks') {
        assert.equal(answer.headers.connection, 'close');
        await wire.ends('a request in chunks is the last');
      }
    }
  }
});

scenario('more requests than one look takes are all answered in order',
         async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const wire = await warm(scene, alice);
  const count = 300;

  wire.write(...Array.from({ length: count }, (_, i) =>
    post(alice, 'message.send', saying(`text ${i}`, bob))));
  for (let i = 1; i <= count; i++)
    assert.equal((await wire.next()).json.seq, i);
});

scenario('what follows a parked poll waits for its answer', async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const wire = await warm(scene, bob);

  wire.write(get(bob, `/v1/longpoll?cursor=${wire.cursor}&wait=30`),
             get(bob, '/healthz'));
  await attached(scene.server, 'longpoll');
  wire.write(get(bob, '/v1/poll'));
  await alice.send(bob, 'wake up');
  assert.equal((await wire.next()).json.events[0].body.text, 'wake up');
  assert.equal((await wire.next()).json.status, 'ok');
  assert.ok((await wire.next()).json.hello);
});

scenario('a head may come byte by byte', async (scene) => {
  const alice = await scene.person('alice');
  const wire = await warm(scene, alice);
  const odd = get(alice, '/v1/poll?cursor=0', 'A:\r\nB: \r\nC:  c  \r\n' +
                  `D: ${'d'.repeat(700)}\r\n`);

  for (let i = 0; i < 3; i++) {
    for (const byte of odd) {
      wire.write(byte);
      if (Math.random() < 0.1)
        await pause(0);
    }
    assert.deepEqual((await wire.next()).json.events, []);
  }
});

scenario('a body may come in pieces of any size', async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const wire = await warm(scene, alice);
  let seq = 0;

  for (const [size, ...cuts] of [[10, 1], [10, 20, 21], [3000, 100, 200, 2900],
                                 [40000, 1, 17000, 39999], [40000]]) {
    const text = 'ä'.repeat(size / 2);
    const whole = Buffer.from(
      post(alice, 'message.send', saying(text, bob)) + get(alice, '/v1/poll'));
    const start = whole.indexOf('\r\n\r\n') + 4;
    let at = 0;
    for (const cut of [...cuts.map((n) => start + n), whole.length]) {
      wire.socket.write(whole.subarray(at, cut));
      at = cut;
      await pause(5);
    }
    assert.equal((await wire.next()).json.seq, ++seq);
    assert.equal((await wire.next()).status, 200);
    const { messages } = await bob.history(p2p(alice, bob));
    assert.equal(messages.at(-1).body.text, text);
  }
});

scenario('a connection may then ask for an event stream', async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');

  for (const target of ['/v1/sse', '/v1/sse HTTP/1.0\r\nX:']) {
    const wire = await warm(scene, bob);
    wire.write(get(bob, target));
    await wire.sees('event: hello');
    await alice.send(bob, `over ${target.length}`);
    await wire.sees(`over ${target.length}`);
    assert.match(wire.text, /^HTTP\/1\.1 200 OK\r\n/);
  }
});

scenario('a connection may then turn into a WebSocket', async (scene) => {
  const bob = await scene.person('bob');
  const wire = await warm(scene, bob);
  const hello = (protocol) =>
    get(bob, '/v1/ws', 'Connection: Upgrade\r\nUpgrade: websocket\r\n' +
        `Sec-WebSocket-Version: ${protocol}\r\n` +
        `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n`);

  wire.write(hello(13));
  await wire.sees('"event":"hello"');
  assert.match(wire.text, /^HTTP\/1\.1 101 /);
  const other = await warm(scene, bob);
  other.write(hello(12));
  const { status, headers } = await other.next();
  assert.equal(status, 426);
  assert.equal(headers['sec-websocket-version'], '13');
  await other.ends();
});

scenario('what two readers would read differently ends the connection',
         async (scene) => {
  const alice = await scene.person('alice');
  const start = 'POST /v1/session.info HTTP/1.1\r\nHost: x\r\n';
  const heads = {
    'length and chunks': `${start}Content-Length: 2\r\n` +
      'Transfer-Encoding: chunked\r\n\r\n{}',
    'two lengths': `${start}Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}`,
    'a signed length': `${start}Content-Length: +2\r\n\r\n{}`,
    'LF alone': 'GET /v1/poll HTTP/1.1\nHost: x\n\n',
    'LF alone at the end': 'GET /v1/poll HTTP/1.1\r\nHost: x\r\n\n',
    'CR alone': 'GET /v1/poll HTTP/1.1\r\nHost: x\rA: b\r\n\r\n',
    'a folded line': 'GET /v1/poll HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n',
    'NUL in a value': 'GET /v1/poll HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n',
    'NUL in the target': 'GET /v1/poll\0c HTTP/1.1\r\nHost: x\r\n\r\n',
    'no Host': 'GET /v1/poll HTTP/1.1\r\n\r\n',
  };

  for (const [what, head] of Object.entries(heads)) {
    const wire = await warm(scene, alice);
    wire.write(head, get(alice, '/v1/poll'));
    const { status, headers, json } = await wire.next();
    assert.equal(status, 400, what);
    assert.equal(json.error.code, 'bad_request', what);
    assert.equal(headers.connection, 'close', what);
    await wire.ends(what);
    assert.equal(wire.text, '', what);
  }
});

scenario('what is too large ends the connection', {
  env: { RUNG_MAX_MESSAGE_BYTES: '2000' },
}, async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const cases = [
    [413, post(alice, 'message.send', saying('x'.repeat(3000), bob))],
    [431, get(alice, `/v1/poll?x=${'x'.repeat(9000)}`)],
    [431, get(alice, `/v1/poll?${'x&'.repeat(201)}`)],
  ];

  for (const [wanted, bytes] of cases) {
    const wire = await warm(scene, alice);
    wire.write(bytes);
    assert.equal((await wire.next()).status, wanted);
    await wire.ends(String(wanted));
  }
});

scenario('who dawdles over a later head or body, or asks no more, is cut off', {
  env: { RUNG_HEADER_TIMEOUT_MS: '1500', RUNG_BODY_TIMEOUT_MS: '1500',
         RUNG_IDLE_TIMEOUT_MS: '1500' },
}, async (scene) => {
  const alice = await scene.person('alice');
  const body = post(alice, 'message.send', ' '.repeat(1000));

  for (const [some, more] of [['GET /v1/po', 'x'], [body.slice(0, -990), ' '],
                              ['', '']]) {
    const wire = await warm(scene, alice);
    wire.write(some);
    const drip = setInterval(() => wire.write(more), 100); // does not help
    await wire.ends(JSON.stringify(some)).finally(() => clearInterval(drip));
    assert.equal(wire.text, '');
  }
});

scenario('a peer that leaves while parked frees its place', {
  env: { RUNG_MAX_PARKED_PER_USER: '1', RUNG_WORKERS: '1' },
}, async (scene) => {
  const bob = await scene.person('bob');
  const cursor = await bob.now();
  const park = get(bob, `/v1/longpoll?cursor=${cursor}&wait=30`);
  const gone = async (what) => eventually(async () =>
    await scene.server.metric('rung_carriers', 'longpoll') === 0, what);

  for (const leave of ['destroy', 'end', 'resetAndDestroy']) {
    const wire = await warm(scene, bob, { allowHalfOpen: true });
    wire.write(park);
    await attached(scene.server, 'longpoll');
    wire.socket[leave]();
    await gone(leave);
  }
  const hasty = await warm(scene, bob, { allowHalfOpen: true });
  hasty.socket.end(park); // its end comes with the request
  await hasty.ends();
  await gone('a hasty one');
  const last = await warm(scene, bob);
  last.write(park);
  await attached(scene.server, 'longpoll');
});

scenario('a peer that leaves during its method call does not disturb it',
         async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');

  for (let i = 0; i < 30; i++) {
    const wire = await warm(scene, alice);
    wire.write(post(alice, 'message.send', saying(String(i), bob)));
    wire.socket[i % 2 ? 'end' : 'destroySoon']();
  }
  await eventually(async () =>
    (await bob.history(p2p(alice, bob)).catch(() => ({ last_seq: 0 })))
      .last_seq === 30, 'all are kept');
});

scenario('answers that the peer takes slowly come whole and in order',
         async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  for (let i = 0; i < 8; i++)
    await alice.send(bob, `${i} ${'x'.repeat(30000)}`);
  const wire = await warm(scene, bob);
  const asked = 60; // some 14 MB: more than sockets hold

  wire.socket.pause();
  wire.write(...Array.from({ length: asked }, (_, i) =>
    get(bob, `/v1/poll?cursor=0&limit=${i % 8 + 1}`)));
  await alice.send(bob, 'others go on');
  wire.socket.resume();
  for (let i = 0; i < asked; i++) {
    const { json } = await wire.next();
    const texts = json.events.filter(({ event }) => event === 'message')
      .map(({ body }) => parseInt(body.text));
    assert.deepEqual(texts, texts.map((_, n) => n), `answer ${i}`);
  }
});

scenario('a connection that asks too often is told so, and may go on', {
  env: { RUNG_CONNECTION_RATE: '2' }, // however slowly they are answered
}, async (scene) => {
  const alice = await scene.person('alice');
  const wire = await warm(scene, alice);

  wire.write(get(alice, '/v1/poll').repeat(40));
  const seen = [];
  for (let i = 0; i < 40; i++)
    seen.push(await wire.next());
  const refused = seen.filter(({ status }) => status === 429);
  assert.ok(refused.length >= 15, String(refused.length));
  assert.equal(refused[0].json.error.code, 'rate_limited');
  assert.ok(Number(refused[0].headers['retry-after']) >= 1);
  await pause(refused.at(-1).json.error.retry_after_ms + 5);
  wire.write(get(alice, '/v1/poll'));
  assert.equal((await wire.next()).status, 200);
});

scenario('the server\'s end: idle connections close, parked ones are answered',
         async (scene) => {
  const bob = await scene.person('bob');
  const idle = await warm(scene, bob);
  const parked = await warm(scene, bob);
  const half = await warm(scene, bob);

  half.write('GET /v1/po');
  parked.write(get(bob, `/v1/longpoll?cursor=${parked.cursor}&wait=30`),
               get(bob, '/v1/poll'));
  await attached(scene.server, 'longpoll');
  const stopped = scene.server.stop();
  const { json, headers } = await parked.next();
  assert.equal(json.events.at(-1).event, 'bye');
  assert.equal(headers.connection, 'close');
  await Promise.all([parked.ends(), idle.ends(), half.ends()]);
  assert.equal(parked.text, '');
  await stopped;
});

scenario('an answer names a page of another host only in its own', {
  env: { RUNG_ALLOWED_ORIGINS: 'https://friend.example' },
}, async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const wire = await warm(scene, bob);
  const park = (origin) => get(
    bob, `/v1/longpoll?cursor=${wire.cursor}&wait=30`,
    origin ? `Origin: ${origin}\r\n` : '');

  const other = await warm(scene, bob);
  wire.write(park('https://friend.example'));
  other.write(park());
  await attached(scene.server, 'longpoll', 2);
  await alice.send(bob, 'to both');
  const named = await wire.next();
  const plain = await other.next();
  assert.equal(named.headers['access-control-allow-origin'],
               'https://friend.example');
  assert.equal(plain.headers['access-control-allow-origin'], undefined);
  assert.equal(named.text, plain.text);
  wire.write(park());
  const { headers } = await wire.next();
  assert.equal(headers['access-control-allow-origin'], undefined);
});
