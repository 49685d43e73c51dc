// Who is talking: tokens, tickets, expiry and renewal, and two apps that share
// nothing.

import assert from 'node:assert/strict';
import { clients, duplexes, streams } from '../lib/followers.mjs';
import { Refusal } from '../lib/http.mjs';
import { scenario, story } from '../lib/story.mjs';
import { sign } from '../lib/token.mjs';
import { eventually } from '../lib/wait.mjs';

const everyone = { over: clients };
const apps = {
  red: 'a secret of thirty-two bytes: red',
  blue: 'a secret of thirty-two bytes: blue',
};
const refusedWith = (...codes) => (error) => {
  assert.ok(error instanceof Refusal, error.stack);
  assert.ok(codes.includes(error.code), error.message);
  return true;
};

/** How the stream said why it ended, wherever its idiom puts it. */
const why = (follower) =>
  JSON.stringify([follower.end, follower.events.slice(-2)],
                 (key, value) => (key === 'headers' ? undefined : value));

story('an expired token ends the stream with token_expired after a grace', {
  ...everyone, apps, env: { RUNG_TOKEN_GRACE_MS: '300' },
}, async (scene) => {
  const bob = await scene.person('bob', { app: 'red', ttl: 3 });
  const follower = await bob.follow(scene.transport);
  const end = await follower.ending();

  assert.ok(Date.now() / 1000 >=
            JSON.parse(Buffer.from(bob.token.split('.')[1], 'base64url')).exp);
  assert.match(why(follower), /token_expired/);
  if (end.code !== undefined && duplexes.includes(scene.transport))
    assert.ok(end.code >= 4100 && end.code < 4200, `closed with ${end.code}`);
  const { status, json } = await bob.poll();
  assert.equal(status, 401);
  assert.equal(json.error.code, 'token_expired');
});

story('auth.refresh renews in place, without dropping the stream', {
  over: [...duplexes, ...streams], apps, env: { RUNG_TOKEN_GRACE_MS: '200' },
}, async (scene) => {
  const alice = await scene.person('alice', { app: 'red' });
  const bob = await scene.person('bob', { app: 'red', ttl: 4 });
  bob.device = 'phone';
  const follower = await bob.follow(scene.transport);
  const { exp } = JSON.parse(Buffer.from(bob.token.split('.')[1], 'base64url'));
  const renewed = scene.server.token(bob.name, { app: 'red' });

  if (duplexes.includes(scene.transport)) {
    const { error } = await follower.reply('auth.refresh', { token: renewed });
    assert.equal(error, undefined, JSON.stringify(error));
  } else {
    await bob.call('auth.refresh', { token: renewed });
  }
  await eventually(() => Date.now() > exp * 1000 + 1000,
                   'the first token expires', 6000);
  assert.equal(follower.end, undefined, why(follower));
  await alice.send(bob, 'still there?');
  await follower.next('message');
  assert.equal(follower.end, undefined);
});

story('a device that the token names is not the client\'s to choose',
      { ...everyone, apps }, async (scene) => {
  const [alice, bob] = [await scene.person('alice', { app: 'red' }),
                        await scene.person('bob', { app: 'red' })];
  alice.token = scene.server.token(alice.name, { app: 'red', device: 'desk' });
  const follower = await alice.on('tab').follow(scene.transport);

  await alice.send(bob, 'silent', { echo: false }); // from the desk, as it is
  await alice.send(bob, 'loud');
  await follower.seen((event) => event.body?.text === 'loud');
  assert.deepEqual(follower.texts, ['loud']);
});

story('a poll that brings another token simply goes on',
      { over: ['longpoll', 'poll'], apps }, async (scene) => {
  const alice = await scene.person('alice', { app: 'red' });
  const bob = await scene.person('bob', { app: 'red', ttl: 30 });
  const follower = await bob.follow(scene.transport);

  follower.options.token = scene.server.token(bob.name, { app: 'red' });
  await alice.send(bob, 'one');
  await follower.next('message');
  await alice.send(bob, 'two');
  await follower.next('message');
  assert.equal(follower.end, undefined);
});

scenario('auth.refresh takes no token of somebody else', { apps },
         async (scene) => {
  const bob = await scene.person('bob', { app: 'red' });
  const eve = scene.server.token('eve', { app: 'red' });
  const blue = scene.server.token(bob.name, { app: 'blue' });
  const follower = await bob.follow('ws');

  for (const token of [eve, blue, 'nonsense']) {
    const { error } = await follower.reply('auth.refresh', { token });
    assert.ok(['unauthorized', 'forbidden', 'bad_request'].includes(error.code),
              JSON.stringify(error));
  }
});

