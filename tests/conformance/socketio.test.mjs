// Socket.IO 5 by hand: namespaces, events, acks, attachments, and what ends a
// connection.

import assert from 'node:assert/strict';
import test, { after, before, describe } from 'node:test';
import { givenServer, oursOnly } from './given.mjs';
import {
  assertEvent, echoes, join, joined, open, openPolling,
} from './socketio.mjs';

let server;

before(async () => {
  server = await givenServer({ recovery: 'off' });
});
after(() => server.finish());

/** Both ways that a packet can come. */
const ways = [['WebSocket', open], ['polling', openPolling]];

describe('connecting', () => {
  for (const [name, begin] of ways) {
    test(`to / over ${name}`, async () => {
      const channel = await begin(server);
      const answer = await join(channel);
      assert.deepEqual(Object.keys(answer), ['sid']);
      assert.match(answer.sid, /^[\w-]{20,}$/);
      assert.notEqual(answer.sid, channel.sid, 'the session\'s id is a secret');
      await echoes(channel);
    });

    test(`to /custom with a payload over ${name}`, async () => {
      const channel = await begin(server);
      const answer = await join(channel, '/custom', { token: '123', n: [1] });
      assert.deepEqual(Object.keys(answer), ['sid']);
      await echoes(channel, '/custom');
    });

    test(`with a payload that is none ends it, over ${name}`, async () => {
      for (const payload of ['abc', '[]', '"a"', 'null', '{"a":']) {
        const channel = await begin(server);
        await channel.send(`40${payload}`);
        await channel.closes();
      }
    });
  }

  test('the comma may be missing behind the namespace', async () => {
    const channel = await open(server);
    channel.send('40/custom');
    assert.match(await channel.next(), /^40\/custom,\{"sid":"/);
    channel.close();
  });

  test('to no namespace there is', async () => {
    const channel = await open(server);
    channel.send('40/random');
    assert.equal(await channel.next(),
                 '44/random,{"message":"Invalid namespace"}');
    await join(channel); /* one may try another */
    channel.close();
  });

  test('to none again and again ends it', oursOnly, async () => {
    for (const [, begin] of ways) {
      const channel = await begin(server);
      await channel.send(...Array(100).fill('40/random'));
      for (let i = 0; i < 8; i++)
        assert.match(await channel.next(), /^44\/random,/);
      await channel.closes();
    }
  });

  test('to none, once in a while, is no fault', async () => {
    const channel = await open(server);
    for (let i = 0; i < 5; i++) {
      channel.send(...Array(4).fill('40/random'));
      for (let j = 0; j < 4; j++)
        assert.match(await channel.next(), /^44\/random,/);
      await join(channel);
      channel.send('41');
    }
    channel.close();
  });

  test('to several namespaces, each on its own', async () => {
    const channel = await open(server);
    const ids = [await join(channel), await join(channel, '/custom')];
    assert.notEqual(ids[0].sid, ids[1].sid);
    await echoes(channel, '/custom');
    await echoes(channel);
    channel.close();
  });

  test('with what a middleware does not accept', async () => {
    const channel = await open(server);
    for (const payload of ['', '{"token":"bad"}', '{"token":["good"]}']) {
      channel.send(`40/admin,${payload}`);
      const text = await channel.next();
      assert.ok(text.startsWith('44/admin,'), text);
      assert.deepEqual(JSON.parse(text.slice('44/admin,'.length)), {
        message: 'not authorized',
        data: { code: 401, content: 'retry later' },
      });
    }
    channel.send('40/admin,{"token":"good"}');
    assert.match(await channel.next(), /^40\/admin,\{"sid":"/);
    channel.close();
  });

  test('twice ends the connection', async () => {
    const channel = await joined(server);
    channel.send('40');
    await channel.closes();
  });

  test('is what a connection is for', async () => {
    const hasty = await givenServer({ 'connect-timeout': 1000 });
    try {
      const channel = await open(hasty);
      assert.equal(await channel.next(), undefined);
      await (await openPolling(hasty)).closes();
      const refused = await open(hasty);
      refused.send('40/random');
      assert.match(await refused.next(), /^44/);
      assert.equal(await refused.next(), undefined);
      const good = await joined(hasty);
      const late = await open(hasty); /* whose end says that time has passed */
      assert.equal(await late.next(), undefined);
      await echoes(good);
      good.close();
    } finally {
      await hasty.finish();
    }
  });
});

describe('disconnecting', () => {
  test('from one namespace leaves the others', async () => {
    const channel = await open(server);
    await join(channel);
    await join(channel, '/custom');
    channel.send('41/custom,');
    await echoes(channel);
    await join(channel, '/custom'); /* and one may come back */
    channel.send('41');
    await echoes(channel, '/custom');
    channel.close();
  });

  test('an event behind it ends the connection', async () => {
    const channel = await joined(server);
    await join(channel, '/custom');
    channel.send('41');
    await echoes(channel, '/custom');
    channel.send('42["message","a"]');
    await channel.closes();
  });

  test('is told when the server does it', async () => {
    const channel = await open(server);
    await join(channel);
    await join(channel, '/custom');
    channel.send('42/custom,["leave-ns"]');
    assert.equal(await channel.next(), '41/custom,');
    await echoes(channel);
    channel.close();
  });

  test('is told before the connection is closed', async () => {
    const channel = await joined(server);
    channel.send('42["kick"]');
    assert.equal(await channel.next(), '41');
    assert.equal(await channel.next(), undefined);
    const polling = await openPolling(server);
    await join(polling);
    await polling.send('42["kick"]');
    assert.equal(await polling.next(), '41');
    await (polling.packets.includes('1') ? polling.gone() : polling.closes());
  });
});

describe('events', () => {
  /* argument lists as JSON */
  const cases = [
    ['none', ''],
    ['of every kind', ',1,"2",{"3":[true,null,-0.5e3]},[],{}'],
    ['with characters', ',"€ 😀 \\u2028 \\" \\\\ \\u001e\\u0000\\n"'],
    ['that look like attachments', ',{"_placeholder":true,"num":0}'],
    ['that look like attachments that are not there',
     ',[{"_placeholder":true,"num":-3}]'],
    ['of 30 levels', `,${'['.repeat(30)}${']'.repeat(30)}`],
  ];

  for (const [name, begin] of ways) {
    for (const [what, args] of cases)
      test(`arguments ${what} come back over ${name}`, async () => {
        const channel = await begin(server);
        await join(channel);
        await channel.send(`42["message"${args}]`);
        assertEvent(await channel.next(), '/',
                    JSON.parse(`["message-back"${args}]`));
      });

    test(`an ack has the arguments, over ${name}`, async () => {
      const channel = await begin(server);
      await join(channel);
      await channel.send('42456["message-with-ack",1,"2",{"3":[false]}]',
                         '420["message-with-ack"]');
      assert.equal(await channel.next(), '43456[1,"2",{"3":[false]}]');
      assert.equal(await channel.next(), '430[]');
    });
  }

  test('are never written anew', oursOnly, async () => {
    const channel = await joined(server);
    for (const args of ['1.0', '12345678901234567890123', '1e400',
                        '"\\ud800"', '"\\u0041\\/"', '{"b":1,"a":2,"b":3}',
                        '[1, 2 ,\t3]']) {
      channel.send(`42["message",${args}]`);
      assert.equal(await channel.next(), `42["message-back",${args}]`);
    }
    channel.close();
  });

  test('in a namespace stay there', async () => {
    const channel = await open(server);
    await join(channel, '/custom');
    channel.send('42/custom,7["message-with-ack","a"]');
    assert.equal(await channel.next(), '43/custom,7["a"]');
    channel.close();
  });

  test('that nobody knows are nothing', async () => {
    const channel = await joined(server);
    channel.send('42["unknown",1]', '421["no-ack"]', '42[7,"a number"]');
    await echoes(channel);
    channel.close();
  });

  test('the server may ask', async () => {
    const channel = await joined(server);
    channel.send('42["server-ask",1,"2"]');
    const [, id, args] = /^42(\d+)(.*)$/.exec(await channel.next());
    assert.equal(args, '["ask",1,"2"]');
    channel.send(`43${id}["yes",{"a":1}]`);
    assertEvent(await channel.next(), '/', ['asked', 'yes', { a: 1 }]);
    channel.send(`43${id}["again"]`); /* which asks nothing any more */
    await echoes(channel);
    channel.close();
  });

  test('an ack of nothing is nothing', async () => {
    const channel = await joined(server);
    channel.send('43[1]', '430["a"]', '439007199254740991[]');
    await echoes(channel);
    channel.close();
  });
});

describe('what ends a connection', () => {
  const deep = `${'['.repeat(100000)}${']'.repeat(100000)}`;

  for (const [name, packet] of [
    ['an unknown type', 'abc'],
    ['type 7', '7'],
    ['no type', ''],
    ['an event that is no list', '2{}'],
    ['an event without a name', '2[]'],
    ['an event whose name is null', '2[null]'],
    ['an event whose name is a list', '2[["a"]]'],
    ['JSON that stops', '2["a"'],
    ['JSON with something behind it', '2["a"]x'],
    ['an ack id that is none', '2abc["message-with-ack"]'],
    ['an ack that is no list', '30{}'],
    ['a disconnect with data', '1{}'],
    ['an error from a client', '4{"message":"no"}'],
    ['an event to a namespace not joined', '2/custom,["message"]'],
    ['an ack to a namespace not joined', '3/custom,1[]'],
    ['a disconnect from a namespace not joined', '1/custom,'],
    ['an event to a namespace that is none', '2/random,["message"]'],
    ...['connect', 'connect_error', 'disconnect', 'disconnecting',
        'newListener', 'removeListener'].map((event) => [
      `the reserved name ${event}`, `2["${event}"]`]),
    ['attachments that are not counted', '5["message"]'],
    ['attachments without their dash', '51["message"]'],
    ['attachments that are no number', '5abc-["message"]'],
    ['no attachments', '50-["message"]'],
    ['more attachments than anyone holds', '5100000000000-["message"]'],
    ['11 attachments', '511-["message"]'],
  ]) {
    test(`${name}, on a WebSocket`, async () => {
      const channel = await joined(server);
      channel.send(`4${packet}`);
      await channel.closes();
    });

    test(`${name}, on polling`, async () => {
      const polling = await openPolling(server);
      await join(polling);
      await polling.post(`4${packet}`);
      await polling.closes();
    });
  }

  test('nesting without a bottom', oursOnly, async () => {
    const channel = await joined(server);
    channel.send(`42["message",${deep}]`);
    await channel.closes();
  });

  test('an event before any namespace', async () => {
    const channel = await open(server);
    channel.send('42["message"]');
    await channel.closes();
  });
});

describe('attachments', () => {
  const one = Buffer.from([1, 2, 3]);
  const two = Buffer.from([4, 5, 6]);
  const place = (num) => `{"_placeholder":true,"num":${num}}`;

  test('come back in their places', async () => {
    const channel = await joined(server);
    channel.send(`452-["message",{"a":${place(0)}},[${place(1)}],"b"]`,
                 one, two);
    assert.equal(
      await channel.next(),
      `452-["message-back",{"a":${place(0)}},[${place(1)}],"b"]`);
    assert.deepEqual(await channel.next(), one);
    assert.deepEqual(await channel.next(), two);
    channel.close();
  });

  test('come back over polling', async () => {
    const polling = await openPolling(server);
    await join(polling);
    await polling.send(`452-["message",${place(0)},${place(1)}]`,
                       `b${one.toString('base64')}`,
                       `b${two.toString('base64')}`);
    assert.equal(await polling.next(),
                 `452-["message-back",${place(0)},${place(1)}]`);
    assert.equal(await polling.next(), `b${one.toString('base64')}`);
    assert.equal(await polling.next(), `b${two.toString('base64')}`);
  });

  test('may come in several POSTs', async () => {
    const polling = await openPolling(server);
    await join(polling);
    await polling.send(`452-["message",${place(0)},${place(1)}]`);
    await polling.send(`b${one.toString('base64')}`);
    await polling.send(`b${two.toString('base64')}`);
    assert.match(await polling.next(), /^452-/);
    await polling.next();
    assert.equal(await polling.next(), `b${two.toString('base64')}`);
  });

  test('come back in acks', async () => {
    const channel = await joined(server);
    channel.send(`451-12["message-with-ack",${place(0)}]`, one);
    assert.equal(await channel.next(), `461-12[${place(0)}]`);
    assert.deepEqual(await channel.next(), one);
    channel.close();
  });

  test('come with a question and with its answer', async () => {
    const channel = await joined(server);
    channel.send(`451-["server-ask",${place(0)}]`, one);
    const [, id] = /^451-(\d+)\["ask",/.exec(await channel.next());
    assert.deepEqual(await channel.next(), one);
    channel.send(`461-${id}[${place(0)}]`, two);
    assert.equal(await channel.next(), `451-["asked",${place(0)}]`);
    assert.deepEqual(await channel.next(), two);
    channel.close();
  });

  test('belong to the namespace of their packet', async () => {
    const channel = await joined(server, '/custom');
    channel.send(`451-/custom,["message",${place(0)}]`, one);
    assert.equal(await channel.next(),
                 `451-/custom,["message-back",${place(0)}]`);
    assert.deepEqual(await channel.next(), one);
    channel.close();
  });

  test('may be ten', async () => {
    const channel = await joined(server);
    const places = Array.from({ length: 10 }, (_, i) => place(i)).join();
    channel.send(`4510-["message",${places}]`,
                 ...Array.from({ length: 10 }, (_, i) => Buffer.from([i])));
    assert.equal(await channel.next(), `4510-["message-back",${places}]`);
    for (let i = 0; i < 10; i++)
      assert.deepEqual(await channel.next(), Buffer.from([i]));
    channel.close();
  });

  test('may be empty', async () => {
    const channel = await joined(server);
    channel.send(`451-["message",${place(0)}]`, Buffer.alloc(0));
    assert.equal(await channel.next(), `451-["message-back",${place(0)}]`);
    assert.equal((await channel.next()).length, 0);
    channel.close();
  });

  for (const [name, ...messages] of [
    ['with text between them', `452-["message",${place(0)},${place(1)}]`, one,
     '42["message"]'],
    ['that no packet announced', one],
    ['for a namespace that nobody is in',
     `451-/custom,["message",${place(0)}]`],
    ['that are too many', `451-["message",${place(0)}]`, one, two],
    ['named too high', `451-["message",${place(1)}]`, one],
    ['named below none', `451-["message",${place(-1)}]`, one],
    ['named by text', `451-["message",${place('"0"')}]`, one],
    ['named by nothing', '451-["message",{"_placeholder":true}]', one],
    ['named too high far down',
     `451-["message",[{"a":[{"b":${place(7)}}]}]]`, one],
    ['named too high under another spelling',
     '451-["message",{"_\\u0070laceholder":true,"num":1}]', one],
  ])
    test(`${name} end the connection`, async () => {
      const channel = await joined(server);
      channel.send(...messages.map((message) => message));
      await channel.closes();
    });

  test('are with their text no more than a payload', oursOnly, async () => {
    const small = await givenServer({ 'max-payload': 10000 });
    try {
      const [channel, other] = [await joined(small), await joined(small)];
      const text = `452-["message",${place(0)},${place(1)}]`;
      const rest = Buffer.alloc(10000 - text.slice(1).length - 5000);
      channel.send(text, Buffer.alloc(5000), rest);
      for (let i = 0; i < 3; i++)
        assert.ok(await channel.next());
      other.send(text, Buffer.alloc(5000), Buffer.alloc(rest.length + 1));
      await other.closes();
      channel.close();
    } finally {
      await small.finish();
    }
  });

  test('are not waited for without end', oursOnly, async () => {
    const hasty = await givenServer({}, { RUNG_BODY_TIMEOUT_MS: '1000' });
    try {
      const [channel, other] = [await joined(hasty), await joined(hasty)];
      other.send(`451-["message",${place(0)}]`, one);
      assert.ok(await other.next());
      assert.ok(await other.next());
      channel.send(`452-["message",${place(0)},${place(1)}]`, one);
      assert.equal(await channel.next(), undefined);
      await echoes(other);
      other.close();
    } finally {
      await hasty.finish();
    }
  });
});

describe('rooms', () => {
  /** Someone in a namespace; `n` in that test's own rooms. */
  const someone = (space) => joined(server, space);

  test('to others in a room, to all in it, to all others', async () => {
    const [a, b, c] = [await someone(), await someone(), await someone()];
    const custom = await someone('/custom');
    for (const member of [a, b]) {
      member.send('421["join","r1"]');
      assert.equal(await member.next(), '431[]');
    }
    custom.send('42/custom,1["join","r1"]');
    assert.equal(await custom.next(), '43/custom,1[]');

    a.send('42["to-room","r1","hi",1,{"a":2}]');
    assertEvent(await b.next(), '/', ['hi', 1, { a: 2 }]);
    a.send('42["in-room","r1","all"]');
    assertEvent(await a.next(), '/', ['all']);
    assertEvent(await b.next(), '/', ['all']);
    c.send('42["in-room","r1","from outside"]');
    assertEvent(await a.next(), '/', ['from outside']);
    assertEvent(await b.next(), '/', ['from outside']);
    await echoes(c);
    a.send('42["broadcast","b",[]]');
    assertEvent(await b.next(), '/', ['b', []]);
    assertEvent(await c.next(), '/', ['b', []]);
    await echoes(a);
    await echoes(custom, '/custom');
    for (const one of [a, b, c, custom])
      one.close();
  });

  test('who has left hears nothing', async () => {
    const [a, b] = [await someone(), await someone()];
    b.send('421["join","r2"]', '422["leave","r2"]');
    assert.equal(await b.next(), '431[]');
    assert.equal(await b.next(), '432[]');
    a.send('42["in-room","r2","hi"]', '42["to-room","r2","hi"]');
    await echoes(a);
    await echoes(b);
    a.close();
    b.close();
  });

  test('an event can go nowhere', async () => {
    const a = await someone();
    a.send('42["to-room","nobody","hi"]', '42["in-room","nobody","hi"]',
           '421["leave","nobody"]');
    assert.equal(await a.next(), '431[]');
    await echoes(a);
    a.close();
  });

  test('twice in a room is once', async () => {
    const [a, b] = [await someone(), await someone()];
    b.send('421["join","r3"]', '422["join","r3"]');
    await b.next();
    await b.next();
    a.send('42["to-room","r3","hi"]');
    assertEvent(await b.next(), '/', ['hi']);
    await echoes(b);
    a.close();
    b.close();
  });

  test('attachments go to all', async () => {
    const [a, b] = [await someone(), await someone()];
    const polling = await openPolling(server);
    await join(polling);
    b.send('421["join","r4"]');
    await b.next();
    await polling.send('421["join","r4"]');
    await polling.next();
    a.send('451-["to-room","r4","hi",{"_placeholder":true,"num":0}]',
           Buffer.from([9]));
    assert.equal(await b.next(), '451-["hi",{"_placeholder":true,"num":0}]');
    assert.deepEqual(await b.next(), Buffer.from([9]));
    assert.equal(await polling.next(),
                 '451-["hi",{"_placeholder":true,"num":0}]');
    assert.equal(await polling.next(), 'bCQ==');
    a.close();
    b.close();
  });

  test('who has gone is missed by nobody', async () => {
    const [a, b] = [await someone(), await someone()];
    b.send('421["join","r5"]');
    await b.next();
    b.close();
    a.send('42["in-room","r5","hi"]', '42["broadcast","hi"]');
    await echoes(a);
    a.close();
  });
});
