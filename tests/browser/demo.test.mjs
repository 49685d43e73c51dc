// The demo as people use it: two browsers and a curl, every transport, a server
// killed in between, and in the end the same conversation on both screens.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { token } from '../lib/token.mjs';
import { givenBrowser, givenPage, givenServer, givenUser, missing, online, openListed, openPerson, say, sees, transcript, wipe } from './given.mjs';

const skip = missing();

/* Everything that both said is on both screens, once, in the order of seq. */
async function agree(one, other, texts) {
  for (const text of texts) {
    await sees(one, text);
    await sees(other, text);
  }
  const mine = await transcript(one);
  assert.deepEqual(mine, await transcript(other));
  const seqs = mine.map(([seq]) => seq);
  assert.deepEqual(seqs, [...seqs].sort((a, b) => a - b), 'in order');
  assert.equal(new Set(seqs).size, seqs.length, 'each once');
  assert.deepEqual(mine.map(([, , text]) => text).sort(), [...texts].sort(), 'all, and no other');
}

/* Say it where nothing gets through, and leave the page before it does. */
async function leaveUnsent(page, text) {
  await page.evaluate(() => document.querySelector('#transport [value="poll"]').click());
  await online(page, 'poll');
  await page.route('**/v1/message.send', (route) => route.abort());
  await say(page, text);
  await page.waitForSelector('.message:not([data-seq])');
  assert.ok((await keptText(page)).includes(text), 'it is kept in the tab');
  await page.unroute('**/v1/message.send');
}

/* The texts that this tab keeps to be sent. */
function keptText(page) {
  return page.evaluate(() => Object.keys(sessionStorage).filter((key) => key.includes('rung.outbox'))
    .flatMap((key) => JSON.parse(sessionStorage.getItem(key))).map(({ body }) => body.text));
}

test('two people chat while one climbs through all transports and the server is killed', { skip, timeout: 180_000 }, async (t) => {
  const server = await givenServer((done) => t.after(done));
  const browser = await givenBrowser((done) => t.after(done));
  const alice = await givenUser(browser, server, 'alice');
  const bob = await givenUser(browser, server, 'bob');
  const said = [];
  const speak = async (page, text) => {
    said.push(text);
    await say(page, text);
  };

  await openPerson(alice, 'bob');
  await speak(alice, 'hello bob <b>not bold</b>');
  await openListed(bob, '0:1:alice:bob');
  await speak(bob, 'hello alice & co');
  await sees(alice, 'hello alice & co');

  for (const transport of ['stream', 'sse', 'longpoll', 'poll', 'ws']) {
    await speak(alice, `from alice before ${transport}`);
    await speak(bob, `from bob before ${transport}`);
    await alice.check(`#transport input[value="${transport}"]`, { force: true });
    await speak(bob, `from bob during ${transport}`);
    await speak(alice, `from alice during ${transport}`);
    await online(alice, transport);
    await speak(bob, `from bob on ${transport}`);
    await sees(alice, `from bob on ${transport}`);
  }
  await agree(alice, bob, said);

  await server.kill();
  await speak(alice, 'written while the server was dead');
  await speak(bob, 'me too');
  await alice.waitForSelector('.message[data-state="pending"]');
  await alice.waitForSelector('#status:not([data-state="online"])');
  await server.start();
  await online(alice, 'ws');
  await online(bob, 'ws');
  await speak(alice, 'and we are back');
  await agree(alice, bob, said);

  await alice.waitForSelector('.message[data-state="read"]:has(.text:text-is("and we are back"))');
  assert.deepEqual([...alice.complaints, ...bob.complaints], []);
});

test('a curl posts into a group that two browsers follow over a restart', { skip, timeout: 120_000 }, async (t) => {
  const server = await givenServer((done) => t.after(done));
  const browser = await givenBrowser((done) => t.after(done));
  const alice = await givenUser(browser, server, 'alice');
  const bob = await givenUser(browser, server, 'bob');

  await alice.click('#new-chat');
  await alice.check('#new-form input[value="group"]', { force: true });
  await alice.fill('#new-group', 'Hike');
  await alice.fill('#new-members', 'bob, carol');
  await alice.click('#new-create');
  await alice.waitForSelector('#composer:not([hidden])');
  const group = await alice.getAttribute('#chat', 'data-conversation');
  await openListed(bob, group);

  const token = await server.login('carol');
  const post = (text) => server.call('message.send', { conversation: group, body: { text } }, { token });
  await post('carol by curl');
  await sees(alice, 'carol by curl');
  await server.kill();
  await server.start();
  await post('carol after the kill');
  await say(alice, 'seen, carol');
  await agree(alice, bob, ['carol by curl', 'carol after the kill', 'seen, carol']);

  await bob.click('#chat-info');
  await bob.click('#info-leave');
  await alice.waitForSelector('#timeline .change:has-text("bob left")');
  await post('bob does not get this');
  await sees(alice, 'bob does not get this');
  assert.equal(await bob.locator('text=bob does not get this').count(), 0);
  assert.deepEqual([...alice.complaints, ...bob.complaints], []);
});

