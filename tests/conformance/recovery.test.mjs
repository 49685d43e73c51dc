// Connection state recovery by hand: what a client that comes back is given,
// and who is given nothing.

import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
import { eventually } from '../lib/wait.mjs';
import { ask } from './engine.mjs';
import { givenServer } from './given.mjs';
import { open, openPolling, SOCKETIO } from './socketio.mjs';

let server;

before(async () => {
  server = await givenServer({ recovery: 'on' });
});
after(() => server.finish());

const argsOf = (text) => {
  assert.ok(text?.startsWith('42['), text);
  return JSON.parse(text.slice(2));
};

/** A client that knows how far it has come. */
class Member {
  /** Events as they came, without their offsets. */
  events = [];

  static async open(begin = open, auth = {}) {
    const member = new Member();
    await member.connect(begin, auth);
    return member;
  }

  /** `auth` goes with what it knows, unless it says otherwise. */
  async connect(begin = open, auth = {}) {
    this.channel = await begin(server);
    const { pid, offset } = this;
    await this.channel.send(`40${JSON.stringify({ pid, offset, ...auth })}`);
    this.answer = undefined;
    /* missed events may come before the answer: a client keeps them */
    while (this.answer === undefined) {
      const text = await this.channel.next();
      if (text.startsWith('40'))
        this.answer = JSON.parse(text.slice(2));
      else
        this.take(text);
    }
    this.recovered = pid !== undefined && this.answer.pid === pid;
    this.pid = this.answer.pid;
  }

  take(text) {
    const args = argsOf(text);
    assert.equal(typeof args.at(-1), 'string', text);
    this.offset = args.pop();
    this.events.push(args);
  }

  /** The next event but `auth`. */
  async next() {
    for (;;) {
      this.take(await this.channel.next());
      if (this.events.at(-1)[0] !== 'auth')
        return this.events.at(-1);
    }
  }

  /** Everything until an echo, which is left out. */
  async all() {
    const mark = String(Math.random());
    await this.channel.send(`42["message",${JSON.stringify(mark)}]`);
    const before = this.events.length;
    while ((await this.next())[1] !== mark)
      ;
    this.events.pop();
    return this.events.slice(before);
  }

  async join(room) {
    await this.channel.send(`429["join","${room}"]`);
    for (let text; (text = await this.channel.next()) !== '439[]';)
      this.take(text);
  }

  /** The connection breaks, and the server knows. */
  async lose() {
    const { sid } = this.channel;
    this.channel.close();
    await eventually(async () =>
      (await ask(server, { path: SOCKETIO, sid })).json?.code === 1,
    'the server notices');
  }
}

const others = (events) => events.filter(([name]) => name !== 'auth');

test('the answer has a secret besides the id', async () => {
  const a = await Member.open();
  assert.deepEqual(Object.keys(a.answer).sort(), ['pid', 'sid']);
  assert.notEqual(a.answer.pid, a.answer.sid);
  assert.notEqual(a.answer.pid, a.channel.sid);
  const b = await Member.open();
  assert.notEqual(a.pid, b.pid);
  a.channel.close();
  b.channel.close();
});

test('each event carries where it is, none twice', async () => {
  const a = await Member.open();
  const offsets = new Set();
  await a.join('r');
  for (const say of ['message', 'in-room","r","x']) {
    await a.channel.send(`42["${say}",1]`);
    await a.next();
    offsets.add(a.offset);
  }
  assert.equal(offsets.size, 2);
  a.channel.close();
});

test('an event that asks for an ack carries nothing', async () => {
  const a = await Member.open();
  await a.all();
  await a.channel.send('42["server-ask",1]');
  const text = await a.channel.next();
  assert.match(text, /^42\d+\["ask",1\]$/);
  a.channel.close();
});

test('who comes back is who it was, and gets what it missed', async () => {
  const a = await Member.open();
  const b = await Member.open();
  await a.join('r1');
  await a.all();
  const { sid } = a.answer;
  await a.lose();
  a.events = [];
  await b.channel.send('42["to-room","r1","missed",1,{"a":"€"}]');
  await b.channel.send('42["to-room","elsewhere","not for a"]');
  await b.channel.send('42["broadcast","missed",2]');
  await b.channel.send('42["in-room","r1","missed",3]');
  await b.all();
  await a.connect();
  assert.ok(a.recovered);
  assert.equal(a.answer.sid, sid);
  await a.all();
  assert.deepEqual(others(a.events), [
    ['missed', 1, { a: '€' }], ['missed', 2], ['missed', 3]]);
  /* it is in its room still */
  await b.channel.send('42["to-room","r1","live"]');
  assert.deepEqual(await a.next(), ['live']);
  a.channel.close();
  b.channel.close();
});

