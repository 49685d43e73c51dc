// clients/jsonp.html in a real browser, opened as a file: what docs/CLIENTS.md
// says of it holds when the server is killed, answers get lost and pages reload.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { Server } from '../lib/server.mjs';
import { eventually } from '../lib/wait.mjs';
import { givenBrowser, missing } from './given.mjs';

const skip = missing();
const file = new URL('../../clients/jsonp.html', import.meta.url).href;
const send = '**/v1/jsonp/message.send?*';
const nasty = [
  '</script><script>broken = 1</script><img src=x onerror="broken = 1"><!-- &amp;',
  '"quotes" \'single\' back\\slash \\u0041 \\n %41+%26&params={}#',
  ' two\nlines\u2028\u2029\u0001 Grüße, 你好 😀 ',
];

async function given(t) {
  const server = await Server.start({
    env: { RUNG_BYE_SPREAD_MS: '200', RUNG_RETENTION_INTERVAL_MS: '50' },
  });
  t.after(() => server.finish());
  const browser = await givenBrowser((done) => t.after(done));
  const errors = [];
  t.after(() => assert.deepEqual(errors, []));
  const newPage = async () => {
    const page = await browser.newPage();
    page.on('pageerror', (error) => errors.push(String(error)));
    return page;
  };
  const open = async (token, page) => {
    page ??= await newPage();
    await page.goto(`${file}#${new URLSearchParams({ server: server.url, token })}`);
    return page;
  };
  return { server, newPage, open };
}

async function write(page, to, text) {
  await page.waitForSelector('#send:enabled');
  await page.fill('#to', to);
  await page.fill('#text', text);
  await page.click('#send');
}

/** What the page shows, as [from, text], in its order. */
const shown = (page) => page.$$eval('#log tr', (rows) =>
  rows.map(({ cells }) => [cells[1].textContent, cells[2].textContent]));
const notes = (page) => page.textContent('#notes');

async function shows(page, messages) {
  let last;
  await eventually(async () => (last = await shown(page)).length >= messages.length,
    () => `the page shows ${messages.length} messages, not ${JSON.stringify(last)}`, 60_000);
  assert.deepEqual(await shown(page), messages);
}

const idOf = (url) => JSON.parse(new URL(url).searchParams.get('params')).client_msg_id;

test('the page follows and sends through a kill -9 and its own reload', { skip, timeout: 120_000 }, async (t) => {
  const { server, newPage, open } = await given(t);
  const alice = await open(await server.login('alice'));
  const bob = await newPage();
  await bob.goto(file);
  await bob.fill('#server', `${server.url}/`);
  await bob.fill('#token', `${await server.login('bob')}\n`);
  await bob.click('#enter');

  const all = [['alice', nasty[0]]];
  await write(alice, 'bob', nasty[0]);
  await shows(alice, all);
  await shows(bob, all);
  await server.kill();
  for (const text of nasty.slice(1)) { // while nobody is there
    await write(alice, 'bob', text);
    all.push(['alice', text]);
  }
  await server.start();
  await shows(alice, all);
  await shows(bob, all);
  assert.match(await bob.textContent('#status'), /^logged in as bob$/);
  await write(bob, 'alice', 'got them');
  await shows(alice, [...all, ['bob', 'got them']]);
  await shows(bob, [...all, ['bob', 'got them']]);

  await server.kill();
  await write(alice, 'bob', 'unsent when the page goes');
  await alice.reload();
  await server.start();
  await shows(alice, [['alice', 'unsent when the page goes']]);
  await write(bob, 'alice', 'welcome back');
  await shows(alice, [['alice', 'unsent when the page goes'], ['bob', 'welcome back']]);
  await shows(bob, [...all, ['bob', 'got them'], ...await shown(alice)]);
  for (const page of [alice, bob]) {
    assert.equal(await page.evaluate(() => window.broken), undefined);
    assert.equal(await notes(page), '');
    assert.ok(await page.$$eval('body > script', (tags) => tags.length) <= 2, 'tags are removed');
  }
});

