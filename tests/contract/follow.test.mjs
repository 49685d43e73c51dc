// Following the log: hello, live delivery, batches, both chains, two devices.

import assert from 'node:assert/strict';
import {
  beyond, clients, duplexes, sequenced, streams,
} from '../lib/followers.mjs';
import { p2p, scenario, story } from '../lib/story.mjs';
import { eventually } from '../lib/wait.mjs';

const everyone = { over: clients };
const isSequenced = (event) => sequenced.includes(event.event);

story('a follower is greeted with the cursor, the beat and the time', everyone,
      async (scene) => {
  const alice = await scene.person('alice');
  const follower = await alice.follow(scene.transport);
  const { hello } = follower;

  assert.match(hello.cursor, /^[0-9a-f]{8}-\d+$/);
  assert.equal(follower.cursor, hello.cursor);
  assert.ok(hello.heartbeat_ms > 0);
  const now = Object.values(hello)
    .some((value) => Math.abs(value - Date.now()) < 60000);
  assert.ok(now, `the server's time is in ${JSON.stringify(hello)}`);
});

story('a first poll without a cursor answers at once with where now is',
      { over: ['longpoll', 'poll'] }, async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const { cursor } = await alice.send(bob, 'before');
  const { status, json, headers } =
    await bob.poll({}, { path: `/v1/${scene.transport}` });

  assert.equal(status, 200);
  assert.deepEqual(json.events, []);
  assert.ok(!beyond(cursor, json.cursor));
  assert.equal(json.hello.cursor, json.cursor);
  assert.match(headers['content-type'], /^application\/json/);
  assert.match(headers['cache-control'], /no-store/);
});

story('a message arrives as it was sent, with its place in the log', everyone,
      async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const follower = await bob.follow(scene.transport);
  const sent = await alice.send(bob, 'hi 你好 </script> \u2028 😀',
                                { client_msg_id: 'the-first' });
  const event = await follower.next('message');

  assert.deepEqual(event, {
    event: 'message',
    cursor: sent.cursor,
    conversation: p2p(alice, bob),
    seq: 1,
    from: alice.name,
    client_msg_id: 'the-first',
    ts: sent.ts,
    type: 'text',
    body: { text: 'hi 你好 </script> \u2028 😀' },
  });
  assert.equal(sent.conversation, event.conversation);
  assert.equal(sent.seq, 1);
  assert.equal(sent.duplicate, false);
  assert.equal(follower.cursor, sent.cursor);
});

story('messages said quickly arrive in order, each once', everyone,
      async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const follower = await bob.follow(scene.transport);
  const texts = Array.from({ length: 60 }, (_, i) => `n${i}`);

  await Promise.all(texts.map((text) => alice.send(bob, text)));
  const seqs = (await follower.take(60, 'message')).map((event) => event.seq);
  assert.deepEqual(seqs, texts.map((_, i) => i + 1));
  assert.deepEqual([...follower.texts].sort(), [...texts].sort());
  assert.deepEqual(follower.dropped, []);
});

story('without a cursor a follower starts from now', everyone,
      async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');

  await alice.send(bob, 'old');
  const follower = await bob.follow(scene.transport);
  await alice.send(bob, 'new');
  await follower.next('message');
  assert.deepEqual(follower.texts, ['new']);
});

story('cursor=0 starts from the first kept entry', everyone, async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');

  await alice.say(bob, 'one', 'two', 'three');
  const follower = await bob.follow(scene.transport, { cursor: '0' });
  await follower.take(3, 'message');
  await alice.send(bob, 'four');
  await follower.next('message');
  assert.deepEqual(follower.texts, ['one', 'two', 'three', 'four']);
});

story('a limit makes batches, and more says that one is not the last',
      { over: ['longpoll', 'poll'] }, async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const batches = [];
  let cursor = await bob.now();
  let answer;

  await alice.say(bob, ...Array.from({ length: 25 }, (_, i) => `n${i}`));
  do {
    answer = (await bob.poll({ cursor, limit: 10 },
                             { path: `/v1/${scene.transport}` })).json;
    assert.ok(answer.events.length <= 10);
    batches.push(answer.events.map((event) => event.body?.text));
    cursor = answer.cursor;
  } while (answer.more);
  assert.ok(batches.length >= 3);
  assert.deepEqual(batches.flat(),
                   Array.from({ length: 25 }, (_, i) => `n${i}`));
});

story('a limit takes nothing away from a follower', everyone, async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');

  await alice.say(bob, ...Array.from({ length: 25 }, (_, i) => `n${i}`));
  const follower = await bob.follow(scene.transport, { cursor: '0', limit: 4 });
  await follower.take(25, 'message');
  assert.deepEqual(follower.texts,
                   Array.from({ length: 25 }, (_, i) => `n${i}`));
});

