// Coming back: a drop at a random byte, a lost answer, a cursor that retention
// overtook, a cursor of another log.

import assert from 'node:assert/strict';
import { clients, follow, parseCursor } from '../lib/followers.mjs';
import { request } from '../lib/http.mjs';
import { p2p, scenario, story } from '../lib/story.mjs';
import { chosenSeed, eventually, seeded } from '../lib/wait.mjs';

const everyone = { over: clients };

/** Until retention has left no more than `count`; the first seq kept. */
async function trimmedTo(person, conversation, count) {
  return eventually(async () => {
    const { messages } = await person.history(conversation, { after: 0 });
    return messages.length <= count && messages[0].seq;
  }, `retention keeps ${count} of ${conversation}`, 10000);
}

story('after a drop at a random byte it goes on exactly where it was', everyone,
      async (scene, t) => {
  const random = seeded(chosenSeed());
  t.diagnostic(`RUNG_SEED=${random.seed}`);
  const [alice, bob] = await scene.people('alice', 'bob');
  const texts = Array.from({ length: 40 }, (_, i) => `n${i} ${'x'.repeat(i)}`);
  const seen = [];
  let cursor = await bob.now();
  let drops = 0;

  const saying = alice.say(bob, ...texts);
  saying.catch(() => {}); // awaited below, if we get there
  while (seen.length < texts.length) {
    assert.ok(drops < 60, `${drops} connections brought only ${seen.length}`);
    const proxy = await scene.proxy();
    // at last it must get through
    if (drops < 8)
      proxy.cutAfter(random.between(1, 2500));
    const follower = await follow(scene.transport, {
      url: proxy.url, token: bob.token, cursor, patient: false,
    });
    for await (const event of follower) {
      if (event.event === 'message')
        seen.push(event.body.text);
      if (seen.length === texts.length)
        break;
    }
    cursor = follower.cursor;
    await follower.close();
    await proxy.close();
    drops++;
  }
  await saying;
  assert.deepEqual(seen, texts);
});

story('a lost poll answer asked again is the same, byte for byte',
      { over: ['longpoll', 'poll'] }, async (scene) => {
  const [alice, bob, carol] = await scene.people('alice', 'bob', 'carol');
  const proxy = await scene.proxy();
  const cursor = await bob.now();
  const ask = (base) => request(
    `${base}/v1/${scene.transport}?cursor=${cursor}`,
    { headers: { authorization: `Bearer ${bob.token}` } });

  await alice.say(bob, 'one', 'two', 'three');
  const first = await ask(scene.server.url);
  proxy.cutAfter(first.body.length - 20);
  await assert.rejects(ask(proxy.url), 'the answer is lost on its way');
  await alice.send(carol, 'what others say does not matter');
  const again = await ask(scene.server.url);
  assert.equal(again.text, first.text);
  assert.equal(again.json.events.length, 3);
});

story('an answer lost in flight while parked is given again',
      { over: ['longpoll'] }, async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const proxy = await scene.proxy();
  const cursor = await bob.now();

  proxy.blackHole();
  const lost = await follow('longpoll', { url: proxy.url, token: bob.token,
                                          cursor });
  await alice.send(bob, 'one');
  lost.drop();
  const follower = await bob.follow('longpoll', { cursor });
  await follower.next('message');
  assert.deepEqual(follower.texts, ['one']);
});

story('a client that leaves while parked takes nothing with it', everyone,
      async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');

  for (let i = 0; i < 20; i++) {
    const follower = await bob.follow(scene.transport);
    follower.drop();
  }
  await eventually(async () => {
    const metrics = (await scene.server.get('/metrics')).text;
    return !/^rung_\w*carriers\w*\{[^}]*\} [1-9]/m.test(metrics);
  }, 'no carrier of those who left is kept');
  const follower = await bob.follow(scene.transport);
  await alice.send(bob, 'still here');
  await follower.next('message');
});

story('who falls behind a trim is told of the gap, then goes on', {
  ...everyone,
  env: { RUNG_RETENTION_INTERVAL_MS: '50' },
}, async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const { conversation } = await alice.group([bob], {
    retention: { max_count: 5 },
  });
  const { cursor, seq } = await alice.send(conversation, 'seen');

  for (let i = 0; i < 20; i++)
    await alice.send(conversation, `n${i}`);
  const first = await trimmedTo(bob, conversation, 5);
  const follower = await bob.follow(scene.transport, { cursor });
  const gap = await follower.next('gap');

  assert.equal(gap.conversation, conversation);
  assert.ok(gap.from >= 1 && gap.from <= seq + 1, `from ${gap.from}`);
  assert.equal(gap.to, first - 1);
  assert.equal(typeof gap.reason, 'string');
  const rest = await follower.take(5, 'message');
  assert.deepEqual(rest.map((event) => event.seq), [18, 19, 20, 21, 22]);
  assert.equal(follower.all('gap').length, 1);
});

