// Engine.IO 4 over HTTP: the handshake, what is refused and how, and polling.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import net from 'node:net';
import test, { after, before, describe } from 'node:test';
import { within } from '../lib/wait.mjs';
import { ask, assertRefused, Channel, Polling, RS } from './engine.mjs';
import {
  givenServer, MAX_PAYLOAD, oursOnly, PING_INTERVAL, PING_TIMEOUT,
} from './given.mjs';

let server;

before(async () => {
  server = await givenServer({ 'max-payload': MAX_PAYLOAD });
});
after(() => server.finish());

describe('the handshake', () => {
  let quick;
  before(async () => {
    quick = await givenServer({
      'ping-interval': PING_INTERVAL, 'ping-timeout': PING_TIMEOUT,
      'max-payload': MAX_PAYLOAD });
  });
  after(() => quick.finish());

  for (const path of ['/engine.io/', '/socket.io/'])
    test(`${path} says all that the client needs`, async () => {
      const answer = await ask(quick, { path });
      assert.equal(answer.status, 200);
      assert.match(answer.headers['content-type'],
                   /^text\/plain; charset=utf-8$/i);
      const { handshake } = await Polling.open(quick, { path });
      assert.deepEqual(Object.keys(handshake).sort(), [
        'maxPayload', 'pingInterval', 'pingTimeout', 'sid', 'upgrades']);
      assert.match(handshake.sid, /^[\w-]{20,}$/);
      assert.deepEqual(handshake.upgrades, ['websocket']);
      assert.equal(handshake.pingInterval, PING_INTERVAL);
      assert.equal(handshake.pingTimeout, PING_TIMEOUT);
      assert.equal(handshake.maxPayload, MAX_PAYLOAD);
    });

  test('a WebSocket has no upgrades left', async () => {
    const channel = await Channel.open(quick);
    assert.deepEqual(channel.handshake.upgrades, []);
    assert.equal(channel.handshake.pingInterval, PING_INTERVAL);
    channel.close();
  });

  test('each session has an id of its own', async () => {
    const one = await Polling.open(server);
    const other = await Polling.open(server);
    assert.notEqual(one.sid, other.sid);
  });

  test('an empty sid is none', async () => {
    const answer = await ask(server, { sid: '' });
    assert.equal(answer.status, 200);
    assert.equal(answer.text[0], '0');
  });
});

describe('what is refused', () => {
  const cases = [
    ['no transport', { transport: undefined }, 0],
    ['an empty transport', { transport: '' }, 0],
    ['a transport that is none', { transport: 'abc' }, 0],
    ['a transport that is a property', { transport: 'constructor' }, 0],
    ['an unknown sid', { sid: 'abc' }, 1],
    ['an unknown sid in a POST', { sid: 'abc', method: 'POST' }, 1],
    ['a sid that is a property', { sid: '__proto__' }, 1],
    ['POST for a handshake', { method: 'POST' }, 2],
    ['PUT for a handshake', { method: 'PUT' }, 2],
    ['DELETE for a handshake', { method: 'DELETE' }, 2],
    ['websocket without an upgrade', { transport: 'websocket' }, 3],
    ['no EIO', { EIO: undefined }, 5],
    ['an empty EIO', { EIO: '' }, 5],
    ['an EIO that is none', { EIO: 'abc' }, 5],
    ['EIO 3, which is off', { EIO: 3 }, 5],
    ['EIO 5', { EIO: 5 }, 5],
    /* the transport is looked at before all, the method before the version */
    ['no EIO and no transport', { EIO: undefined, transport: undefined }, 0],
    ['no EIO and an unknown sid', { EIO: undefined, sid: 'abc' }, 1],
    ['no EIO and a POST', { EIO: undefined, method: 'POST' }, 2],
  ];

  for (const path of ['/engine.io/', '/socket.io/'])
    for (const [name, query, code] of cases)
      test(`${path}: ${name} is ${code}`, async () => {
        assertRefused(await ask(server, { path, ...query }), code);
      });

  test('another protocol than the session has', async () => {
    const session = await Polling.open(server);
    assertRefused(await session.poll({ EIO: undefined }), 3);
    assertRefused(await session.poll({ EIO: 3 }), 3);
    await session.alive();
  });

  test('polling for a session that is a WebSocket', async () => {
    const channel = await Channel.open(server);
    assertRefused(await ask(server, { sid: channel.sid }), 3);
    assertRefused(await ask(server, { sid: channel.sid, method: 'POST' }), 3);
    await channel.alive();
    channel.close();
  });

  for (const [name, query] of [
    ['without a transport', { transport: undefined }],
    ['with a transport that is none', { transport: 'abc' }],
    ['without EIO', { EIO: undefined }],
    ['with an EIO that is none', { EIO: 'abc' }],
    ['for an unknown session', { sid: 'abc' }],
  ])
    test(`a WebSocket ${name}`, async () => {
      const channel = new Channel(server, query);
      await channel.isRefused();
      channel.close();
    });

  test('a WebSocket whose transport is polling', async () => {
    const channel = new Channel(server, { transport: 'polling' });
    await channel.isRefused();
    channel.close();
  });
});

