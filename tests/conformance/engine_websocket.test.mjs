// Engine.IO 4 on a WebSocket, and how a session gets there from polling.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import test, { after, before, describe } from 'node:test';
import { within } from '../lib/wait.mjs';
import { assertRefused, Channel, Polling, probe, upgraded } from './engine.mjs';
import { givenServer, MAX_PAYLOAD, oursOnly } from './given.mjs';

let server;

before(async () => {
  server = await givenServer({ 'max-payload': MAX_PAYLOAD });
});
after(() => server.finish());

describe('a WebSocket', () => {
  test('text comes back as text, bytes as bytes', async () => {
    const channel = await Channel.open(server);
    const bytes = randomBytes(300);
    channel.send('4hello', bytes, '4', Buffer.alloc(0), '4€😀\u001e\u0000');
    assert.equal(await channel.next(), '4hello');
    assert.ok((await channel.next()).equals(bytes));
    assert.equal(await channel.next(), '4');
    assert.equal((await channel.next()).length, 0);
    assert.equal(await channel.next(), '4€😀\u001e\u0000');
    channel.close();
  });

  test('bytes may come in base64, and are bytes', async () => {
    const channel = await Channel.open(server);
    channel.send('bAQIDBA==');
    assert.deepEqual(await channel.next(), Buffer.from([1, 2, 3, 4]));
    channel.close();
  });

  test('a noop is nothing', async () => {
    const channel = await Channel.open(server);
    channel.send('6');
    await channel.alive();
    channel.close();
  });

  for (const [name, message] of [
    ['no packet', 'abc'], ['an unknown type', '7'], ['an empty message', ''],
    ['a ping, which is the server\'s', '2'],
  ])
    test(`${name} closes it`, async () => {
      const channel = await Channel.open(server);
      channel.send(message);
      await channel.closes();
      assertRefused(await new Polling(server, { sid: channel.sid }).poll(), 1);
    });

  test('a close packet closes it', oursOnly, async () => {
    const channel = await Channel.open(server);
    channel.send('1');
    await channel.closes();
    assertRefused(await new Polling(server, { sid: channel.sid }).poll(), 1);
  });

  test('its end is the session\'s', async () => {
    const channel = await Channel.open(server);
    channel.close();
    await channel.closes();
    await new Polling(server, { sid: channel.sid }).gone();
  });

  test('maxPayload is inclusive', async () => {
    const channel = await Channel.open(server);
    const most = '4'.padEnd(MAX_PAYLOAD, 'x');
    channel.send(most);
    assert.equal(await channel.next(), most);
    channel.send(`${most}x`);
    await channel.closes(1009);
  });
});

describe('an upgrade', () => {
  test('moves the session', async () => {
    const { polling, channel } = await upgraded(server);
    await channel.alive();
    assertRefused(await polling.poll(), 3);
    assertRefused(await polling.post('4a'), 3);
    channel.close();
  });

  test('releases the pending poll with a noop', async () => {
    const polling = await Polling.open(server);
    const poll = polling.receive();
    const channel = await probe(polling);
    assert.deepEqual(await within(5000, poll, 'the poll is released'), ['6']);
    channel.send('5');
    await channel.alive();
    channel.close();
  });

  test('refuses a POST whose body comes after it, and forgets it', oursOnly,
       async () => {
    const polling = await Polling.open(server);
    const late = net.connect(server.port, '127.0.0.1').setEncoding('latin1');
    const answers = () => within(10000, once(late, 'data'), 'an answer comes');
    late.write(`POST /engine.io/?EIO=4&transport=polling&sid=${polling.sid}` +
               ' HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\n' +
               'Content-Length: 5\r\nExpect: 100-continue\r\n\r\n');
    assert.match(String(await answers()), /^HTTP\/1.1 100 /);
    const channel = await probe(polling);
    channel.send('5');
    await channel.alive();
    late.write('4late');
    assert.match(String(await answers()), /^HTTP\/1.1 400 /);
    late.destroy();
    await channel.alive();
    channel.close();
    await channel.closes();
    await polling.gone();
  });

  test('keeps the order of what is sent meanwhile', async () => {
    const polling = await Polling.open(server);
    const poll = polling.receive();
    const channel = await probe(polling);
    assert.deepEqual(await poll, ['6']);
    await polling.send('4one', '4two');
    await polling.send('4three');
    channel.send('5', '4four');
    for (const packet of ['4one', '4two', '4three', '4four'])
      assert.equal(await channel.next(), packet);
    channel.close();
  });

  test('no poll takes a packet while it is under way', oursOnly, async () => {
    const polling = await Polling.open(server);
    const channel = await probe(polling);
    const poll = polling.receive();
    await polling.send('4one', '4two');
    assert.deepEqual(await poll, ['6']);
    channel.send('5');
    assert.equal(await channel.next(), '4one');
    assert.equal(await channel.next(), '4two');
    channel.close();
  });

  test('what waits in the session comes over the new transport', async () => {
    const polling = await Polling.open(server);
    await polling.send('4one', '4two');
    const channel = await probe(polling);
    channel.send('5');
    assert.equal(await channel.next(), '4one');
    assert.equal(await channel.next(), '4two');
    channel.close();
  });

  test('may ask twice', async () => {
    const polling = await Polling.open(server);
    const channel = await probe(polling);
    channel.send('2probe');
    assert.equal(await channel.receive(), '3probe');
    channel.send('5');
    await channel.alive();
    channel.close();
  });

  for (const [name, message] of [
    ['a message', '4hello'], ['another ping', '2'], ['a pong', '3probe'],
    ['no packet', 'abc'], ['bytes', Buffer.from([1])], ['a close', '1'],
  ])
    test(`that begins with ${name} ends the WebSocket only`, async () => {
      const polling = await Polling.open(server);
      const channel = await Channel.open(server, { sid: polling.sid });
      channel.send(message);
      await channel.closes();
      await polling.alive();
      const again = await probe(polling); /* and another may come */
      again.send('5');
      await again.alive();
      again.close();
    });

  test('that goes away leaves the session on polling', async () => {
    const polling = await Polling.open(server);
    const channel = await probe(polling);
    channel.close();
    await channel.closes();
    await polling.send('4are you there?');
    let packet = '6'; /* as long as its end is not noticed */
    while (packet === '6')
      packet = await polling.next();
    assert.equal(packet, '4are you there?');
  });

  test('is refused while another is under way', async () => {
    const polling = await Polling.open(server);
    const first = await probe(polling);
    const second = new Channel(server, { sid: polling.sid });
    await second.isRefused();
    first.send('5');
    await first.alive();
    first.close();
    second.close();
  });

  test('is refused when there was one', async () => {
    const { polling, channel } = await upgraded(server);
    await channel.alive();
    const second = new Channel(server, { sid: polling.sid });
    await second.isRefused();
    await channel.alive();
    channel.close();
    second.close();
  });

  test('is refused to a session that began so', async () => {
    const channel = await Channel.open(server);
    const second = new Channel(server, { sid: channel.sid });
    second.socket.on('open', () => second.send('2probe', '5'));
    await channel.alive();
    channel.close();
    second.close();
  });

  test('to another protocol is refused', async () => {
    const polling = await Polling.open(server);
    const channel = new Channel(server, { sid: polling.sid, EIO: 3 });
    await channel.isRefused();
    await polling.alive();
    channel.close();
  });
});