test('again and again, over either transport', async () => {
  const a = await Member.open();
  const b = await Member.open();
  const expected = [];
  await a.join('r2');
  await a.all();
  for (let round = 0; round < 4; round++) {
    await b.channel.send(`42["to-room","r2","live",${round}]`);
    assert.deepEqual(await a.next(), ['live', round]);
    await (a.channel.handshake.upgrades.length === 0
      ? a.lose() : a.channel.send('1'));
    for (let i = 0; i < 3; i++) {
      await b.channel.send(`42["to-room","r2","missed",${round},${i}]`);
      expected.push(['missed', round, i]);
    }
    await b.all();
    await a.connect(round % 2 ? open : openPolling);
    assert.ok(a.recovered, `round ${round}`);
    await a.all();
  }
  assert.deepEqual(a.events.filter(([name]) => name === 'missed'), expected);
  a.channel.close?.();
  b.channel.close();
});

test('nothing was missed when nothing was said', async () => {
  const a = await Member.open();
  await a.all();
  await a.lose();
  a.events = [];
  await a.connect();
  assert.ok(a.recovered);
  assert.deepEqual(others(await a.all()), []);
  assert.deepEqual(others(a.events), []);
  a.channel.close();
});

test('a pid is useless while its session is connected', async () => {
  const a = await Member.open();
  await a.join('r3');
  await a.all();
  const thief = new Member();
  Object.assign(thief, { pid: a.pid, offset: a.offset });
  await thief.connect();
  assert.ok(!thief.recovered);
  assert.notEqual(thief.answer.sid, a.answer.sid);
  const b = await Member.open();
  await b.channel.send('42["to-room","r3","secret"]');
  assert.deepEqual(await a.next(), ['secret']);
  assert.deepEqual(others(await thief.all()), []);
  for (const one of [a, b, thief])
    one.channel.close();
});

test('a pid is used up by who said goodbye', async () => {
  const a = await Member.open();
  await a.all();
  await a.channel.send('41');
  await a.lose();
  await a.connect();
  assert.ok(!a.recovered);
  a.channel.close();
});

test('what nobody was given recovers nothing', async () => {
  const a = await Member.open();
  await a.all();
  const { offset } = a;
  await a.lose();
  for (const auth of [
    { pid: 'abc', offset }, { pid: '', offset }, { pid: 7, offset },
    { pid: { a: 1 }, offset }, { pid: [a.pid], offset },
    { pid: a.answer.sid, offset },
  ]) {
    const other = new Member();
    await other.connect(open, auth);
    assert.notEqual(other.answer.pid, a.pid, JSON.stringify(auth));
    assert.notEqual(other.answer.sid, a.answer.sid);
    await other.all();
    other.channel.close();
  }
});

test('an offset that never was recovers nothing', async () => {
  for (const offset of ['abc', '', 7, undefined, null, {}]) {
    const a = await Member.open();
    await a.all();
    await a.lose();
    const pid = a.pid;
    await a.connect(open, { offset });
    assert.notEqual(a.answer.pid, pid, JSON.stringify(offset));
    a.channel.close();
  }
});

test('attachments that were missed come with their event', async () => {
  const a = await Member.open();
  const b = await Member.open();
  await a.join('r4');
  await a.all();
  await a.lose();
  await b.channel.send(
    '451-["to-room","r4","bytes",{"_placeholder":true,"num":0}]',
    Buffer.from([1, 2, 3]));
  await b.all();
  a.channel = await open(server);
  a.channel.send(`40${JSON.stringify({ pid: a.pid, offset: a.offset })}`);
  const got = [];
  while (!got.some((one) => Buffer.isBuffer(one)))
    got.push(await a.channel.next());
  assert.match(got.at(-2), /^451-\["bytes",\{"_placeholder":true,"num":0\},"/);
  assert.deepEqual(got.at(-1), Buffer.from([1, 2, 3]));
  a.channel.close();
  b.channel.close();
});

test('each namespace is recovered on its own', async () => {
  const channel = await open(server);
  channel.send('40/custom,');
  const first = JSON.parse((await channel.next()).slice('40/custom,'.length));
  const [, , offset] = JSON.parse(
    (await channel.next()).slice('42/custom,'.length));
  channel.close();
  await eventually(async () => (await ask(server, {
    path: SOCKETIO, sid: channel.sid })).json?.code === 1, 'the end is noticed');
  const again = await open(server);
  const auth = JSON.stringify({ pid: first.pid, offset });
  again.send(`40${auth}`); /* it is another one's */
  let text = await again.next();
  assert.ok(text.startsWith('40{'), text);
  assert.notEqual(JSON.parse(text.slice(2)).pid, first.pid);
  again.send(`40/custom,${auth}`);
  while (!(text = await again.next()).startsWith('40/custom,'))
    ;
  assert.deepEqual(JSON.parse(text.slice('40/custom,'.length)), first);
  again.close();
});
