// The stage: two people in one tab, rungs that are sawn off under them, a proxy that
// buffers, a server that dies, and counters that must stay at nought.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { givenBrowser, givenPage, givenServer, givenStage, missing, openListed, paneOf, standsOn } from './given.mjs';
import { Server } from '../lib/server.mjs';
import { eventually } from '../lib/wait.mjs';

const skip = missing();
const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');

async function given(t, context, query) {
  const server = await givenServer((done) => t.after(done));
  const browser = await givenBrowser((done) => t.after(done));
  return { server, browser, page: await givenStage(browser, server, context, query) };
}

const lever = (page, side, rung) => page.locator(`.switch[data-side="${side}"][data-rung="${rung}"]`);
const number = async (page, id) => Number((await page.textContent(`#count-${id}`)).replace(/\D/g, ''));

async function say(page, side, text) {
  const pane = paneOf(page, side);
  await pane.locator('#composer-text').fill(text);
  await pane.locator('#composer-text').press('Enter');
}

const hears = (page, side, text) =>
  paneOf(page, side).locator(`.message[data-seq] .text:text-is(${JSON.stringify(text)})`).waitFor();

async function nothingWrong(page) {
  assert.deepEqual(await Promise.all(['lost', 'twice', 'late'].map((id) => number(page, id))), [0, 0, 0]);
  assert.deepEqual(page.complaints, []);
}

test('who loses a rung stands on the next, and climbs back when it is mended', { skip, timeout: 180_000 }, async (t) => {
  const { page } = await given(t);

  await say(page, 'a', 'on the top rung');
  await hears(page, 'b', 'on the top rung');
  await lever(page, 'a', 'ws').click();
  await standsOn(page, 'a', '!ws');
  await page.waitForSelector('#moves li.a');
  assert.equal(await page.getAttribute('.climber.b', 'data-live'), 'ws', 'the other one stays');
  assert.equal(await lever(page, 'a', 'ws').getAttribute('aria-checked'), 'false');
  await say(page, 'b', 'do you hear me?');
  await hears(page, 'a', 'do you hear me?');
  for (const rung of ['stream', 'sse', 'longpoll']) await lever(page, 'a', rung).click();
  await standsOn(page, 'a', 'poll');
  await say(page, 'a', 'from far below');
  await hears(page, 'b', 'from far below');
  await page.click('#heal');
  await standsOn(page, 'a', 'ws');
  await say(page, 'b', 'welcome back');
  await hears(page, 'a', 'welcome back');
  await page.waitForSelector('#count-messages:not(:text-is("0"))');
  await nothingWrong(page);
});

test('behind a proxy that buffers both end on the long poll, which ends', { skip, timeout: 180_000 }, async (t) => {
  const { page } = await given(t);

  await page.click('#proxy');
  await standsOn(page, 'a', 'longpoll');
  await standsOn(page, 'b', 'longpoll');
  await say(page, 'a', 'through the proxy');
  await hears(page, 'b', 'through the proxy');
  await page.click('#proxy');
  await standsOn(page, 'a', 'ws');
  await standsOn(page, 'b', 'ws');
  await nothingWrong(page);
});

test('while a hundred messages a second flow, the server dies and nothing is lost', { skip, timeout: 180_000 }, async (t) => {
  const { page, server } = await given(t);
  const flows = async (more) => {
    const before = await number(page, 'messages');
    await eventually(async () => await number(page, 'messages') > before + more, `${more} more messages`, 60_000);
  };

  await page.check('#traffic input[value="100"]', { force: true });
  await flows(200);
  await page.click('#kill');
  await page.waitForSelector('#kill:disabled');
  await page.waitForSelector('#kill:not(:disabled)', { timeout: 60_000 });
  assert.match(await page.textContent('#kill-state'), /both back in \d/);
  await flows(200);
  await page.check('#traffic input[value="0"]', { force: true });
  await eventually(async () => await number(page, 'flying') === 0, 'all are stored', 60_000);
  await nothingWrong(page);

  // what the log has is what both have counted
  const token = await server.login('alice');
  const { last_seq: last } = await server.call('conversation.get', { conversation: '0:2:traffic-alice-bob' }, { token });
  const messages = last - 1; // its first entry is its creation
  assert.ok(messages > 200);
  await eventually(async () => await number(page, 'messages') >= 2 * messages, 'both have counted all of them');
  await page.waitForSelector('.side .why:has-text("95 %")'); // it was measured
});