describe('another origin', () => {
  const headers = { origin: 'http://elsewhere.example' };

  test('may read every answer', async () => {
    const good = await ask(server, { headers });
    assert.equal(good.headers['access-control-allow-origin'], '*');
    const bad = await ask(server, { headers, sid: 'abc' });
    assert.equal(bad.headers['access-control-allow-origin'], '*');
    assertRefused(bad, 1);
  });

  test('is told that it may send', async () => {
    const answer = await ask(server, {
      method: 'OPTIONS',
      headers: { ...headers, 'access-control-request-method': 'POST',
                 'access-control-request-headers': 'content-type' } });
    assert.ok([200, 204].includes(answer.status));
    assert.equal(answer.headers['access-control-allow-origin'], '*');
    assert.match(answer.headers['access-control-allow-methods'], /POST/);
    assert.match(answer.headers['access-control-allow-headers'],
                 /content-type|\*/i);
  });
});

describe('polling', () => {
  test('text comes back', async () => {
    const session = await Polling.open(server);
    await session.send('4hello');
    assert.deepEqual(await session.receive(), ['4hello']);
  });

  test('an answer may not be kept, nor taken for a page', async () => {
    const session = await Polling.open(server);
    const sent = await session.post('4hello');
    assert.equal(sent.text, 'ok');
    assert.match(sent.headers['content-type'], /^text\/(html|plain)/);
    const answer = await session.poll();
    assert.match(answer.headers['content-type'],
                 /^text\/plain; charset=utf-8$/i);
    assert.match(answer.headers['cache-control'], /no-store/);
  });

  test('a poll waits for what comes', async () => {
    const session = await Polling.open(server);
    const answer = session.receive();
    await session.send('4later');
    assert.deepEqual(await answer, ['4later']);
  });

  test('several packets in one POST come back in order', async () => {
    const session = await Polling.open(server);
    await session.send('4one', '4two', '4three');
    for (const packet of ['4one', '4two', '4three'])
      assert.equal(await session.next(), packet);
  });

  test('bytes come back in base64', async () => {
    const session = await Polling.open(server);
    await session.send('bAQIDBA==', '4between', 'b');
    assert.equal(await session.next(), 'bAQIDBA==');
    assert.equal(await session.next(), '4between');
    assert.equal(await session.next(), 'b');
    const bytes = randomBytes(1000);
    await session.send(`b${bytes.toString('base64')}`);
    assert.equal(await session.next(), `b${bytes.toString('base64')}`);
  });

  test('every character survives', async () => {
    const session = await Polling.open(server);
    const text = '4€ 😀 \u2028\u2029 \t\r\n\u0000\u001f"\\\u007f\u0085\ufeff';
    await session.send(text);
    assert.equal(await session.next(), text);
  });

  test('an empty message is one', async () => {
    const session = await Polling.open(server);
    await session.send('4', '4after');
    assert.equal(await session.next(), '4');
    assert.equal(await session.next(), '4after');
  });

  test('an answer carries at most 16 packets', oursOnly, async () => {
    const session = await Polling.open(server);
    const packets = Array.from({ length: 50 }, (_, i) => `4${i}`);
    await session.send(...packets);
    const got = [];
    while (got.length < packets.length) {
      const some = await session.receive();
      assert.ok(some.length <= 16, `${some.length} packets`);
      got.push(...some);
    }
    assert.deepEqual(got, packets);
  });

  test('an answer has an end in bytes', oursOnly, async () => {
    const session = await Polling.open(server);
    const packets = Array.from({ length: 15 }, (_, i) =>
      `4${i}`.padEnd(MAX_PAYLOAD, 'x'));
    for (const packet of packets)
      await session.send(packet);
    const got = [];
    while (got.length < packets.length) {
      const some = await session.receive();
      assert.ok(some.join(RS).length <= 1 << 20);
      got.push(...some);
    }
    assert.deepEqual(got, packets);
  });

  test('maxPayload is inclusive', async () => {
    const session = await Polling.open(server);
    const most = '4'.padEnd(MAX_PAYLOAD, 'x');
    await session.send(most);
    assert.equal(await session.next(), most);
    assert.equal((await session.post(`${most}x`)).status, 413);
  });

  test('maxPayload counts bytes', async () => {
    const session = await Polling.open(server);
    const body = '4'.padEnd(MAX_PAYLOAD - 2, '€');
    assert.equal((await session.post(body)).status, 413);
  });

  test('a body of unknown length has the same limit', async () => {
    const session = await Polling.open(server);
    const chunk = 'x'.repeat(16384);
    const socket = net.connect(server.port, '127.0.0.1');
    const answer = await within(10000, new Promise((resolve, reject) => {
      let text = '';
      socket.on('data', (part) => {
        text += part;
        if (text.includes('\r\n\r\n'))
          resolve(text);
      });
      socket.on('error', reject);
      socket.write('POST /engine.io/?EIO=4&transport=polling&sid=' +
                   `${session.sid} HTTP/1.1\r\nHost: localhost\r\n` +
                   'Transfer-Encoding: chunked\r\n\r\n');
      for (let size = 0; size <= MAX_PAYLOAD; size += chunk.length)
        socket.write(`${chunk.length.toString(16)}\r\n${chunk}\r\n`);
      socket.write('0\r\n\r\n');
    }), 'an answer comes');
    socket.destroy();
    assert.match(answer, /^HTTP\/1\.1 413 /);
  });
});

