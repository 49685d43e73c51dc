// JSONP: the log and the methods for pages that have nothing but script tags.

import assert from 'node:assert/strict';
import { callOf } from '../lib/followers.mjs';
import { raw } from '../lib/http.mjs';
import { p2p, scenario } from '../lib/story.mjs';

/** One answer, checked as a script, and what it calls its function with. */
async function script(person, path, query, headers = {
  authorization: `Bearer ${person.token}`,
}) {
  const asked = new URLSearchParams({ callback: 'f', ...query });
  const answer = await person.server.get(`/v1/${path}?${asked}`, { headers });

  assert.equal(answer.status, 200, answer.text);
  assert.match(answer.headers['content-type'], /^application\/javascript/);
  assert.equal(answer.headers['x-content-type-options'], 'nosniff');
  assert.match(answer.headers['cache-control'], /no-store/);
  assert.ok(answer.text.startsWith(`/**/${query?.callback ?? 'f'}({`));
  assert.ok(answer.text.endsWith('});'));
  assert.doesNotMatch(answer.text.slice(4), /[<>&\u2028\u2029]/);
  const given = callOf(answer.text, query?.callback ?? 'f');
  assert.equal(given.length, 1);
  return given[0];
}

scenario('a JSONP poll calls back with what a long poll answers',
         async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const text = '</script><!-- \u2028\u2029 & 你好';

  const first = await script(bob, 'jsonp');
  assert.deepEqual(first.events, []);
  assert.equal(first.hello.cursor, first.cursor);
  await alice.send(bob, text);
  const query = { cursor: first.cursor, callback: 'app.$on_1' };
  const said = await script(bob, 'jsonp', query);
  const { json } = await bob.poll({ cursor: first.cursor },
                                  { path: '/v1/longpoll' });
  assert.equal(said.events[0].body.text, text);
  assert.deepEqual(said, json);
  const parked = script(bob, 'jsonp', { cursor: said.cursor, wait: 30 });
  await alice.send(bob, 'wake up');
  assert.equal((await parked).events[0].body.text, 'wake up');
});

scenario('a callback must be a plain name', async (scene) => {
  const bob = await scene.person('bob');

  for (const path of ['/v1/jsonp', '/v1/jsonp/session.info'])
    for (const callback of [undefined, '', 'a b', 'alert(1)', 'a;b', '<b>',
                            'x'.repeat(65)])
      for (const headers of [{}, { authorization: 'Bearer none' }]) {
        const { status, json, headers: told } = await bob.poll(
          { ...(callback !== undefined && { callback }) }, { path, headers });
        assert.equal(status, 400, `${path} ${callback}`);
        assert.equal(json.error.code, 'bad_request');
        assert.match(json.error.message, /callback/);
        assert.match(told['content-type'], /^application\/json/);
      }
  await script(bob, 'jsonp/session.info', { callback: 'x'.repeat(64) });
});

scenario('errors are calls, too: a script of status 4xx is not run',
         async (scene) => {
  const bob = await scene.person('bob');
  const none = { authorization: 'Bearer no-token' };
  const codeOf = async (...asked) =>
    (await script(bob, ...asked)).error?.code;

  assert.equal(await codeOf('jsonp', {}, none), 'unauthorized');
  assert.equal(await codeOf('jsonp/session.info', {}, none), 'unauthorized');
  assert.equal(await codeOf('jsonp', { wait: 61 }), 'bad_request');
  assert.equal(await codeOf('jsonp', { cursor: 'x' }), 'bad_request');
  assert.equal(await codeOf('jsonp/message.sned'), 'not_found');
  assert.equal(await codeOf('jsonp/message.send', { params: '{' }),
               'bad_request');
  assert.equal(await codeOf('jsonp/message.send', { params: '{"to":"x"}' }),
               'bad_request');
  assert.ok(await scene.server.metric('rung_errors_total',
                                      'bad_request') >= 4);
});

scenario('methods are called by JSONP with the same parameters and results',
         async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const params = JSON.stringify({
    to: bob.name, client_msg_id: 'once', body: { text: 'a+b & c</script>' },
  });
  const sent = await script(alice, 'jsonp/message.send', { params });
  const again = await script(alice, 'jsonp/message.send', { params });

  assert.equal(sent.conversation, p2p(alice, bob));
  assert.equal(sent.seq, 1);
  assert.equal(sent.duplicate, false);
  assert.deepEqual(again, { ...sent, duplicate: true });
  const history = { conversation: sent.conversation };
  const { messages } = await script(bob, 'jsonp/message.history',
                                    { params: JSON.stringify(history) });
  assert.equal(messages[0].body.text, 'a+b & c</script>');
  assert.deepEqual(await bob.history(sent.conversation, {}),
                   await script(bob, 'jsonp/message.history',
                                { params: JSON.stringify(history) }));
});

scenario('JSONP brings its own token or ticket, and only GET calls',
         async (scene) => {
  const bob = await scene.person('bob');
  const anonymous = { cookie: `access_token=${bob.token}` };

  // not even what needs no identity by POST
  const { error } = await script(bob, 'jsonp/demo.login',
                                 { params: '{"user":"mallory"}' }, anonymous);
  assert.equal(error.code, 'unauthorized');
  const { ticket } = await script(bob, 'jsonp/ticket');
  const info = await script(bob, 'jsonp/session.info', { ticket }, {});
  assert.equal(info.user, bob.name);
  const used = await script(bob, 'jsonp/session.info', { ticket }, {});
  assert.equal(used.error.code, 'unauthorized');
  for (const method of ['POST', 'HEAD', 'DELETE']) {
    const { text } = await raw(
      scene.server.port,
      `${method} /v1/jsonp/ticket?callback=f&access_token=${bob.token} ` +
      'HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
    assert.match(text, /^HTTP\/1\.1 405 /, method);
    assert.match(text, /^allow: GET, OPTIONS\r$/im);
  }
});