story('a single chain is one conversation by seq, from after= on', everyone,
      async (scene) => {
  const [alice, bob, carol] = await scene.people('alice', 'bob', 'carol');
  const conversation = p2p(alice, bob);

  await alice.say(bob, 'one', 'two', 'three');
  await carol.send(bob, 'elsewhere');
  const follower = await bob.follow(scene.transport,
                                    { conversation, after: 1 });
  await follower.take(2, 'message');
  await carol.send(bob, 'elsewhere again');
  await alice.send(bob, 'four');
  const last = await follower.next('message');
  assert.equal(last.seq, 4);
  assert.deepEqual(follower.texts, ['two', 'three', 'four']);
  assert.equal(follower.after, 4);
});

story('a poll of a single chain says after which seq to ask next',
      { over: ['longpoll', 'poll'] }, async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const conversation = p2p(alice, bob);

  await alice.say(bob, 'one', 'two', 'three');
  const { json } = await bob.poll({ conversation, after: 0, limit: 2 },
                                  { path: `/v1/${scene.transport}` });
  assert.deepEqual(json.events.map((event) => event.seq), [1, 2]);
  assert.equal(json.after, 2);
  assert.equal(json.more, true);
});

story('short_id is accepted wherever a conversation is', everyone,
      async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const { short_id: shortId, conversation } = await alice.send(bob, 'one');

  const follower = await bob.follow(scene.transport,
                                    { conversation: shortId, after: 0 });
  assert.equal((await follower.next('message')).conversation, conversation);
  const { messages } = await bob.history(shortId);
  assert.equal(messages.length, 1);
  assert.equal((await alice.call('message.send', {
    conversation: shortId, body: { text: 'two' },
  })).seq, 2);
});

story('a cursor with a conversation follows that one from there', everyone,
      async (scene) => {
  const [alice, bob, carol] = await scene.people('alice', 'bob', 'carol');
  const conversation = p2p(alice, bob);
  const { cursor } = await alice.send(bob, 'one');

  await carol.send(bob, 'elsewhere');
  await alice.send(bob, 'two');
  const follower = await bob.follow(scene.transport, { conversation, cursor });
  await follower.next('message');
  await carol.send(bob, 'elsewhere again');
  await alice.send(bob, 'three');
  await follower.next('message');
  assert.deepEqual(follower.texts, ['two', 'three']);
});

story('two devices of one person follow at their own pace', everyone,
      async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const phone = bob.on('phone');
  const laptop = bob.on('laptop');
  const onPhone = await phone.follow(scene.transport);

  await alice.send(bob, 'one');
  await onPhone.next('message');
  const { cursor } = onPhone;
  onPhone.drop();
  const onLaptop = await laptop.follow(scene.transport, { cursor: '0' });
  await onLaptop.next('message');
  await alice.send(bob, 'two');
  await onLaptop.next('message');
  const again = await phone.follow(scene.transport, { cursor });
  await again.next('message');
  assert.deepEqual(onLaptop.texts, ['one', 'two']);
  assert.deepEqual(again.texts, ['two']);
});

story('what I send from one device reaches my others, in the same place',
      everyone, async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const onLaptop = await alice.on('laptop').follow(scene.transport);
  const sent = await alice.on('phone').send(bob, 'from the phone');
  const event = await onLaptop.next('message');

  assert.equal(event.cursor, sent.cursor);
  assert.equal(event.from, alice.name);
});

story('echo:false keeps a message from the sending device only', everyone,
      async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const phone = alice.on('phone');
  const onPhone = await phone.follow(scene.transport);
  const onLaptop = await alice.on('laptop').follow(scene.transport);
  const atBob = await bob.follow(scene.transport);

  await phone.send(bob, 'silent', { echo: false });
  await phone.send(bob, 'loud');
  await onPhone.seen((event) => event.body?.text === 'loud');
  await onLaptop.seen((event) => event.body?.text === 'loud');
  await atBob.seen((event) => event.body?.text === 'loud');
  assert.deepEqual(onPhone.texts, ['loud']);
  assert.deepEqual(onLaptop.texts, ['silent', 'loud']);
  assert.deepEqual(atBob.texts, ['silent', 'loud']);
});

story('anyone of the app may follow a channel; it is not in the mixed chain',
      everyone, async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const { conversation } = await alice.call('conversation.create', {
    type: 'channel', id: `news.${alice}`, name: 'news',
  });
  const onChannel = await bob.follow(scene.transport,
                                     { conversation, after: 0 });
  const onMixed = await bob.follow(scene.transport, { cursor: '0' });

  await alice.send(conversation, 'extra, extra');
  await onChannel.next('message');
  await alice.send(bob, 'in person');
  await onMixed.next('message');
  assert.deepEqual(onChannel.texts, ['extra, extra']);
  assert.deepEqual(onMixed.texts, ['in person']);
});

