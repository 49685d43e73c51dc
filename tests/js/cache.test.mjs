// What is kept by cursor, and history out of it: one unbroken stretch of a conversation.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RungError } from '../../web/rung.js';
import { Cache } from '../../web/rung/cache.js';
import { History } from '../../web/rung/history.js';
import { RamTables } from '../../web/rung/ram.js';
import { message } from './lib/fakes.mjs';

const C = '0:1:me:you';
const run = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => message(from + i));
const seqs = (page) => page && page.messages.map(({ seq }) => seq);

async function given(tables = new RamTables()) {
  const cache = new Cache((error) => assert.fail(error));
  const kept = await cache.open(tables);
  return { cache, kept, tables };
}

async function all(iterator) {
  const list = [];
  for await (const { seq } of iterator) list.push(seq);
  return list;
}

/* A server that has `last` entries, of which those below `first` are gone. */
function server(last, first = 1) {
  const asked = [];
  const ask = async ({ before = last + 1, after, limit }) => {
    asked.push({ before, after });
    const from = after !== undefined ? Math.max(after + 1, first) : Math.max(before - limit, first);
    const to = after !== undefined ? Math.min(after + limit, last) : Math.min(before - 1, last);
    const more = after !== undefined ? to < last : from > first;
    return { messages: from <= to ? run(from, to) : [], first_seq: first, last_seq: last, more };
  };
  return { ask, asked };
}

test('the cursor and what it says has come are kept together, for the next life', async () => {
  const { cache, tables } = await given();
  const written = [];
  const write = tables.write.bind(tables);
  tables.write = (changes) => (written.push(changes.map(({ table }) => table)), write(changes));
  cache.take([message(1), message(2)], 'e-2');
  cache.keepUnsent({ client_msg_id: 'b', body: 2 }, 2);
  cache.keepUnsent({ client_msg_id: 'a', body: 1 }, 1);
  await cache.close();
  assert.equal(written.length, 1, 'in one transaction');
  const { kept, cache: next } = await given(tables);
  assert.equal(kept.cursor, 'e-2');
  assert.deepEqual(kept.outbox.map(({ body }) => body), [1, 2]);
  assert.deepEqual(seqs(await next.before(C, 3, 10)), [1, 2]);
  next.dropUnsent({ client_msg_id: 'a' });
  await next.close();
  assert.deepEqual((await given(tables)).kept.outbox.map(({ body }) => body), [2]);
});

test('what another tab takes is known, and written by that tab alone', async () => {
  const tables = new RamTables();
  const { cache: leader } = await given(tables);
  const { cache: follower } = await given(tables);
  const write = tables.write.bind(tables);
  let writes = 0;
  tables.write = (changes) => (writes++, write(changes));
  follower.hear([message(1), message(2)]);
  await follower.written();
  assert.equal(writes, 0);
  assert.equal(follower.newestSeq(C), 2);
  assert.equal(await follower.newest(C, 10), null, 'the leader has not written them yet');

  leader.take([message(1), message(2)], 'e-2');
  await leader.written();
  assert.deepEqual(seqs(await follower.newest(C, 10)), [1, 2]);
  follower.hear([{ event: 'gap', conversation: C, from: 1, to: 1 }]);
  assert.deepEqual(seqs(await follower.newest(C, 10)), [2]);
  follower.hear([{ event: 'reset', cursor: 'f-1' }]);
  assert.equal(follower.newestSeq(C), undefined);
  assert.equal(writes, 1);
});

test('a hole begins another stretch: what lies before it is asked for', async () => {
  const { cache } = await given();
  cache.take(run(1, 3), 'e-3');
  cache.take(run(7, 9), 'e-9');
  assert.equal(await cache.before(C, 7, 10), null);
  assert.deepEqual(seqs(await cache.before(C, 9, 10)), [7, 8]);
  assert.equal(cache.newestSeq(C), 9);
});

test('pages that touch the stretch make it longer, others are left aside', async () => {
  const { cache } = await given();
  cache.take(run(50, 60), 'e-60');
  await cache.addPage({ before: 50 }, { messages: run(40, 49) });
  await cache.addPage({ before: 20 }, { messages: run(10, 19) });
  await cache.addPage({ after: 55 }, { messages: run(56, 65) });
  assert.deepEqual(seqs(await cache.newest(C, 100)), run(40, 65).map(({ seq }) => seq));
});

test('where one was not a member a page has a hole: only the run that touches counts', async () => {
  const { cache } = await given();
  cache.take(run(20, 22), 'e-22');
  await cache.addPage({ before: 20 }, { messages: [...run(3, 5), ...run(15, 19)] });
  assert.equal(await cache.before(C, 15, 5), null);
  assert.deepEqual(seqs(await cache.before(C, 20, 50)), [15, 16, 17, 18, 19]);
});

test('a gap cuts off what retention has taken; a reset, everything', async () => {
  const { cache } = await given();
  cache.take(run(1, 10), 'e-10');
  cache.take([{ event: 'gap', conversation: C, from: 1, to: 4 }], 'e-11');
  assert.deepEqual(seqs(await cache.newest(C, 100)), [5, 6, 7, 8, 9, 10]);
  cache.take([{ event: 'reset', cursor: 'f-1' }, message(2)], 'f-2');
  assert.deepEqual(seqs(await cache.newest(C, 100)), [2]);
});

test('history goes back from the newest, out of the cache where it can', async () => {
  const { cache } = await given();
  const { ask, asked } = server(130);
  const history = new History(ask, cache);
  cache.take(run(60, 130), 'e-130');
  assert.deepEqual(await all(history.before(C)), run(1, 130).map(({ seq }) => seq).reverse());
  assert.deepEqual(asked.map(({ before }) => before), [131, 60, 10], '60 to 80 were here');
  asked.length = 0;
  assert.deepEqual(await all(history.before(C, 60)), run(1, 59).map(({ seq }) => seq).reverse());
  assert.deepEqual(asked, [], 'all of it was here');
});

test('history goes forward to the newest, wherever it begins', async () => {
  const { cache } = await given();
  const { ask, asked } = server(120, 11);
  const history = new History(ask, cache);
  assert.deepEqual(await all(history.after(C, 0)), run(11, 120).map(({ seq }) => seq));
  asked.length = 0;
  assert.deepEqual(await all(history.after(C, 40)), run(41, 120).map(({ seq }) => seq));
  assert.deepEqual(asked.map(({ after }) => after), [120], 'only whether there is more');
});

test('with the server away the newest come from the cache; without a cache, the error', async () => {
  const { cache } = await given();
  const history = new History(async () => { throw new RungError('network'); }, cache);
  await assert.rejects(all(history.before(C)), { code: 'network' });
  cache.take(run(1, 30), 'e-30');
  assert.deepEqual(await all(history.before(C)), run(1, 30).map(({ seq }) => seq).reverse());
});

test('what cannot be written is told, and nothing is made of it', async () => {
  const tables = new RamTables();
  const errors = [];
  const cache = new Cache((error) => errors.push(error.message));
  await cache.open(tables);
  tables.write = async () => { throw new Error('QuotaExceeded'); };
  cache.take(run(1, 3), 'e-3');
  await cache.written();
  assert.deepEqual(errors, ['QuotaExceeded']);
  assert.equal(await cache.before(C, 4, 10), null);
});
