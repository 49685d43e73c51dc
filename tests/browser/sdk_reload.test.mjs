// What outlives a page: unsent messages under their ids and in their order, the cursor
// with what it says has come, history.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { missing, wipe } from './given.mjs';
import { given, givenTab, liveOn, open, send, told } from './sdk_given.mjs';

const skip = missing();
const CONVERSATION = '0:1:alice:bob';
const upTo = (n) => Array.from({ length: n }, (_, i) => i + 1);

async function givenPage(t, options = {}) {
  const scene = await given(t);
  const page = await givenTab(scene.profile, scene.url, 'bob', options);
  await liveOn(page, 'ws');
  return { ...scene, page };
}

const seqs = (page, way, from) => page.evaluate(async ([way, conversation, from]) => {
  const all = [];
  for await (const { seq } of client[way](conversation, from)) all.push(seq);
  return all;
}, [way, CONVERSATION, from]);

test('messages written offline survive a reload offline, keep their ids and their order', { skip, timeout: 120_000 }, async (t) => {
  const { server, page, url } = await givenPage(t);
  await send(page, 'alice', 'before');
  await server.kill();
  const ids = Array.from({ length: 20 }, (_, i) => `offline-${i}`);
  await Promise.all([page.waitForNavigation(), page.evaluate((all) => {
    for (const id of all) client.sendMessage({ to: 'alice', body: id, client_msg_id: id }).catch(() => {});
    location.reload(); // in the same breath
  }, ids).catch(() => {})]); // the page that was asked is gone
  await open(page, url, 'bob');
  assert.deepEqual(await page.evaluate(() => client.pending.map(({ client_msg_id }) => client_msg_id)), ids);
  await page.evaluate(() => void client.sendMessage({ to: 'alice', body: 'after the reload' }));
  await server.start();
  await page.waitForFunction(() => client.pending.length === 0);
  const { messages } = await page.evaluate((conversation) => client.history({ conversation }), CONVERSATION);
  assert.deepEqual(messages.map(({ body }) => body),
    ['before', ...ids, 'after the reload']);
  assert.deepEqual(messages.slice(1, -1).map(({ client_msg_id }) => client_msg_id), ids);

  await open(page, url, 'bob');
  assert.deepEqual(await page.evaluate(() => client.pending), [], 'what is stored is not kept');
});

test('a page that comes back goes on from its cursor, and has the rest without the server', { skip, timeout: 120_000 }, async (t) => {
  const { server, page, say, url } = await givenPage(t, { cursor: '0' });
  await say(...upTo(120));
  await told(page, 120);
  await open(page, url, 'bob'); // no cursor given: the kept one
  await liveOn(page, 'ws');
  await say(121);
  assert.deepEqual(await told(page, 1), [121]);

  await server.kill();
  await open(page, url, 'bob');
  assert.deepEqual(await seqs(page, 'messagesBefore'), upTo(121).reverse());
  await server.start();
  assert.deepEqual(await seqs(page, 'messagesAfter', 100), upTo(121).slice(100));
});

test('another log makes what was kept worthless, not what is unsent', { skip, timeout: 120_000 }, async (t) => {
  const { server, page, say, url } = await givenPage(t, { cursor: '0' });
  await say('old', 'old');
  await told(page, 2);
  await server.kill();
  await page.evaluate(() => void client.sendMessage({ to: 'alice', body: 'unsent' }).catch(() => {}));
  await open(page, url, 'bob');
  assert.deepEqual(await seqs(page, 'messagesBefore'), [2, 1]);
  await wipe(server);
  await server.start();
  await page.waitForFunction(() => client.pending.length === 0);
  await liveOn(page, 'ws');
  assert.deepEqual(await seqs(page, 'messagesBefore'), [1]);
});

test('forget() leaves nothing behind', { skip, timeout: 120_000 }, async (t) => {
  const { server, page, say, url } = await givenPage(t, { cursor: '0' });
  await say('a', 'b');
  await told(page, 2);
  await page.evaluate(() => client.forget());
  await say('c');
  await open(page, url, 'bob');
  await liveOn(page, 'ws');
  await say('d');
  assert.deepEqual(await told(page, 1), ['d'], 'a cursor that is forgotten is now');
});