scenario('exp, app and sub are enforced, and the algorithm is the key\'s',
         { apps }, async (scene) => {
  const { server } = scene;
  const now = Math.floor(Date.now() / 1000);
  const good = { sub: 'bob', app: 'red', exp: now + 60 };
  const none = `${Buffer.from('{"alg":"none"}').toString('base64url')}.` +
    `${Buffer.from(JSON.stringify(good)).toString('base64url')}.`;
  const ask = async (token) => server.get('/v1/poll', {
    headers: { authorization: `Bearer ${token}` },
  });
  const { sub, app, exp, ...rest } = good;

  assert.equal((await ask(sign(good, apps.red))).status, 200);
  const wrong = {
    'signed by another app\'s key': sign(good, apps.blue),
    'without exp': sign({ sub, app, ...rest }, apps.red),
    'without sub': sign({ app, exp }, apps.red),
    'without app': sign({ sub, exp }, apps.red),
    'of an unknown app': sign({ ...good, app: 'green' }, apps.red),
    'with a bad sub': sign({ ...good, sub: 'no spaces' }, apps.red),
    'expired': sign({ ...good, exp: now - 3600 }, apps.red),
    'unsigned': none,
    'another algorithm': sign(good, apps.red, { alg: 'HS512' }),
    'cut short': sign(good, apps.red).slice(0, -3),
    'empty': '',
    'nonsense': 'a.b.c',
  };
  for (const [what, token] of Object.entries(wrong)) {
    const { status, json } = await ask(token);
    assert.equal(status, 401, what);
    assert.ok(['unauthorized', 'token_expired'].includes(json.error.code),
              what);
    assert.ok(token === '' || !json.error.message.includes(token),
              'a token is not repeated');
  }
});

story('nobody follows without saying who they are', everyone, async (scene) => {
  for (const token of [undefined, 'nonsense']) {
    const follower = await scene.follow(scene.transport, { token });

    if (duplexes.includes(scene.transport) && token === undefined) {
      // it may still say it with its first method
      const reply = await follower.reply('session.info')
        .catch(() => ({ error: { code: 'unauthorized' } }));
      assert.equal(reply.error.code, 'unauthorized');
      continue;
    }
    const end = await follower.ending();
    if (end.status !== undefined)
      assert.equal(end.status, 401);
    else
      assert.ok(end.code >= 4100 && end.code < 4200, JSON.stringify(end));
  }
});

story('access_token= in the query is a token, too', everyone, async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const follower = await scene.follow(scene.transport, {
    query: { access_token: bob.token }, patient: true,
  });
  await follower.seen('hello');
  await alice.send(bob, 'one');
  await follower.next('message');
});

story('a ticket opens one stream, once', {
  over: clients.filter((name) => name !== 'tcp'),
}, async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const { ticket } = await bob.call('ticket');
  const follower = await scene.follow(scene.transport, { query: { ticket } });

  await follower.seen('hello');
  if (!['poll', 'longpoll', 'jsonp'].includes(scene.transport)) {
    await alice.send(bob, 'one');
    await follower.next('message');
  }
  const again = await scene.follow(scene.transport, { query: { ticket } });
  const end = await again.ending();
  if (end.status !== undefined)
    assert.equal(end.status, 401);
  else
    assert.ok(end.code >= 4100 && end.code < 4200, JSON.stringify(end));
});

scenario('two workers redeem a ticket once between them', async (scene) => {
  const bob = await scene.person('bob');

  for (let i = 0; i < 5; i++) {
    const { ticket } = await bob.call('ticket');
    const answers = await Promise.all(Array.from({ length: 8 }, () =>
      scene.server.get(`/v1/poll?ticket=${encodeURIComponent(ticket)}`)));
    assert.equal(answers.filter(({ status }) => status === 200).length, 1);
  }
});

scenario('session.info says who I am', { apps }, async (scene) => {
  const bob = await scene.person('bob', { app: 'red' });
  const info = await bob.call('session.info');

  assert.equal(info.user, bob.name);
  assert.equal(info.app, 'red');
  assert.ok(info.expires_ms > Date.now());
});

scenario('without --demo nobody logs in by name', { demo: false, apps },
         async (scene) => {
  await assert.rejects(scene.server.login('bob'),
                       refusedWith('not_found', 'forbidden'));
});

