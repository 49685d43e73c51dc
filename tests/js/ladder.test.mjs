// The ladder in fake time: docs/CLIENT.md, "Climbing", rule by rule.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RungError } from '../../web/rung.js';
import { FakeClock, fakeStorage } from './lib/fakes.mjs';
import { all, FAULTS, FakeNetwork, givenClimber, RUNGS } from './lib/network.mjs';
import { seeded } from '../lib/wait.mjs';

const live = ({ client }) => client.status.transport;
const openings = ({ network }, name) => network.opened.filter((one) => one.name === name);

async function online(options, ...blocked) {
  const given = givenClimber(options);
  given.network.make('refuses', ...blocked);
  given.client.start();
  await given.clock.pass(3_000);
  return given;
}

/* ---- landing ---- */

function combinations() {
  const random = seeded(7);
  const list = [];
  for (let bits = 0; bits < 2 ** RUNGS.length - 1; bits++) {
    const blocked = RUNGS.filter((_, i) => bits & (1 << i));
    for (const fault of [...FAULTS, 'mixed'])
      list.push(blocked.map((name) => [name, fault === 'mixed' ? random.pick(FAULTS) : fault]));
  }
  return list;
}

for (const rttMs of [20, 400])
  test(`every combination of blocked rungs lands on the best open one in 3 s, RTT ${rttMs} ms`, async () => {
    let slowest = 0;
    for (const faults of combinations()) {
      const given = givenClimber({ rttMs });
      const { client, clock, network, told, startedAt } = given;
      for (const [name, fault] of faults) network.make(fault, name);
      const best = RUNGS.find((name) => !faults.some(([blocked]) => blocked === name));
      client.start();
      for (let ms = 0; ms < 3_000; ms += 100) {
        network.append(2);
        await clock.pass(100);
      }
      const words = `${JSON.stringify(faults)}: ${live(given)} instead of ${best}`;
      assert.equal(live(given), best, words);
      const landed = given.seen.findLast(({ state }) => state === 'live').at - startedAt;
      slowest = Math.max(slowest, landed);
      await clock.pass(1_000);
      assert.deepEqual(told, all(network), words);
      client.close();
    }
    assert.ok(slowest <= 3_000, `${slowest} ms`);
  });

test('with every rung blocked it waits, and lands when one opens', async () => {
  const given = await online({}, ...RUNGS);
  assert.equal(given.client.status.state, 'waiting');
  given.network.make('works', 'poll');
  given.network.append(3);
  await given.clock.pass(35_000);
  assert.equal(live(given), 'poll');
  await given.clock.pass(1_000);
  assert.deepEqual(given.told, all(given.network));
});

test('what this machine lacks is not tried, and said', () => {
  const network = new FakeNetwork(new FakeClock());
  const carries = network.carries();
  carries.ws.missing = () => 'no WebSocket here';
  const given = givenClimber({ carries });
  assert.deepEqual(given.client.rungs[0], { name: 'ws', state: 'untried', why: '', failures: 0, retryAt: null });
  given.client.start();
  assert.deepEqual(given.client.rungs.slice(0, 2).map(({ name, state, why }) => [name, state, why]),
    [['ws', 'missing', 'no WebSocket here'], ['stream', 'opening', '']]);
});

/* ---- trust ---- */

test('a rung that says 200 and delivers nothing is demoted within 3 RTT + 1 s', async () => {
  const given = givenClimber({ rttMs: 100 });
  given.network.make('buffers', 'ws');
  given.client.start();
  await given.clock.pass(3_000);
  const failed = given.seen.find(({ rung, state }) => rung === 'ws' && state === 'failed');
  const accepted = given.startedAt + given.network.rttMs;
  assert.ok(failed.at - accepted <= 3 * 100 + 1_000, `${failed.at - accepted} ms`);
  assert.match(failed.why, /accepted, and then nothing came/);
  assert.equal(failed.live, 'stream', 'meanwhile the next one carries');
});

test('no rung is live before its first event', async () => {
  const given = givenClimber({ rttMs: 100 });
  given.client.start();
  await given.clock.pass(150); // accepted
  assert.equal(live(given), null);
  await given.clock.pass(50);
  assert.equal(live(given), 'ws');
});

/* ---- climbing ---- */

test('a better rung takes over with its first event, and the old one is closed then', async () => {
  const given = await online({}, 'ws');
  assert.equal(live(given), 'stream');
  given.network.make('works', 'ws');
  given.client.climb();
  const states = [];
  given.client.on('transport', ({ rung, state, live: carries }) => states.push([rung, state, carries]));
  await given.clock.pass(1_000);
  assert.deepEqual(states, [['stream', 'untried', 'ws'], ['ws', 'live', 'ws']]);
});

