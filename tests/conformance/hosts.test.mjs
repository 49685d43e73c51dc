// What the conformance server serves besides: an echo, event streams and what
// is published on them.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import test, { after, before } from 'node:test';
import { EventSource } from 'eventsource';
import WebSocket from 'ws';
import { request } from '../lib/http.mjs';
import { eventually, within } from '../lib/wait.mjs';
import { givenServer } from './given.mjs';

let server;

before(async () => {
  server = await givenServer();
});
after(() => server.finish());

const publish = (channel, body) =>
  request(`${server.url}/publish?channel=${channel}`, {
    method: 'POST', body, headers: { 'content-type': 'text/plain' } });

const opened = [];
after(() => opened.forEach((source) => source.close()));

/** An EventSource that is there, and what it has heard. */
async function subscribed(channel, headers = {}) {
  const source = new EventSource(`${server.url}/sse?channel=${channel}`, {
    fetch: (url, init) => fetch(url, {
      ...init, headers: { ...init.headers, ...headers } }),
  });
  opened.push(source);
  const heard = [];
  source.onmessage = ({ data, lastEventId }) =>
    heard.push({ data, id: lastEventId });
  await within(5000, new Promise((resolve) => { source.onopen = resolve; }),
               'the stream opens');
  return { source, heard };
}

const said = ({ heard }) => heard.map(({ data }) => data);

test('/ is there', async () => {
  assert.equal((await request(`${server.url}/`)).status, 200);
});

test('/echo says back text and bytes', async () => {
  const socket = new WebSocket(`${server.url.replace('http', 'ws')}/echo`);
  const back = [];
  socket.on('message', (data, binary) => back.push({ data, binary }));
  await new Promise((resolve) => { socket.on('open', resolve); });
  const bytes = randomBytes(50000);
  socket.send('€');
  socket.send(bytes);
  await eventually(() => back.length === 2, 'both come back');
  assert.equal(back[0].data.toString(), '€');
  assert.equal(back[0].binary, false);
  assert.ok(back[1].data.equals(bytes) && back[1].binary);
  socket.close();
});

test('what is published reaches those who are there, in order', async () => {
  const readers = [await subscribed('a'), await subscribed('a')];
  const elsewhere = await subscribed('b');
  for (let i = 0; i < 100; i++)
    assert.equal(Math.floor((await publish('a', `m${i}`)).status / 100), 2);
  await publish('b', 'other');
  await eventually(() => readers.every(({ heard }) => heard.length === 100) &&
                         elsewhere.heard.length === 1, 'all have come');
  for (const reader of readers) {
    assert.deepEqual(said(reader), Array.from({ length: 100 },
                                              (_, i) => `m${i}`));
    const ids = reader.heard.map(({ id }) => id);
    assert.equal(new Set(ids).size, 100);
    assert.deepEqual(ids, readers[0].heard.map(({ id }) => id));
  }
  assert.deepEqual(said(elsewhere), ['other']);
});

test('a message is any text', async () => {
  const reader = await subscribed('text');
  const messages = ['a\nb', '\n', ' a', '€ 😀', 'data: x', 'id: 7', ':x',
                    '{"a":1}', 'x'.repeat(100000)];
  for (const message of messages)
    await publish('text', message);
  await eventually(() => reader.heard.length === messages.length,
                   'all have come');
  assert.deepEqual(said(reader), messages);
});

test('Last-Event-ID is where one goes on', async () => {
  const first = await subscribed('resume');
  for (let i = 0; i < 10; i++)
    await publish('resume', `m${i}`);
  await eventually(() => first.heard.length === 10, 'all have come');
  const later = await subscribed('resume',
                                 { 'last-event-id': first.heard[3].id });
  await publish('resume', 'live');
  await eventually(() => later.heard.length === 7, 'the rest comes');
  assert.deepEqual(said(later), ['m4', 'm5', 'm6', 'm7', 'm8', 'm9', 'live']);
  assert.deepEqual(later.heard.slice(0, 6), first.heard.slice(4, 10));
  const fresh = await subscribed('resume');
  await publish('resume', 'last');
  await eventually(() => fresh.heard.length > 0, 'the last comes');
  assert.deepEqual(said(fresh), ['last']);
});

test('a message has up to 4 MB', async () => {
  const reader = await subscribed('large');
  const most = 'x'.repeat(4 << 20);
  assert.equal(Math.floor((await publish('large', most)).status / 100), 2);
  await eventually(() => reader.heard.length === 1, 'it comes', 20000);
  assert.equal(reader.heard[0].data.length, 4 << 20);
  const answer = await publish('large', `${most}x`);
  assert.equal(answer.status, 413);
});

test('who has left is missed by nobody', async () => {
  const reader = await subscribed('left');
  const stays = await subscribed('left');
  reader.source.close();
  for (let i = 0; i < 50; i++)
    await publish('left', String(i));
  await eventually(() => stays.heard.length === 50, 'all have come');
});
