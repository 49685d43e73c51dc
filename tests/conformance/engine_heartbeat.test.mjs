// Engine.IO 4: the server pings, and lets go of who does not answer.

import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
import { Channel, Polling, upgraded } from './engine.mjs';
import { givenServer, PING_INTERVAL, PING_TIMEOUT } from './given.mjs';

let server;

before(async () => {
  server = await givenServer({ 'ping-interval': PING_INTERVAL,
                               'ping-timeout': PING_TIMEOUT });
});
after(() => server.finish());

test('a poll is answered by pings', async () => {
  const session = await Polling.open(server);
  for (let i = 0; i < 3; i++) {
    assert.deepEqual(await session.receive(), ['2']);
    await session.send('3');
  }
  await session.alive();
});

test('a WebSocket is pinged', async () => {
  const channel = await Channel.open(server);
  for (let i = 0; i < 3; i++) {
    assert.equal(await channel.receive(), '2');
    channel.send('3');
  }
  await channel.alive();
  channel.close();
});

test('who moved to a WebSocket is pinged there', async () => {
  const { channel } = await upgraded(server);
  for (let i = 0; i < 2; i++) {
    assert.equal(await channel.receive(), '2');
    channel.send('3');
  }
  channel.close();
});

test('a poll without a pong ends its session', async () => {
  const session = await Polling.open(server);
  assert.deepEqual(await session.receive(), ['2']);
  await session.gone();
});

test('a session that nobody polls ends', async () => {
  const session = await Polling.open(server);
  await session.gone();
});

test('a WebSocket without a pong is closed', async () => {
  const channel = await Channel.open(server);
  assert.equal(await channel.receive(), '2');
  assert.equal(await channel.receive(), undefined);
});

test('a ping does not wait longer because the one before was late', async () => {
  const hasty = await givenServer({ 'ping-interval': 300,
                                    'connect-timeout': 1000 });
  const session = await Polling.open(hasty, { path: '/socket.io/' });
  const heard = await session.receive();
  while (heard.length < 3) {
    await session.send('3');
    heard.push(...await session.receive());
  }
  assert.deepEqual(heard, ['2', '2', '2'], 'the end of a second comes later');
  await hasty.finish();
});