test('walls that a server forgot by dying are built again', { skip, timeout: 180_000 }, async (t) => {
  const { page } = await given(t);

  await lever(page, 'b', 'ws').click();
  await standsOn(page, 'b', '!ws');
  await page.click('#kill');
  await page.waitForSelector('#kill:disabled');
  await page.waitForSelector('#kill:not(:disabled)', { timeout: 60_000 });
  await standsOn(page, 'b', '!ws');
  await lever(page, 'b', 'ws').click();
  await standsOn(page, 'b', 'ws');
  await nothingWrong(page);
});

test('the scenes play real messages, each tick once whoever plays it', { skip, timeout: 180_000 }, async (t) => {
  const { page, server, browser } = await given(t);
  const other = await givenStage(browser, server); // another visitor, who plays as well
  const token = await server.login('carol');
  const log = async (channel) => (await server.call('message.history', { conversation: `0:3:${channel}`, limit: 200 }, { token }))
    .messages.filter(({ event }) => event === 'message');

  await page.fill('#shout-text', 'hello from the audience');
  await page.press('#shout-text', 'Enter');
  for (const one of [page, other])
    await one.waitForSelector('.bullet[data-from="alice"]:has-text("hello from the audience")', { state: 'attached' });
  await page.waitForSelector('.bullet[data-from="audience"]', { state: 'attached' });

  for (const one of [page, other]) await one.click('#tab-quotes');
  await eventually(async () => (await log('quotes')).length >= 5, 'five ticks', 60_000);
  const ticks = (await log('quotes')).map(({ client_msg_id: id }) => id);
  assert.equal(new Set(ticks).size, ticks.length);
  assert.ok(ticks.every((id) => /^quotes-\d+$/.test(id)));
  await page.waitForSelector('#quotes .delta[data-way]');

  await page.click('#tab-map');
  await page.waitForSelector('#where:has-text("between alice and bob")');
  const places = await log('map');
  assert.ok(places.every(({ body }) => Math.abs(body.lat - 31.23) < 0.02 && Math.abs(body.lon - 121.47) < 0.02));
  const walked = (await log('map')).filter(({ from }) => from === 'alice').length;
  await page.focus('#map');
  await page.press('#map', 'ArrowDown');
  await eventually(async () => (await log('map')).filter(({ from }) => from === 'alice').length > walked, 'a step', 20_000);
  await nothingWrong(page);
});

test('it can be read in Chinese, and the panes with it', { skip, timeout: 120_000 }, async (t) => {
  const { page } = await given(t);

  await page.check('#languages input[value="zh"]', { force: true });
  await page.waitForSelector('h2:text-is("梯子")');
  await paneOf(page, 'a').locator('#composer-text[placeholder="写消息"]').waitFor();
  assert.equal(await page.getAttribute('html', 'lang'), 'zh-Hans');
  await standsOn(page, 'a', 'ws');
  assert.equal((await page.textContent('.state[data-state=live]')).trim(), '站在这里');
});

test('who comes again in another language is greeted in it, and refused nothing', { skip, timeout: 120_000 }, async (t) => {
  const { page } = await given(t);
  await hears(page, 'b', 'Hi! Saw off the rung that I stand on, I will not even blink.');
  const refused = [];
  page.on('response', (response) => {
    if (response.status() >= 400) refused.push(`${response.status()} ${response.url()}`);
  });
  await page.check('#languages input[value="zh"]', { force: true });
  await hears(page, 'b', '嗨！把我站的那一级锯断吧，我眼睛都不会眨一下。');
  assert.deepEqual(refused, []);
});