story('two apps with equal ids never see each other', { ...everyone, apps },
      async (scene) => {
  const id = `team-${scene.transport}`;
  const names = [`alice-${scene.transport}`, `bob-${scene.transport}`];
  const cast = async (app) => {
    const [alice, bob] = await Promise.all(names.map((name) =>
      scene.named(name, { app })));
    const mixed = await bob.follow(scene.transport, { cursor: '0' });
    return { app, alice, bob, mixed };
  };
  const red = await cast('red');
  const blue = await cast('blue');
  const group = `0:2:${id}`;
  const pair = `0:1:${names[0]}:${names[1]}`;

  // only red talks; blue asks for the same names with every method
  await red.alice.call('conversation.create', {
    type: 'group', id, members: [names[1]], settings: { joinable: true },
  });
  await red.alice.send(group, 'red group');
  const { short_id: redShort } = await red.alice.send(names[1], 'red pair',
                                                { client_msg_id: 'same' });
  await red.mixed.seen((event) => event.body?.text === 'red pair');
  const unknown = refusedWith('not_found', 'not_member', 'forbidden');
  const attempts = [
    ['message.history', {}], ['message.read', { seq: 1 }],
    ['message.ack', { seq: 1 }], ['conversation.get', {}],
    ['conversation.join', {}], ['conversation.leave', {}],
    ['conversation.invite', { users: ['carol'] }],
  ];
  for (const [method, params] of attempts) {
    for (const conversation of [group, redShort])
      await assert.rejects(blue.bob.call(method, { conversation, ...params }),
                           unknown, `${method} ${conversation}`);
    // two people may look at what they have not said yet: it is empty
    const answer = await blue.bob
      .call(method, { conversation: pair, ...params })
      .catch((error) => error);
    assert.ok(answer instanceof Refusal || !(answer.last_seq > 0) &&
              !/red (group|pair)/.test(JSON.stringify(answer)),
              `${method}: ${JSON.stringify(answer)}`);
  }
  for (const conversation of [group, redShort])
    await assert.rejects(
      blue.bob.call('message.send', { conversation, body: { text: 'hi' } }),
      unknown);
  assert.deepEqual((await blue.bob.call('conversation.list'))
    .conversations, []);
  const single = await blue.bob.follow(scene.transport,
                                       { conversation: group, after: 0 });
  if (!single.end)
    await single.ending();
  assert.deepEqual(single.texts, []);

  // now blue uses the same names: another group, another pair, seq 1
  const created = await blue.alice.call('conversation.create', {
    type: 'group', id, members: [names[1]],
  });
  assert.equal(created.last_seq, 1);
  await blue.alice.send(group, 'blue group');
  const sent = await blue.alice.send(names[1], 'blue pair',
                                     { client_msg_id: 'same' });
  assert.equal(sent.duplicate, false);
  assert.equal(sent.seq, 1);
  assert.notEqual(sent.short_id, redShort);
  await blue.mixed.seen((event) => event.body?.text === 'blue pair');
  await red.alice.send(names[1], 'red again');
  await red.mixed.seen((event) => event.body?.text === 'red again');
  await blue.alice.send(names[1], 'blue again');
  await blue.mixed.seen((event) => event.body?.text === 'blue again');
  assert.deepEqual(blue.mixed.texts, ['blue group', 'blue pair', 'blue again']);
  assert.deepEqual(red.mixed.texts, ['red group', 'red pair', 'red again']);
  const { messages } = await blue.bob.history(pair, { after: 0 });
  assert.deepEqual(messages.map((entry) => entry.body.text),
                   ['blue pair', 'blue again']);

  // a token of one app carrying the other's name is no key to it
  const crossed = sign({ sub: names[1], app: 'red',
                         exp: Math.floor(Date.now() / 1000) + 60 }, apps.blue);
  await assert.rejects(
    scene.server.call('message.history', { conversation: pair },
                      { token: crossed }),
    refusedWith('unauthorized'));
});

scenario('chains of different inboxes are isolated', { apps },
         async (scene) => {
  const work = await scene.named('dora', { app: 'red', inbox: 7 });
  const home = await scene.named('dora', { app: 'red' });
  const atWork = await work.follow('sse', { cursor: '0' });
  const atHome = await home.follow('sse', { cursor: '0' });
  const boss = await scene.named('boss', { app: 'red', inbox: 7 });
  const friend = await scene.named('friend', { app: 'red' });

  assert.equal((await boss.send('dora', 'work')).conversation,
               '7:1:boss:dora');
  await friend.send('dora', 'play');
  await atWork.next('message');
  await atHome.next('message');
  await boss.send('dora', 'more work');
  await friend.send('dora', 'more play');
  await atWork.next('message');
  await atHome.next('message');
  assert.deepEqual(atWork.texts, ['work', 'more work']);
  assert.deepEqual(atHome.texts, ['play', 'more play']);
});
