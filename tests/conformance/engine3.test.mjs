// Engine.IO 3, for legacy clients: who pings, how packets are written, JSONP;
// and what Socket.IO says on it.

import assert from 'node:assert/strict';
import test, { after, before, describe } from 'node:test';
import { within } from '../lib/wait.mjs';
import { ask, assertRefused, Channel, Polling } from './engine.mjs';
import {
  Jsonp, openChannel3, Polling3, read, written, writtenOctets,
} from './engine3.mjs';
import { givenServer, oursOnly, PING_INTERVAL, PING_TIMEOUT } from './given.mjs';
import { SOCKETIO } from './socketio.mjs';

let server;

before(async () => {
  server = await givenServer({ eio3: 'on', recovery: 'off' });
});
after(() => server.finish());

describe('the handshake', () => {
  test('is a counted packet', async () => {
    const answer = await ask(server, { EIO: 3 });
    assert.equal(answer.status, 200);
    assert.match(answer.text, /^\d+:0\{"sid":/);
    const { handshake } = await Polling3.open(server);
    assert.deepEqual(handshake.upgrades, ['websocket']);
    assert.equal(handshake.pingInterval, 25000);
    assert.equal(handshake.pingTimeout, 20000);
  });

  test('without EIO is one of protocol 3', async () => {
    const answer = await ask(server, { EIO: undefined });
    assert.equal(answer.status, 200);
    assert.match(answer.text, /^\d+:0\{"sid":/);
  });

  test('of protocol 4 stays what it is', async () => {
    const session = await Polling.open(server);
    await session.alive();
    assertRefused(await session.poll({ EIO: 3 }), 3);
  });

  test('has its protocol for good', async () => {
    const session = await Polling3.open(server);
    assertRefused(await session.poll({ EIO: 4 }), 3);
    await session.alive();
  });
});

describe('polling', () => {
  test('lengths count what JavaScript counts', async () => {
    const session = await Polling3.open(server);
    for (const text of ['4hello', '4€uro', '4😀', '4', '4a:b3:4x',
                        '4\u0000\u001e\u2028\n']) {
      await session.send(text, '4behind');
      assert.equal(await session.next(), text);
      assert.equal(await session.next(), '4behind');
    }
  });

  test('bytes come as octets', async () => {
    const session = await Polling3.open(server);
    await session.send('b4AQIDBA==', '4text € beside');
    const answer = await session.poll();
    assert.match(answer.headers['content-type'], /^application\/octet-stream/);
    const expected = writtenOctets([Buffer.from([4, 1, 2, 3, 4]),
                                    '4text € beside']);
    if (!answer.body.equals(expected)) { /* or in two answers */
      assert.deepEqual(answer.body,
                       writtenOctets([Buffer.from([4, 1, 2, 3, 4])]));
      assert.equal(await session.next(), '4text € beside');
    }
  });

  test('bytes come in base64 to who asks for that', async () => {
    const session = await Polling3.open(server, { b64: 1 });
    await session.send('b4AQIDBA==', '4text');
    assert.equal(await session.next(), 'b4AQIDBA==');
    assert.equal(await session.next(), '4text');
  });

  test('bytes may be sent as octets', async () => {
    const session = await Polling3.open(server, { b64: 1 });
    const answer = await session.post(
      writtenOctets([Buffer.from([4, 9, 8]), '4€😀']),
      { headers: { 'content-type': 'application/octet-stream' } });
    assert.equal(answer.status, 200);
    assert.equal(await session.next(), 'b4CQg=');
    assert.equal(await session.next(), '4€😀');
  });

  for (const [name, body] of [
    ['a length that is too long', '3:4a'], ['a length that is none', 'a:4a'],
    ['no length', '4a'], ['an unknown type', '1:9'], ['nothing', ''],
    ['protocol 4', '4a\x1e4b'],
  ])
    test(`${name} ends the session`, async () => {
      const session = await Polling3.open(server);
      await session.post(body);
      await session.gone();
    });

  test('a close packet releases the poll', async () => {
    let session, answer;
    let tries = 0;
    do { /* once more, if the packet has overtaken the poll */
      session = await Polling3.open(server);
      const poll = session.poll();
      await session.send('1');
      answer = await within(5000, poll, 'the poll is released');
    } while (answer.json?.code === 1 && ++tries < 20);
    assert.deepEqual(read(answer.text), ['6']);
    await session.gone();
  });
});

describe('JSONP', () => {
  test('a script brings what a form sends', async () => {
    const session = await Jsonp.open(server);
    for (const text of ['4hello', '4"quoted" \\ </script>', '4€ 😀 \u2028\u2029',
                        '4a\nb', '4a\\nb', '4+ &=%']) {
      await session.send(text);
      assert.equal(await session.next(), text);
    }
  });

  test('the script has the callback\'s number alone', async () => {
    const answer = await ask(server, { EIO: 3, j: '3);alert(1' });
    assert.match(answer.text, /^___eio\[31\]\("/);
    assert.match(answer.text, /"\);$/);
    assert.match((await ask(server, { EIO: 3, j: '12' })).text,
                 /^___eio\[12\]\("\d+:0\{\\"sid\\":/);
  });

  test('a line end of JavaScript is none in it', async () => {
    const session = await Jsonp.open(server);
    await session.send('4\u2028\u2029');
    const { text } = await session.poll();
    assert.ok(!/[\u2028\u2029]/.test(text), text);
    assert.equal(session.run(text), '3:4\u2028\u2029');
  });

  test('bytes come in base64', async () => {
    const session = await Jsonp.open(server, { b64: 1 });
    await session.send('b4AQIDBA==');
    assert.equal(await session.next(), 'b4AQIDBA==');
  });
});

describe('a WebSocket', () => {
  test('has the type in front of bytes', async () => {
    const channel = await openChannel3(server);
    channel.send('4hello', Buffer.from([4, 1, 2]));
    assert.equal(await channel.next(), '4hello');
    assert.deepEqual(await channel.next(), Buffer.from([4, 1, 2]));
    channel.send('b4AQI=');
    assert.deepEqual(await channel.next(), Buffer.from([4, 1, 2]));
    channel.close();
  });

  test('bytes come in base64 to who asks for that', async () => {
    const channel = await openChannel3(server, { b64: 1 });
    channel.send('b4AQI=');
    assert.equal(await channel.next(), 'b4AQI=');
    channel.close();
  });

  test('takes over from polling', async () => {
    const polling = await Polling3.open(server);
    const poll = polling.receive();
    const channel = await Channel.open(server, { EIO: 3, sid: polling.sid });
    channel.send('2probe');
    assert.equal(await channel.receive(), '3probe');
    assert.deepEqual(await poll, ['6']);
    await polling.send('4one');
    channel.send('5', '4two');
    assert.equal(await channel.next(), '4one');
    assert.equal(await channel.next(), '4two');
    channel.close();
  });
});

describe('the heartbeat', () => {
  let quick;
  before(async () => {
    quick = await givenServer({ eio3: 'on', 'ping-interval': PING_INTERVAL,
                                'ping-timeout': PING_TIMEOUT });
  });
  after(() => quick.finish());

  test('is the client\'s', async () => {
    const channel = await openChannel3(quick);
    channel.send('2');
    assert.equal(await channel.receive(), '3');
    const polling = await Polling3.open(quick);
    await polling.send('2');
    assert.deepEqual(await polling.receive(), ['3']);
    channel.close();
  });

  test('keeps a session, and its end ends it', async () => {
    const silent = await openChannel3(quick);
    const lively = await openChannel3(quick);
    const lonely = await Polling3.open(quick);
    for (let silence = false; !silence;) {
      lively.send('2');
      assert.equal(await lively.receive(), '3');
      silence = await Promise.race([
        silent.closed.then(() => true),
        new Promise((resolve) => { setTimeout(resolve, 50, false); })]);
    }
    await lonely.gone();
    lively.close();
  });

  test('a pong is the server\'s', async () => {
    const channel = await openChannel3(quick);
    channel.send('3');
    await channel.closes();
  });
});

describe('Socket.IO on it', () => {
  const open = (query) => openChannel3(server, { path: SOCKETIO, ...query });

  test('/ is joined without asking', async () => {
    const channel = await open();
    assert.equal(await channel.next(), '40');
    assert.equal(await channel.next(), '42["auth",{}]');
    channel.send('42["message",1,{"a":"€"}]', '425["message-with-ack","b"]');
    assert.equal(await channel.next(), '42["message-back",1,{"a":"€"}]');
    assert.equal(await channel.next(), '435["b"]');
    channel.close();
  });

  test('the first poll has all of that', async () => {
    const session = await Polling3.open(server, { path: SOCKETIO });
    assert.equal(await session.next(), '40');
    assert.equal(await session.next(), '42["auth",{}]');
  });

  test('a namespace brings its query', async () => {
    const channel = await open();
    await channel.next();
    await channel.next();
    channel.send('40/custom?token=a%20b&c=d');
    assert.equal(await channel.next(), '40/custom,');
    assert.equal(await channel.next(),
                 '42/custom,["auth",{"token":"a b","c":"d"}]');
    channel.send('42/custom,["message","x"]');
    assert.equal(await channel.next(), '42/custom,["message-back","x"]');
    channel.close();
  });

  test('what is refused is an error', async () => {
    const channel = await open();
    await channel.next();
    await channel.next();
    channel.send('40/random,');
    assert.match(await channel.next(), /^44\/random,.*Invalid namespace/);
    channel.send('40/admin?token=bad');
    /* the error's data alone, or its message if it has none */
    assert.equal(await channel.next(),
                 '44/admin,{"code":401,"content":"retry later"}');
    channel.send('40/admin?token=good,');
    assert.equal(await channel.next(), '40/admin,');
    channel.close();
  });

  test('attachments come in messages of their own', async () => {
    const channel = await open();
    await channel.next();
    await channel.next();
    channel.send('451-["message",{"_placeholder":true,"num":0}]',
                 Buffer.from([4, 7, 8]));
    assert.equal(await channel.next(),
                 '451-["message-back",{"_placeholder":true,"num":0}]');
    assert.deepEqual(await channel.next(), Buffer.from([4, 7, 8]));
    channel.close();
  });

  test('protocol 4 and protocol 5 meet in a room', async () => {
    const old = await open();
    const new_ = await Channel.open(server, { path: SOCKETIO });
    await old.next();
    await old.next();
    new_.send('40');
    await new_.next();
    await new_.next();
    for (const one of [old, new_]) {
      one.send('421["join","mixed"]');
      assert.equal(await one.next(), '431[]');
    }
    old.send('451-["to-room","mixed","hi",{"_placeholder":true,"num":0}]',
             Buffer.from([4, 1]));
    assert.equal(await new_.next(), '451-["hi",{"_placeholder":true,"num":0}]');
    assert.deepEqual(await new_.next(), Buffer.from([1]));
    new_.send('451-["to-room","mixed","ho",{"_placeholder":true,"num":0}]',
              Buffer.from([2]));
    assert.equal(await old.next(), '451-["ho",{"_placeholder":true,"num":0}]');
    assert.deepEqual(await old.next(), Buffer.from([4, 2]));
    old.close();
    new_.close();
  });
});

test('it is off unless asked for', async () => {
  const other = await givenServer({ eio3: 'off' });
  try {
    assertRefused(await ask(other, { EIO: 3 }), 5);
    assertRefused(await ask(other, { EIO: 3, j: 0 }), 5);
    const channel = new Channel(other, { EIO: 3 });
    await channel.isRefused();
    channel.close();
  } finally {
    await other.finish();
  }
});

test('an answer carries at most 16 packets', oursOnly, async () => {
  const session = await Polling3.open(server);
  const packets = Array.from({ length: 40 }, (_, i) => `4${i}`);
  assert.equal((await session.post(written(packets))).status, 200);
  const got = [];
  while (got.length < packets.length) {
    const some = await session.receive();
    assert.ok(some.length <= 16, `${some.length} packets`);
    got.push(...some);
  }
  assert.deepEqual(got, packets);
});