story('a single chain behind a trim has the gap in its place', {
  ...everyone,
  env: { RUNG_RETENTION_INTERVAL_MS: '50' },
}, async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const { conversation } = await alice.group([bob], {
    retention: { max_count: 3 },
  });

  for (let i = 0; i < 10; i++)
    await alice.send(conversation, `n${i}`);
  const first = await trimmedTo(bob, conversation, 3);
  const follower = await bob.follow(scene.transport,
                                    { conversation, after: 2 });
  const gap = await follower.next('gap');
  assert.equal(gap.from, 3);
  assert.equal(gap.to, first - 1);
  assert.equal((await follower.next('message')).seq, first);
});

scenario('retention keeps by count and by age, and says what it keeps', {
  env: { RUNG_RETENTION_INTERVAL_MS: '50' },
}, async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const byCount = await alice.group([bob], { retention: { max_count: 3 } });
  const byAge = await alice.group([bob], { retention: { max_age_s: 1 } });
  const kept = await alice.group([bob]);

  for (const { conversation } of [byCount, byAge, kept])
    await alice.say(conversation, 'a', 'b', 'c', 'd', 'e');
  await trimmedTo(bob, byCount.conversation, 3);
  const { messages, first_seq: first, last_seq: last } =
    await bob.history(byCount.conversation, { after: 0 });
  assert.deepEqual(messages.map((entry) => entry.seq), [4, 5, 6]);
  assert.equal(first, 4);
  assert.equal(last, 6);
  await eventually(async () =>
    (await bob.history(byAge.conversation)).messages.length <= 1,
  'what is older than a second is forgotten, but for the newest', 10000);
  assert.equal((await bob.history(kept.conversation)).messages.length, 6);
  // a forgotten seq is never given again
  assert.equal((await alice.send(byAge.conversation, 'new')).seq, 7);
});

story('a cursor of another epoch is answered with reset', everyone,
      async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const now = await bob.now();
  const foreign = `${parseCursor(now).epoch === 'deadbeef' ? 'cafef00d'
                                                           : 'deadbeef'}-7`;

  await alice.send(bob, 'before');
  const follower = await bob.follow(scene.transport, { cursor: foreign });
  const reset = await follower.next('reset');
  assert.equal(parseCursor(follower.cursor).epoch, parseCursor(now).epoch);
  if (reset.cursor !== undefined)
    assert.equal(parseCursor(reset.cursor).epoch, parseCursor(now).epoch);
  await alice.send(bob, 'after');
  await follower.seen((event) => event.body?.text === 'after');
  assert.equal(follower.all('reset').length, 1);
});

story('a cursor ahead of the log is answered with reset', everyone,
      async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const { epoch, lsn } = parseCursor(await bob.now());
  const follower = await bob.follow(scene.transport, {
    cursor: `${epoch}-${lsn + 100000}`,
  });

  await follower.next('reset');
  assert.ok(parseCursor(follower.cursor).lsn <= lsn + 1);
  await alice.send(bob, 'after');
  await follower.seen((event) => event.body?.text === 'after');
});

scenario('a poll with a foreign epoch answers 200 with the new cursor',
         async (scene) => {
  const bob = await scene.person('bob');
  const now = await bob.now();

  for (const path of ['/v1/poll', '/v1/longpoll']) {
    const { status, json } = await bob.poll({ cursor: '00000000-1' }, { path });
    assert.equal(status, 200);
    assert.deepEqual(json.events.map((event) => event.event), ['reset']);
    assert.ok(parseCursor(json.cursor).lsn >= parseCursor(now).lsn);
    assert.equal(parseCursor(json.cursor).epoch, parseCursor(now).epoch);
  }
});

story('a restart is only a reconnect', { ...everyone, fresh: true },
      async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const before = await bob.follow(scene.transport);

  await alice.send(bob, 'one');
  await before.next('message');
  await scene.server.restart();
  if (scene.transport === 'poll')
    before.drop(); // it may have asked at no time in between
  await before.ending();
  await alice.send(bob, 'two');
  const after = await bob.follow(scene.transport, { cursor: before.cursor });
  await after.next('message');
  assert.deepEqual(after.texts, ['two']);
  assert.equal((await bob.history(p2p(alice, bob))).messages.length, 2);
});
