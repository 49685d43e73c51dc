// Signing in by a code: a new device shows it, one that is signed in reads it
// and agrees, and a long poll brings the token.

import assert from 'node:assert/strict';
import net from 'node:net';
import { Refusal } from '../lib/http.mjs';
import { scenario } from '../lib/story.mjs';
import { eventually } from '../lib/wait.mjs';

const apps = { red: 'a secret of thirty-two bytes: red',
               blue: 'a secret of thirty-two bytes: blue' };
const refused = (code, about = /./) => (error) => {
  assert.ok(error instanceof Refusal, error.stack);
  assert.equal(error.code, code, error.message);
  assert.match(error.text, about);
  return true;
};
const wait = (server, shown, more = {}) =>
  server.call('login.wait', { code: shown.code, secret: shown.secret, ...more });

scenario('a code leads from a phone to a new page, once', { apps },
         async (scene) => {
  const { server } = scene;
  const phone = await scene.person('alice', { app: 'red' });
  const shown = await server.call('login.begin', { name: 'Firefox on Linux' });

  assert.match(shown.code, /^[0-9a-f]{32}$/);
  assert.match(shown.secret, /^[0-9a-f]{32}$/);
  const seen = wait(server, shown); // parked
  const read = await phone.call('login.read', { code: shown.code });
  assert.deepEqual([read.name, read.state], ['Firefox on Linux', 'seen']);
  assert.deepEqual([(await seen).state, (await seen).user],
                   ['seen', phone.name]);
  const approved = wait(server, shown, { state: 'seen' });
  await phone.call('login.approve', { code: shown.code });
  const { state, token, user, app, expires_ms } = await approved;
  assert.deepEqual([state, user, app], ['approved', phone.name, 'red']);
  assert.ok(expires_ms <= (await phone.call('session.info')).expires_ms,
            'nobody prolongs a login by it');
  const info = await server.call('session.info', {}, { token });
  assert.equal(info.user, phone.name);
  await assert.rejects(wait(server, shown), refused('not_found', /code/));
  await assert.rejects(phone.call('login.approve', { code: shown.code }),
                       refused('not_found', /code/));
});

scenario('a code without its secret leads nowhere', { apps }, async (scene) => {
  const { server } = scene;
  const [shown, other] = [await server.call('login.begin'),
                          await server.call('login.begin')];
  const phone = await scene.person('alice', { app: 'red' });

  await phone.call('login.approve', { code: shown.code });
  for (const secret of [other.secret, shown.code, '0'.repeat(32), 'x'])
    await assert.rejects(wait(server, { code: shown.code, secret }),
                         refused('not_found'));
  await assert.rejects(server.call('login.wait', { code: shown.code }),
                       refused('bad_request', /secret/));
  for (const method of ['login.read', 'login.approve', 'login.refuse'])
    await assert.rejects(server.call(method, { code: other.code }),
                         refused('unauthorized'));
  assert.equal((await wait(server, shown)).state, 'approved');
});

scenario('who has read a code decides; others may not', { apps },
         async (scene) => {
  const { server } = scene;
  const alice = await scene.person('alice', { app: 'red' });
  const eve = await scene.person('eve', { app: 'red' });
  const twin = await scene.named(alice.name, { app: 'blue' });
  const shown = await server.call('login.begin');

  await alice.call('login.read', { code: shown.code });
  for (const other of [eve, twin])
    for (const method of ['login.read', 'login.approve', 'login.refuse'])
      await assert.rejects(other.call(method, { code: shown.code }),
                           refused('conflict', /somebody else/));
  await alice.call('login.refuse', { code: shown.code });
  await assert.rejects(alice.call('login.approve', { code: shown.code }),
                       refused('conflict', /decided/));
  assert.equal((await wait(server, shown, { state: 'seen' })).state, 'refused');
  await assert.rejects(wait(server, shown), refused('not_found'));
});

