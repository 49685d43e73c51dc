// message.trace and rung trace: the life of a message, for those who may read it.

import assert from 'node:assert/strict';
import { clients } from '../lib/followers.mjs';
import { Refusal } from '../lib/http.mjs';
import { rung } from '../lib/server.mjs';
import { p2p, scenario, story } from '../lib/story.mjs';
import { eventually } from '../lib/wait.mjs';

const steps = (trace, name) => trace.steps.filter(({ step }) => step === name);

async function traced(person, conversation, seq, ready) {
  let trace;
  await eventually(async () => {
    trace = await person.call('message.trace', { conversation, seq });
    return ready(trace);
  }, () => `the trace is ready: ${JSON.stringify(trace)}`);
  return trace;
}

story('each step has its time, and says over what', { over: clients },
      async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const conversation = p2p(alice, bob);
  const follower = await bob.on('phone').follow(scene.transport,
                                                { cursor: '0' });
  const sent = await alice.on('desk').send(bob, 'hi');

  await follower.next('message');
  await bob.call('message.ack', { conversation, seq: sent.seq });
  await bob.call('message.read', { conversation, seq: sent.seq });
  const trace = await traced(alice, conversation, sent.seq, (found) =>
    steps(found, 'written').length > 0 &&
    steps(found, 'announced').length === 2); // the other worker's may be later

  assert.equal(trace.cursor, sent.cursor);
  assert.equal(trace.from, alice.name);
  const times = trace.steps.map(({ at_us: at }) => at);
  assert.deepEqual(times, times.toSorted((a, b) => a - b));
  assert.deepEqual(trace.steps.slice(0, 2).map(({ step }) => step),
                   ['submitted', 'committed']);
  assert.deepEqual(trace.steps[0], {
    step: 'submitted', at_us: sent.ts * 1000, user: alice.name, device: 'desk',
  });
  assert.equal(steps(trace, 'announced').length, 2, 'to two workers');
  const [written, ...others] = steps(trace, 'written');
  assert.deepEqual(others, []);
  assert.equal(written.user, bob.name);
  assert.equal(written.device, 'phone');
  assert.equal(written.over, { eventsource: 'sse',
                               'socketio-polling': 'socketio' }[scene.transport]
    ?? scene.transport);
  for (const name of ['acknowledged', 'read'])
    assert.deepEqual(steps(trace, name).map(({ user, seq }) => [user, seq]),
                     [[bob.name, sent.seq]]);
  assert.equal(trace.hidden, 0);
});

scenario('what comes back later is written later', async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const conversation = p2p(alice, bob);
  const { seq } = await alice.send(bob, 'hi', { echo: false });
  const before = await alice.call('message.trace', { conversation, seq });

  assert.deepEqual(steps(before, 'written'), []);
  const follower = await bob.follow('stream', { cursor: '0' });
  await follower.next('message');
  await alice.on('default').follow('ws', { cursor: '0' }); // no echo for her
  const trace = await alice.call('message.trace', { conversation, seq });
  assert.deepEqual(steps(trace, 'written').map(({ user, over }) => [user, over]),
                   [[bob.name, 'stream']]);
});

scenario('receipts are known after a restart, and in place of what newer ones ' +
         'say', async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const conversation = p2p(alice, bob);

  await alice.say(bob, 'one', 'two', 'three');
  for (const seq of [1, 2, 3])
    await bob.call('message.read', { conversation, seq });
  await scene.server.restart();
  const trace = await alice.call('message.trace', { conversation, seq: 2 });
  assert.deepEqual(trace.steps.map(({ step, seq }) => [step, seq]),
                   [['submitted', undefined], ['read', 2]]);
});

scenario('only who may read may trace', async (scene) => {
  const [alice, bob, eve] = await scene.people('alice', 'bob', 'eve');
  const conversation = p2p(alice, bob);
  const { conversation: group } = await alice.group([bob]);
  const late = await scene.person('late');

  await alice.say(bob, 'hi');
  await alice.say(group, 'hi');
  await alice.call('conversation.invite', { conversation: group,
                                            user: late.name });
  const refused = (person, params, code) =>
    assert.rejects(person.call('message.trace', params), (error) => {
      assert.ok(error instanceof Refusal, error.stack);
      assert.equal(error.code, code);
      return true;
    });
  await refused(eve, { conversation, seq: 1 }, 'not_member');
  await refused(eve, { conversation: group, seq: 2 }, 'not_member');
  await refused(late, { conversation: group, seq: 2 }, 'not_found');
  await refused(alice, { conversation, seq: 2 }, 'not_found');
  await refused(alice, { conversation }, 'bad_request');
  await refused(alice, { conversation, seq: 0 }, 'bad_request');
});

scenario('who follows a channel is counted, not named', async (scene) => {
  const [owner, one, other] = await scene.people('owner', 'one', 'other');
  const { conversation } = await owner.group([], undefined,
                                             { type: 'channel' });
  const followers = [];
  for (const person of [one, other])
    followers.push(await person.follow('sse', { conversation, after: 0 }));
  const { seq } = await owner.say(conversation, 'news');

  for (const follower of followers)
    await follower.next('message');
  const trace = await traced(one, conversation, seq, (found) =>
    found.hidden > 0 && steps(found, 'written').length > 0);
  assert.deepEqual(steps(trace, 'written').map(({ user }) => user), [one.name]);
  assert.equal(trace.hidden, 1);
});

scenario('without points there is what the log says', {
  env: { RUNG_TRACE_POINTS: '0' },
}, async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const { conversation, seq } = await alice.send(bob, 'hi');

  const trace = await alice.call('message.trace', { conversation, seq });
  assert.deepEqual(trace.steps.map(({ step }) => step), ['submitted']);
});

scenario('rung trace draws it, or prints it for programs', async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const conversation = p2p(alice, bob);
  const follower = await bob.follow('ws');
  const { seq } = await alice.send(bob, 'hi');
  await follower.next('message');
  await bob.call('message.read', { conversation, seq });
  const trace = (...args) => rung(['trace', '--url', scene.server.url,
                                   '--token', alice.token, ...args]);

  const shown = await trace(conversation, String(seq));
  assert.equal(shown.code, 0, shown.stderr);
  assert.match(shown.stdout, new RegExp(`^${conversation} seq ${seq}, from ` +
    `${alice}, \\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d\\.\\d{3} UTC\\n`));
  for (const line of [
    `0.0  submitted +${alice}/default +\\*`,
    '\\d  committed +-*\\*',
    '\\d  announced +worker [01] ',
    `\\d  written +${bob}/default over ws +-*\\*`,
    `\\d  read +${bob}, up to ${seq} +-*\\*`,
  ])
    assert.match(shown.stdout, new RegExp(`\\d*${line}`, 'm'));
  const json = await trace('--json', conversation, String(seq));
  assert.deepEqual(JSON.parse(json.stdout),
                   await alice.call('message.trace', { conversation, seq }));
  const absent = await trace(conversation, '99');
  assert.equal(absent.code, 1);
  assert.match(absent.stderr, /'seq' must be one that you may see here/);
  for (const args of [[], [conversation], [conversation, 'last'],
                      [conversation, '0'], [conversation, '1', '2']]) {
    const { code, stderr } = await trace(...args);
    assert.equal(code, 2, args.join(' '));
    assert.match(stderr, /rung trace/);
  }
});