test('a server that comes back with another log resets the page', { skip, timeout: 120_000 }, async (t) => {
  const server = await givenServer((done) => t.after(done));
  const browser = await givenBrowser((done) => t.after(done));
  const alice = await givenUser(browser, server, 'alice');
  await openPerson(alice, 'bob');
  await say(alice, 'in the old log');
  await sees(alice, 'in the old log');

  await server.kill();
  await wipe(server);
  await server.start();
  await alice.waitForSelector('.message', { state: 'detached' });
  await online(alice, 'ws');
  await say(alice, 'in the new log');
  await sees(alice, 'in the new log');
  assert.deepEqual(await transcript(alice), [[1, 'alice', 'in the new log']]);
  assert.deepEqual(alice.complaints, []);
});

test('history comes by scrolling back and the place is kept', { skip, timeout: 120_000 }, async (t) => {
  const server = await givenServer((done) => t.after(done));
  const browser = await givenBrowser((done) => t.after(done));
  const token = await server.login('bob');
  for (let i = 1; i <= 130; i++) await server.call('message.send', { to: 'alice', body: { text: `line ${i}` } }, { token });

  const alice = await givenUser(browser, server, 'alice');
  await alice.waitForSelector('[data-unread="130"]');
  await openListed(alice, '0:1:alice:bob');
  await sees(alice, 'line 130');
  await alice.waitForSelector('[data-unread]', { state: 'detached' });
  assert.ok((await transcript(alice)).length < 130, 'not everything at once');

  const shown = '.message:has(.text:text-is("line 94"))';
  await alice.$eval(shown, (row) => row.scrollIntoView({ block: 'start' }));
  const before = await alice.$eval(shown, (row) => row.getBoundingClientRect().top);
  await sees(alice, 'line 60');
  const after = await alice.$eval(shown, (row) => row.getBoundingClientRect().top);
  assert.ok(Math.abs(after - before) <= 2, `the row on screen moved by ${after - before} px`);

  while (!(await alice.$('.message[data-seq="1"]'))) {
    const oldest = await alice.getAttribute('.message', 'data-seq');
    await alice.$eval('#timeline-scroll', (box) => (box.scrollTop = 0));
    await alice.waitForSelector(`.message[data-seq="${Number(oldest) - 1}"]`);
  }
  assert.deepEqual((await transcript(alice)).map(([seq]) => seq), Array.from({ length: 130 }, (_, i) => i + 1));
  assert.deepEqual(alice.complaints, []);
});

test('what one person has left unsent in a tab is not sent as the next one', { skip, timeout: 120_000 }, async (t) => {
  const server = await givenServer((done) => t.after(done));
  const browser = await givenBrowser((done) => t.after(done));
  const paneOf = (user) => `${server.url}/chat.html?pane=p&user=${user}`;
  const page = await givenPage(browser, paneOf('alice'));
  await online(page);
  await openPerson(page, 'bob');
  await leaveUnsent(page, 'from alice');

  await page.goto(paneOf('carol'));
  await online(page);
  await openPerson(page, 'bob');
  await say(page, 'from carol');
  await page.waitForSelector('.message[data-seq]');
  assert.deepEqual(await transcript(page), [[1, 'carol', 'from carol']]);
  assert.deepEqual(await keptText(page), [], 'nothing of alice is left in the tab');
});

test('a transport is remembered for a reload once it works', { skip, timeout: 120_000 }, async (t) => {
  const server = await givenServer((done) => t.after(done));
  const browser = await givenBrowser((done) => t.after(done));
  const page = await givenUser(browser, server, 'alice');
  const choose = (name) => page.evaluate((value) => document.querySelector(`#transport [value="${value}"]`).click(), name);
  const remembered = () => page.evaluate(() => sessionStorage.getItem('page/rung.transport'));

  await page.route('**/v1/sse?**', (route) => route.abort());
  await choose('sse');
  await page.waitForSelector('.toast:has-text("Could not switch")');
  assert.equal(await remembered(), null);
  await choose('longpoll');
  await page.waitForFunction(() => sessionStorage.getItem('page/rung.transport') === 'longpoll');
  await page.reload();
  await online(page, 'longpoll');
});

test('the same name in another inbox talks there, and sends nothing of this one', { skip, timeout: 120_000 }, async (t) => {
  const server = await givenServer((done) => t.after(done));
  const browser = await givenBrowser((done) => t.after(done));
  const page = await givenUser(browser, server, 'alice');
  await openPerson(page, 'bob');
  await leaveUnsent(page, 'for inbox 0');

  const secret = (await readFile(path.join(server.dir, 'demo.key'), 'utf8')).trim();
  const other = token({ app: 'demo', sub: 'alice', inbox: 7, secret });
  await page.evaluate((text) => sessionStorage.setItem('page/rung.token', text), other);
  await page.goto(`${server.url}/chat.html`);
  await online(page);
  await openPerson(page, 'bob');
  await say(page, 'for inbox 7');
  await page.waitForSelector('.message[data-seq]');
  assert.deepEqual(await transcript(page), [[1, 'alice', 'for inbox 7']]);
  assert.equal(await page.getAttribute('#chat', 'data-conversation'), '7:1:alice:bob');
  assert.deepEqual(await keptText(page), []);
});