test('climbing and falling through all rungs at 1,000 messages a second: none lost, twice or out of order', async () => {
  const given = givenClimber();
  const { client, clock, network, told } = given;
  const flow = async (ms) => {
    for (let i = 0; i < ms; i += 20) {
      network.append(20);
      await clock.pass(20);
    }
  };
  network.make('hangs', ...RUNGS.slice(0, -1));
  client.start();
  await flow(3_000);
  assert.equal(live(given), 'jsonp');
  for (const name of RUNGS.slice(0, -1).reverse()) {
    network.make('works', name);
    client.climb();
    await flow(1_500);
    assert.equal(live(given), name);
  }
  for (const [i, name] of RUNGS.slice(0, -1).entries()) {
    network.make('refuses', name);
    await flow(500);
    assert.equal(live(given), RUNGS[i + 1]);
  }
  await clock.pass(2_000);
  assert.ok(told.length >= 8_000);
  assert.deepEqual(told, all(network));
});

test('failed rungs are probed upward, later each time, and not sooner', async () => {
  const given = await online({}, 'ws');
  const { clock } = given;
  for (let i = 0; i < 24; i++) await clock.pass(60_000);
  const at = openings(given, 'ws').map((one) => one.at);
  const pauses = at.slice(1).map((time, i) => Math.round((time - at[i]) / 100) / 10);
  assert.deepEqual(pauses.slice(0, 6), [3.9, 7.6, 15.1, 30.1, 60.1, 120.1]); // ¾ of 5, 10, 20 … s, and the answer
  assert.ok(Math.max(...pauses) <= 600.1);
});

test('a probe that succeeds climbs by itself', async () => {
  const given = await online({}, 'ws', 'stream');
  given.network.make('works', 'ws', 'stream');
  await given.clock.pass(10_000);
  assert.equal(live(given), 'ws');
});

/* ---- falling ---- */

test('when the live rung is cut, the next one is asked at once', async () => {
  const given = await online();
  await given.clock.pass(6_000); // it proved itself
  given.network.make('refuses', 'ws');
  given.network.append(5);
  await given.clock.pass(3 * given.network.rttMs); // once refused, then stream with its hello
  assert.equal(live(given), 'stream');
  await given.clock.pass(1_000);
  assert.deepEqual(given.told, all(given.network));
});

test('a rung that goes silent is left after two heartbeats', async () => {
  const given = await online();
  given.network.make('hangs', 'ws');
  await given.clock.pass(46_000);
  assert.equal(live(given), 'ws');
  await given.clock.pass(4_000);
  assert.equal(live(given), 'stream');
  assert.match(given.seen.find(({ rung, state }) => rung === 'ws' && state === 'failed').why, /nothing came for 50000 ms/);
});

test('a rung that comes up and dies again and again rests, longer each time', async () => {
  const given = givenClimber();
  const { client, clock, network } = given;
  client.start();
  for (let i = 0; i < 5; i++) {
    await clock.pass(2 * network.rttMs);
    if (live(given) !== 'ws') break;
    network.make('refuses', 'ws');
    network.make('works', 'ws');
  }
  await clock.pass(1_000);
  assert.equal(live(given), 'stream');
  assert.equal(openings(given, 'ws').length, 1);
  assert.ok(client.rungs[0].retryAt - clock.now() > 1_000);
});

test('when every rung flaps, there is jitter between the rounds', async () => {
  const given = givenClimber({ names: ['ws', 'poll'] });
  const { client, clock, network } = given;
  client.start();
  client.on('status', ({ state }) => {
    if (state !== 'online') return;
    queueMicrotask(() => {
      network.make('refuses', 'ws', 'poll');
      network.make('works', 'ws', 'poll');
    });
  });
  await clock.pass(60_000);
  assert.ok(network.opened.length < 20, `${network.opened.length} openings in a minute`);
});

/* ---- failures of the server, not of a rung ---- */

test('with the server away no rung is blamed', async () => {
  const given = await online();
  await given.clock.pass(6_000);
  given.network.make('refuses', ...RUNGS);
  await given.clock.pass(20_000);
  assert.deepEqual(given.client.rungs.map(({ failures }) => failures), [0, 0, 0, 0, 0, 0]);
  given.network.make('works', ...RUNGS);
  await given.clock.pass(31_000);
  assert.equal(live(given), 'ws');
});