scenario('the same cursor gives the same answer on every transport',
         async (scene) => {
  const [alice, bob, carol] = await scene.people('alice', 'bob', 'carol');
  const { conversation } = await alice.group([bob, carol]);
  const told = [];

  await alice.say(bob, 'one', 'two');
  await bob.say(conversation, 'three', 'four');
  await carol.send(bob, 'five');
  await carol.call('conversation.leave', { conversation });
  await alice.send(conversation, 'six');
  for (const transport of clients) {
    const follower = await bob.follow(transport, { cursor: '0' });
    await follower.seen((event) => event.body?.text === 'six');
    told.push(follower.all(isSequenced));
    follower.drop();
  }
  assert.equal(told[0].length, 8); // six messages, created, left
  for (const other of told.slice(1))
    assert.deepEqual(other, told[0]);
});

scenario('two transports of one person may be open at once', async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const followers = [];

  for (const transport of clients)
    followers.push(await bob.follow(transport));
  await alice.say(bob, 'one', 'two', 'three');
  for (const follower of followers) {
    await follower.take(3, 'message');
    assert.deepEqual(follower.texts, ['one', 'two', 'three']);
  }
});

story('a heartbeat carries the head cursor', {
  over: [...duplexes, ...streams],
  env: { RUNG_HEARTBEAT_MS: '1000' }, // a duplex must answer within that
}, async (scene) => {
  const [alice, bob, carol] = await scene.people('alice', 'bob', 'carol');
  const follower = await bob.follow(scene.transport);
  // nothing of this is for bob, yet the head moves on
  const { cursor } = await alice.say(carol, 'one', 'two');

  await eventually(() => !beyond(cursor, follower.cursor),
                   'a heartbeat brings the head cursor');
  assert.deepEqual(follower.texts, []);
  await alice.send(bob, 'three');
  await follower.next('message');
  assert.deepEqual(follower.texts, ['three']);
});

story('a long poll parks until the commit, or until wait is over',
      { over: ['longpoll'] }, async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const cursor = await bob.now();
  const path = '/v1/longpoll';
  const started = Date.now();
  const idle = await bob.poll({ cursor, wait: 1 }, { path });

  assert.ok(Date.now() - started >= 900);
  assert.deepEqual(idle.json.events, []);
  assert.equal(idle.json.more, false);
  const waiting = bob.poll({ cursor, wait: 30 }, { path });
  await alice.send(bob, 'wake up');
  assert.equal((await waiting).json.events[0].body.text, 'wake up');
  const atOnce = await bob.poll({ cursor, wait: 0 }, { path });
  assert.equal(atOnce.json.events.length, 1);
});

story('a stream is event-stream text that nothing on the way may hold back',
      { over: ['sse'] }, async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const items = [];
  const follower = await bob.follow('sse', {
    onEvent: (item) => items.push(item),
  });
  const sent = await alice.send(bob, 'two\nlines\r\nor three');

  await follower.next('message');
  const { headers } = follower.response;
  assert.match(headers.get('content-type'), /^text\/event-stream/);
  assert.match(headers.get('cache-control'), /no-store/);
  assert.match(headers.get('cache-control'), /no-transform/);
  assert.equal(headers.get('x-accel-buffering'), 'no');
  const last = items.at(-1);
  assert.equal(last.kind, 'message');
  assert.equal(last.id, sent.cursor);
  assert.equal(last.event.body.text, 'two\nlines\r\nor three');
});

story('Last-Event-ID beats the query', { over: ['sse'] }, async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');

  await alice.send(bob, 'one');
  const { cursor } = await alice.send(bob, 'two');
  await alice.send(bob, 'three');
  const follower = await bob.follow('sse', {
    cursor: '0',
    headers: { 'last-event-id': cursor },
  });
  await follower.next('message');
  assert.deepEqual(follower.texts, ['three']);
});

story('a stock EventSource comes back by itself where it stopped',
      { over: ['eventsource'] }, async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const proxy = await scene.proxy();
  const follower = await bob.follow('eventsource', {
    url: proxy.url, reconnects: true,
  });

  await alice.send(bob, 'one');
  await follower.next('message');
  proxy.reset();
  await alice.say(bob, 'two', 'three');
  await follower.take(2, 'message', 15000);
  assert.deepEqual(follower.texts, ['one', 'two', 'three']);
  assert.deepEqual(follower.dropped, []);
});