test('dark is what the system says or what was chosen, and the panes follow', { skip, timeout: 120_000 }, async (t) => {
  const { page } = await given(t, { colorScheme: 'dark' });
  const ground = (where) => where.locator('body').evaluate((body) => getComputedStyle(body).backgroundColor);
  const dark = await ground(page);

  assert.equal(await page.getAttribute('#theme', 'aria-pressed'), 'true');
  assert.equal(await ground(paneOf(page, 'a')), dark);
  await page.click('#theme');
  await eventually(async () => await ground(paneOf(page, 'b')) === await ground(page) && await ground(page) !== dark, 'all is light');
});

test('the keyboard is enough', { skip, timeout: 120_000 }, async (t) => {
  const { page } = await given(t);

  await lever(page, 'a', 'ws').focus();
  await page.keyboard.press('Space');
  await standsOn(page, 'a', '!ws');
  await page.focus('#tab-danmaku');
  await page.keyboard.press('ArrowRight');
  await page.waitForSelector('#scene-quotes:not([hidden])');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'tab-quotes');
  await page.focus('#proxy');
  await page.keyboard.press('Enter');
  await standsOn(page, 'b', 'longpoll');
});

test('a server without --demo says so', { skip, timeout: 60_000 }, async (t) => {
  const server = await Server.start({ demo: false, apps: { red: 'a secret of thirty-two bytes: red' } });
  t.after(() => server.finish());
  const page = await givenPage(await givenBrowser((done) => t.after(done)), server.url);

  await page.waitForSelector('#no-demo:has-text("rung serve --demo")');
  assert.ok(await page.locator('#stage').isHidden());
});

test('on a phone one part is shown at a time, and nothing sticks out', { skip, timeout: 120_000 }, async (t) => {
  const { page } = await given(t, { viewport: { width: 390, height: 780 }, isMobile: true, hasTouch: true });

  for (const [view, seen] of [['ladder', '#rungs'], ['scenes', '#screen'], ['pane-a', '#pane-a iframe'], ['pane-b', '#pane-b iframe']]) {
    await page.click(`#views [data-view="${view}"]`);
    await page.locator(seen).waitFor();
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${view} fits`);
  }
  assert.equal(await page.locator('#rungs').isVisible(), false);
});

/* WCAG 2.1 A and AA, contrast of 4.5:1 among them, by axe-core, in every frame. */
async function accessible(page, what) {
  for (const frame of page.frames()) await frame.addScriptTag({ path: AXE });
  const { violations } = await page.evaluate(() => window.axe.run(document, {
    runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa'], resultTypes: ['violations'] }));
  assert.deepEqual(violations.map(({ id, nodes }) => [id, nodes.map(({ target, failureSummary }) => `${target}: ${failureSummary}`)]), [], what);
}

for (const colorScheme of ['light', 'dark'])
  test(`axe finds nothing, ${colorScheme}`, { skip, timeout: 180_000 }, async (t) => {
    const { page, server, browser } = await given(t, { colorScheme, bypassCSP: true, reducedMotion: 'reduce' });

    await lever(page, 'a', 'ws').click();
    await lever(page, 'b', 'poll').click();
    await standsOn(page, 'a', '!ws');
    for (const scene of ['danmaku', 'quotes', 'map']) {
      await page.click(`#tab-${scene}`);
      await accessible(page, scene);
    }
    const chat = await givenPage(browser, `${server.url}/chat.html`, { colorScheme, bypassCSP: true });
    await accessible(chat, 'login');
    await chat.click('#qr-open');
    await chat.waitForSelector('#qr-code svg');
    await accessible(chat, 'QR code');
    await chat.click('#qr-back');
    await chat.fill('#login-name', 'alice');
    await chat.click('#login-button');
    await openListed(chat, '0:1:alice:bob');
    await accessible(chat, 'chat');
    await chat.click('#chat-info');
    await accessible(chat, 'members');
    await chat.keyboard.press('Escape');
    await chat.click('#new-chat');
    await accessible(chat, 'new conversation');
  });