for (const [error, state] of [
  [new RungError('overloaded', 'busy', { status: 429, retryAfterMs: 9_000 }), 'waiting'],
  [new RungError('forbidden', 'not you', { status: 403 }), 'stopped'],
])
  test(`"${error.code}" is the server’s word, whatever the rung: ${state}`, async () => {
    const network = new FakeNetwork(new FakeClock());
    const carries = network.carries();
    const { open } = carries.ws;
    carries.ws.open = (host, report) => {
      host.clock.after(10, () => report.down({ error }));
      return open(host, { ...report, accepted() {}, batch() {} });
    };
    const given = givenClimber({ carries, network });
    given.client.start();
    await given.clock.pass(200);
    assert.equal(given.client.status.state, state);
    assert.deepEqual(network.opened.map(({ name }) => name), ['ws']);
  });

test('a rung that the server does not have is passed by', async () => {
  const clock = new FakeClock();
  const network = new FakeNetwork(clock);
  const carries = network.carries();
  carries.ws.open = (host, report) => {
    clock.after(10, () => report.down({ error: new RungError('retired', 'gone', { status: 410 }) }));
    return { close() {} };
  };
  const given = givenClimber({ clock, network, carries });
  given.client.start();
  await clock.pass(200);
  assert.equal(live(given), 'stream');
});

test('bye: the same rung, after exactly the delay given', async () => {
  const given = await online();
  given.network.dismiss({ reason: 'draining', retry_after_ms: 1234 });
  assert.equal(given.client.status.state, 'waiting');
  await given.clock.pass(1233);
  assert.equal(openings(given, 'ws').length, 1);
  await given.clock.pass(1 + 2 * given.network.rttMs);
  assert.equal(live(given), 'ws');
  assert.deepEqual(new Set(given.network.opened.map(({ name }) => name)), new Set(['ws']));
});

test('a recycled stream comes back at once; one that is dismissed again and again, not in a circle', async () => {
  const given = await online({}, 'ws');
  await given.clock.pass(6_000);
  given.network.dismiss({ reason: 'recycled', retry_after_ms: 0 });
  await given.clock.pass(2 * given.network.rttMs);
  assert.equal(live(given), 'stream');
  const before = given.network.opened.length;
  given.client.on('hello', () => queueMicrotask(() => given.network.dismiss({ reason: 'recycled' })));
  given.network.dismiss({ reason: 'recycled' });
  await given.clock.pass(10_000);
  const more = given.network.opened.length - before;
  assert.ok(more > 10 && more < 60, `${more} openings in ten seconds`);
});

/* ---- memory ---- */

test('the next client begins on the rung that worked last, and does not ask those that rest', async () => {
  const memory = fakeStorage();
  const first = await online({ memory }, 'ws', 'stream', 'sse');
  assert.equal(live(first), 'longpoll');
  first.client.close();

  const second = givenClimber({ memory, clock: first.clock });
  second.network.make('refuses', 'ws', 'stream', 'sse');
  second.client.start();
  await second.clock.pass(400);
  assert.deepEqual(second.network.opened.map(({ name }) => name), ['longpoll']);
  assert.equal(live(second), 'longpoll');
});

test('it races upward at once from the remembered rung to those that do not rest', async () => {
  const memory = fakeStorage();
  const first = await online({ memory }, 'ws', 'stream', 'sse');
  first.client.close();
  await first.clock.pass(20_000); // they have rested

  const second = givenClimber({ memory, clock: first.clock });
  second.client.start();
  await second.clock.pass(1_000);
  assert.deepEqual(second.network.opened.map(({ name }) => name).slice(0, 2), ['longpoll', 'ws']);
  assert.equal(live(second), 'ws');
});

test('another network has a memory of its own; and nothing is remembered for ever', async () => {
  const memory = fakeStorage();
  const first = await online({ memory, networkName: 'office' }, 'ws', 'stream');
  first.client.close();

  const atHome = givenClimber({ memory, clock: first.clock, networkName: 'home' });
  atHome.client.start();
  await atHome.clock.pass(100);
  assert.equal(atHome.network.opened[0].name, 'ws');
  atHome.client.close();

  await first.clock.pass(8 * 24 * 3_600_000);
  const later = givenClimber({ memory, clock: first.clock, networkName: 'office' });
  later.client.start();
  assert.deepEqual(later.client.rungs.map(({ failures }) => failures), [0, 0, 0, 0, 0, 0]);
  assert.equal(later.network.opened[0].name, 'ws');
});

test('memory that is full, forbidden or spoilt does no harm', async () => {
  const spoilt = { getItem: () => '{"', setItem() { throw new Error('QuotaExceeded'); } };
  const given = await online({ memory: spoilt }, 'ws');
  assert.equal(live(given), 'stream');
});

