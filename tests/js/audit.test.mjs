// The counters that the demo shows must be able to say something else than 0.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Audit, madeAt, quantile } from '../../web/stage/audit.js';
import { lineAt, pricesAt, QUOTES } from '../../web/stage/feed.js';
import { stroll, HEIGHT, WIDTH } from '../../web/stage/town.js';
import { storageOf } from '../../web/app/storage.js';
import { uuid7 } from '../../web/rung/uuid7.js';

const says = (seq, conversation = '0:2:g') => ({ event: 'message', conversation, seq, from: 'alice', body: { text: 'x' } });

function audited(...events) {
  const audit = new Audit();
  for (const event of events) audit.take(event);
  return audit;
}
const verdict = ({ messages, lost, twice, late }) => ({ messages, lost, twice, late });

test('what comes one after the other is neither lost nor double', () => {
  const audit = audited(says(7), says(8), { ...says(9), event: 'conversation' }, says(10), says(1, '0:2:h'));
  assert.deepEqual(verdict(audit), { messages: 4, lost: 0, twice: 0, late: 0 });
  assert.ok(audit.bytes > 100);
});

test('a hole is lost, until it comes late', () => {
  const audit = audited(says(1), says(4));
  assert.equal(audit.lost, 2);
  audit.take(says(3));
  assert.deepEqual(verdict(audit), { messages: 3, lost: 1, twice: 0, late: 1 });
});

test('what comes again is twice, and counted once as a message', () => {
  assert.deepEqual(verdict(audited(says(1), says(2), says(2), says(1))), { messages: 2, lost: 0, twice: 2, late: 0 });
});

test('what retention has removed is not lost', () => {
  const audit = audited(says(1), { event: 'gap', conversation: '0:2:g', from: 2, to: 5 }, says(6));
  assert.deepEqual(verdict(audit), { messages: 2, lost: 0, twice: 0, late: 0 });
});

test('receipts and what has no seq do not count', () => {
  const audit = audited(says(1), { event: 'receipt', conversation: '0:2:g', seq: 1 }, { event: 'heartbeat' }, says(2));
  assert.deepEqual(verdict(audit), { messages: 2, lost: 0, twice: 0, late: 0 });
});

test('another log is counted from its own beginning', () => {
  const audit = audited(says(50));
  audit.reset();
  audit.take(says(1));
  assert.deepEqual(verdict(audit), { messages: 2, lost: 0, twice: 0, late: 0 });
});

test('latency is from the id of a message to its coming, by rung', () => {
  const audit = new Audit();
  const made = madeAt(uuid7(1763600000123, Math.random));
  assert.equal(made, 1763600000123);
  assert.equal(madeAt('c-1'), null);
  assert.equal(madeAt(undefined), null);
  audit.take(says(1), { rung: 'sse', sentAt: made, now: made + 12 });
  audit.take(says(2), { rung: 'sse', sentAt: null });
  assert.deepEqual(audit.latencies.get('sse'), [12]);
  assert.equal(quantile([5, 1, 9, 3], 0.5), 5);
  assert.equal(quantile([], 0.5), null);
});

test('whoever plays the feed plays the same', () => {
  for (let tick = 1763600000; tick < 1763600200; tick++) {
    assert.deepEqual(pricesAt(tick), pricesAt(tick));
    for (const name of QUOTES) assert.ok(pricesAt(tick)[name] > 0);
    assert.ok(lineAt(tick).text.length > 0);
  }
  assert.notDeepEqual(pricesAt(1), pricesAt(2));
});

test('a walk stays in the town and makes no leaps', () => {
  let before = stroll(0);
  for (let seconds = 1; seconds < 600; seconds++) {
    const here = stroll(seconds);
    assert.ok(here.x >= 0 && here.x <= WIDTH && here.y >= 0 && here.y <= HEIGHT);
    assert.ok(Math.hypot(here.x - before.x, here.y - before.y) < 12);
    before = here;
  }
});

test('two panes of one tab keep apart what they remember', () => {
  const map = new Map();
  const base = { getItem: (k) => map.get(k) ?? null, setItem: (k, v) => map.set(k, v), removeItem: (k) => map.delete(k),
    key: (i) => [...map.keys()][i], get length() { return map.size; } };
  const [a, b] = [storageOf('a', base), storageOf('b', base)];
  a.setItem('who', 'alice');
  b.setItem('who', 'bob');
  assert.equal(a.getItem('who'), 'alice');
  a.clear();
  assert.equal(a.getItem('who'), null);
  assert.equal(b.getItem('who'), 'bob');
});