describe('what ends a session on polling', () => {
  for (const [name, body] of [
    ['no packet', 'abc'],
    ['an unknown type', '7'],
    ['nothing', ''],
    ['a separator alone', RS],
    ['a packet and nothing behind it', `4a${RS}`],
    ['protocol 3', '2:4a'],
  ])
    test(`${name}: malformed`, async () => {
      const session = await Polling.open(server);
      await session.post(body);
      await session.gone();
    });

  test('bytes that are no base64', oursOnly, async () => {
    const session = await Polling.open(server);
    await session.post('b*!');
    await session.gone();
  });

  test('a content type of bytes', async () => {
    const session = await Polling.open(server);
    const answer = await session.post('4a', {
      headers: { 'content-type': 'application/octet-stream' } });
    assert.equal(answer.status, 400);
    await session.gone();
  });

  test('a second poll: the first is told, the second refused', async () => {
    const session = await Polling.open(server);
    const polls = [session.poll(), session.poll()];
    const answers = await Promise.all(polls);
    answers.sort((a, b) => a.status - b.status);
    assert.equal(answers[0].status, 200);
    assert.equal(answers[0].text, '1');
    assert.equal(answers[1].status, 400);
    await session.gone();
  });

  test('a poll that its client gives up', async () => {
    const session = await Polling.open(server);
    const control = new AbortController();
    const poll = session.poll({ signal: control.signal });
    /* so that the poll is there: what it is answered is another one's */
    await session.send('4hello');
    assert.equal((await poll).text, '4hello');
    const given = session.poll({ signal: control.signal });
    given.catch(() => {});
    await session.send('6');
    control.abort();
    await assert.rejects(given);
    await session.gone();
  });

  /** A POST of which only the beginning is sent. */
  function halfPost(session) {
    const socket = net.connect(server.port, '127.0.0.1');
    socket.text = '';
    socket.setEncoding('latin1').on('data', (part) => { socket.text += part; });
    socket.on('error', () => {});
    socket.ended = new Promise((resolve) => { socket.on('close', resolve); });
    return new Promise((resolve) => socket.write(
      `POST /engine.io/?EIO=4&transport=polling&sid=${session.sid} HTTP/1.1\r\n` +
      'Host: localhost\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n' +
      '\r\n4abc', () => resolve(socket)));
  }

  test('a POST while another is under way', async () => {
    const session = await Polling.open(server);
    const first = await halfPost(session);
    /* the head of the first may still be on its way */
    let second;
    do
      second = await session.post('6');
    while (second.status === 200);
    assert.equal(second.status, 400);
    await session.gone();
    first.destroy();
  });

  test('a POST that breaks off', async () => {
    const session = await Polling.open(server);
    const socket = await halfPost(session);
    socket.end();
    await session.gone();
    socket.destroy();
  });

  test('the client says so, and the pending poll is released', async () => {
    let session, answer;
    let tries = 0;
    do { /* once more, if the packet has overtaken the poll */
      session = await Polling.open(server);
      const poll = session.poll();
      await session.send('1');
      answer = await within(5000, poll, 'the poll is answered');
    } while (answer.json?.code === 1 && ++tries < 20);
    assert.equal(answer.status, 200);
    assert.equal(answer.text, '6');
    assertRefused(await session.poll(), 1);
  });

  test('the client says so, and a poll that comes behind is released, too',
       oursOnly, async () => {
    const session = await Polling.open(server);
    const post = session.post('1');
    const answer = await session.poll();
    assert.equal(answer.status, 200);
    assert.equal(answer.text, '6');
    assert.equal((await post).text, 'ok');
    assertRefused(await session.poll(), 1);
  });

  test('nothing behind a close packet counts', async () => {
    const session = await Polling.open(server);
    await session.send('4before', '1', '4behind');
    assertRefused(await session.poll(), 1);
  });
});