test('the page sends a message under one id until there is an answer', { skip, timeout: 120_000 }, async (t) => {
  const { server, newPage, open } = await given(t);
  const page = await newPage();
  await page.clock.install(); // its timers can be put forward
  const urls = [];
  const html = { contentType: 'text/html', body: '' };
  const mishaps = [
    async (route) => { await route.fetch(); await route.abort(); }, // stored, the answer is lost
    (route) => route.fulfill({ ...html, status: 503 }),
    (route) => route.fulfill({ ...html, status: 200 }), // loaded, and calls nothing
    (route) => route.fulfill({ contentType: 'text/javascript', body:
      `${new URL(route.request().url()).searchParams.get('callback')}` +
      '({error:{code:"overloaded",message:"",retry_after_ms:20}})' }),
    () => {}, // neither answer nor error: only the timeout ends it
  ];
  await page.route(send, async (route) => {
    urls.push(route.request().url());
    await (mishaps.shift() ?? ((last) => last.continue()))(route);
  });
  await open(await server.login('alice'), page);
  await write(page, 'bob', 'once');
  await write(page, 'bob', 'then');
  await eventually(() => urls.length === 5, 'five are asked, the last in vain', 30_000);
  await page.clock.fastForward(16_000);
  await eventually(() => urls.length === 7, 'the first is answered, and the second', 30_000);
  await shows(page, [['alice', 'once'], ['alice', 'then']]);
  const ids = urls.map(idOf);
  assert.equal(new Set(ids.slice(0, 6)).size, 1, 'the same id each time');
  assert.notEqual(ids[6], ids[0]);
});

test('the page takes gap, reset, bye and refusals as meant', { skip, timeout: 120_000 }, async (t) => {
  const { server, open } = await given(t);
  const says = (page, pattern) => eventually(async () => pattern.test(await notes(page)),
    `the page says ${pattern}`, 30_000);
  const root = await server.login('root');
  const { conversation } = await server.call('conversation.create', {
    type: 'group', members: ['alice'],
    settings: { history: 'all', retention: { max_count: 1 } },
  }, { token: root });
  for (const body of [{ text: 'one' }, { text: 'two' }, ['no text']])
    await server.call('message.send', { conversation, type: 'image', body }, { token: root });
  await eventually(async () => (await server.call('message.history', { conversation }, { token: root }))
    .first_seq === 4, 'retention has done its work');

  const alice = await open(await server.login('alice'));
  await says(alice, /gap: /);
  const all = [['root', '[image]']];
  await shows(alice, all);
  await write(alice, '!not a user!', 'refused');
  await says(alice, /refused: bad_request/);
  await write(alice, 'root', '你'.repeat(2000));
  await says(alice, /refused: too_large/);
  // A receipt may end the poll at the very moment: then once more.
  await eventually(async () => {
    await eventually(async () => await server.metric('rung_carriers', 'jsonp') === 1, 'a poll is parked');
    await server.restart();
    return /bye: /.test(await notes(alice));
  }, 'the page hears a bye', 60_000);
  await write(alice, 'root', 'after the bye');
  await shows(alice, [...all, ['alice', 'after the bye']]);

  await eventually(() => alice.evaluate(() => window.name.split('&')[3] !== '0'), 'a cursor is kept');
  await alice.evaluate(() => {
    var parts = window.name.split('&');
    window.onpagehide = () => { window.name = [...parts.slice(0, 3), 'deadbeef-7'].join('&'); };
  });
  await alice.reload();
  await says(alice, /reset: /);
  await write(alice, 'root', 'after the reset');
  await shows(alice, [['alice', 'after the reset']]);

  const stranger = await open('eyJhbGciOiJIUzI1NiJ9.e30.forged');
  await says(stranger, /refused: unauthorized/);
  assert.equal(await stranger.textContent('#status'), 'not logged in');
  await stranger.fill('#token', await server.login('alice'));
  await stranger.click('#enter');
  await shows(stranger, [...all, ['alice', 'after the bye'], ['alice', 'after the reset']]);
});

test('the page is written for the browsers that it is for', async () => {
  const page = await readFile(new URL(file), 'utf8');
  const script = /<script[^>]*>([^]*)<\/script>/.exec(page)[1].replace(/\/\/.*/g, '');
  assert.doesNotMatch(script, /\b(let|const|class|async|fetch|XMLHttpRequest|innerHTML)\b|=>|`|JSON\./);
});