/* ---- the cursor when several are open ---- */

test('racing without a cursor leaves no hole between where they begin', async () => {
  const given = givenClimber({ cursor: null, rttMs: 400 });
  const { client, clock, network, told } = given;
  client.start();
  let first = null;
  client.on('hello', () => (first ??= Number(client.cursor.split('-')[1])));
  for (let i = 0; i < 40; i++) {
    network.append(1);
    await clock.pass(50);
  }
  await clock.pass(2_000);
  assert.ok(told.length > 10);
  assert.deepEqual(told, all(network, first));
});

test('a reset on one rung opens the others anew', async () => {
  const given = await online({}, 'ws');
  given.network.make('hangs', 'ws');
  given.client.climb();
  await given.clock.pass(10);
  assert.equal(openings(given, 'ws').length, 2);
  given.network.lineOf('stream').report.batch([{ event: 'reset', cursor: 'f-3', reason: 'another epoch' }]);
  await given.clock.pass(10);
  assert.equal(openings(given, 'ws').at(-1).cursor, 'f-3');
});

/* ---- steering ---- */

test('when the server was away, no rung has failed once it is back', async () => {
  const given = await online({});
  await given.clock.pass(5_000);
  given.network.make('refuses', ...RUNGS);
  await given.clock.pass(3_000);
  assert.deepEqual(new Set(given.client.rungs.map(({ state }) => state)), new Set(['failed']));
  given.network.make('works', ...RUNGS);
  given.client.retryNow();
  await given.clock.pass(1_000);
  assert.deepEqual(given.client.rungs.map(({ state, failures }) => [state, failures]),
    RUNGS.map((name, i) => [i === 0 ? 'live' : 'untried', 0]));
});

test('climb() forgets what failed: a rung that was long away and stumbles again rests for seconds, not minutes', async () => {
  const given = await online({}, 'ws');
  await given.clock.pass(600_000);
  assert.ok(given.client.rungs[0].failures > 4);
  given.network.make('works', 'ws');
  given.client.climb();
  await given.clock.pass(1_000);
  assert.equal(live(given), 'ws');

  given.network.make('refuses', 'ws'); // before it has lived for STABLE_MS
  await given.clock.pass(1_000);
  assert.deepEqual([live(given), given.client.rungs[0].failures], ['stream', 1]);
  given.network.make('works', 'ws');
  await given.clock.pass(5_000);
  assert.equal(live(given), 'ws');
});

test('a blocked rung is left at once, and used again when it is not', async () => {
  const given = await online();
  given.client.blockRung('ws');
  await given.clock.pass(200);
  assert.equal(live(given), 'stream');
  assert.equal(given.client.rungs[0].state, 'blocked');
  given.client.blockRung('ws', false);
  await given.clock.pass(200);
  assert.equal(live(given), 'ws');
  assert.throws(() => given.client.blockRung('pigeon'), /pigeon/);
});

test('all rungs blocked by the application: it waits for one, and for nothing else', async () => {
  const given = await online();
  for (const name of RUNGS) given.client.blockRung(name);
  assert.equal(given.client.status.state, 'waiting');
  assert.match(given.client.status.error.message, /ws: blocked by the application/);
  await given.clock.pass(60_000);
  given.client.blockRung('sse', false);
  await given.clock.pass(200);
  assert.equal(live(given), 'sse');
});

test('one rung alone, and the ladder again', async () => {
  const given = await online();
  await Promise.all([given.client.setTransport('longpoll'), given.clock.pass(1_000)]);
  assert.equal(live(given), 'longpoll');
  await given.client.setTransport('auto');
  await given.clock.pass(1_000);
  assert.equal(live(given), 'ws');
});

test('every change of a rung is told, with why and with what was tried', async () => {
  const given = await online({}, 'ws');
  assert.deepEqual(given.seen.map(({ rung, state }) => `${rung} ${state}`),
    ['ws opening', 'ws failed', 'stream opening', 'stream live']);
  assert.deepEqual(given.seen.at(-1).tried, [
    { rung: 'ws', state: 'failed', why: 'refused' },
    { rung: 'stream', state: 'live', why: 'its first event came' }]);
});

test('close() leaves no timer behind, wherever the ladder stands', async () => {
  for (const faults of [[], ['ws'], RUNGS]) {
    const given = await online({}, ...faults);
    given.client.close();
    await given.clock.pass(100_000);
    assert.deepEqual(given.clock.waits, []);
  }
});