scenario('the app\'s backend may make the token itself', { apps },
         async (scene) => {
  const { server } = scene;
  const alice = await scene.person('alice', { app: 'red' });
  const shown = await server.call('login.begin');
  const made = server.token(alice.name, { app: 'red', device: 'desk' });

  for (const token of [server.token('eve', { app: 'red' }),
                       server.token(alice.name, { app: 'blue' })])
    await assert.rejects(alice.call('login.approve', { code: shown.code, token }),
                         refused('forbidden', /token/));
  await assert.rejects(alice.call('login.approve', { code: shown.code, token: 'no' }),
                       refused('unauthorized'));
  await alice.call('login.approve', { code: shown.code, token: made });
  assert.equal((await wait(server, shown)).token, made);
});

scenario('a wait answers when its time is over, and to the newest alone',
         { apps }, async (scene) => {
  const { server } = scene;
  const shown = await server.call('login.begin');

  assert.equal((await wait(server, shown, { wait: 0 })).state, 'new');
  const first = wait(server, shown);
  const second = wait(server, shown, { wait: 60 });
  const earlier = await Promise.race([first.then(() => 'first'),
                                      second.then(() => 'second')]);
  const alice = await scene.person('alice', { app: 'red' });
  await alice.call('login.approve', { code: shown.code });
  const answers = [await first, await second];
  assert.ok(['first', 'second'].includes(earlier));
  assert.equal(answers.filter(({ token }) => token).length, 1);
});

for (const connection of ['keep-alive', 'close']) // each is another host's
  scenario(`who has left uses no code up (${connection})`, { apps },
           async (scene) => {
    const { server } = scene;
    const alice = await scene.person('alice', { app: 'red' });
    const shown = await server.call('login.begin');
    const before = await server.metric('rung_connections');
    const body = JSON.stringify({ ...shown, wait: 60 });
    const socket = net.connect(server.port, '127.0.0.1');

    socket.write('POST /v1/login.wait HTTP/1.1\r\nHost: x\r\n' +
                 `Connection: ${connection}\r\n` +
                 `Content-Length: ${body.length}\r\n\r\n${body}`);
    await eventually(async () =>
      await server.metric('rung_connections') > before, 'it waits');
    socket.destroy();
    await eventually(async () =>
      await server.metric('rung_connections') <= before, 'it is missed');
    await alice.call('login.approve', { code: shown.code });
    assert.ok((await wait(server, shown)).token, 'the code is still good');
    await assert.rejects(wait(server, shown), refused('not_found'));
  });

scenario('a server that goes away answers who waits', { apps },
         async (scene) => {
  const { server } = scene;
  const shown = await server.call('login.begin');
  let asked = await server.metric('rung_requests_total');
  const waiting = wait(server, shown, { wait: 60 });

  await eventually(async () => {
    asked += 1; // a look at the metrics counts as well
    return await server.metric('rung_requests_total') > asked;
  }, 'the wait has come');
  server.stop(); // which must be soon: a minute would fail
  assert.equal((await waiting).state, 'new');
});

scenario('neither codes nor secrets nor tokens are told to the log',
         { apps, env: { RUNG_LOG_LEVEL: 'debug' } }, async (scene) => {
  const { server } = scene;
  const alice = await scene.person('alice', { app: 'red' });
  const shown = await server.call('login.begin');

  await alice.call('login.approve', { code: shown.code });
  const { token } = await wait(server, shown);
  for (const secret of [shown.code, shown.secret, token])
    assert.ok(!server.stderr.includes(secret));
});

scenario('what is not a code is refused by name', { apps }, async (scene) => {
  const alice = await scene.person('alice', { app: 'red' });

  for (const code of [undefined, 7, '', 'x'.repeat(33)])
    await assert.rejects(alice.call('login.read', { code }),
                         refused('bad_request', /code/));
  for (const code of ['x', '0'.repeat(32)])
    await assert.rejects(alice.call('login.read', { code }),
                         refused('not_found', /code/));
  await assert.rejects(scene.server.call('login.begin', { name: 'x'.repeat(65) }),
                       refused('bad_request', /name/));
});
