// Makes the pictures of the README, docs/demo*.png: a real server, real sessions. One is
// in Chinese, for which a font must be there (Debian: fonts-wqy-microhei).
//
//     node tests/browser/screenshot.mjs [FOLDER]

import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { eventually } from '../lib/wait.mjs';
import { givenBrowser, givenPage, givenServer, givenStage, missing, standsOn } from './given.mjs';

const folder = process.argv[2] ?? join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'docs');
const shot = (page, name) => page.screenshot({ path: join(folder, name) });

const TALK = [
  ['alice', 'Did the release go out?'],
  ['bob', 'Twenty minutes ago. I killed the server twice on purpose, nothing lost.'],
  ['alice', 'You what'],
  ['bob', 'Every message that said “stored” was there. Look at the seq: no hole.'],
  ['alice', '我在地铁里，信号断了十分钟，聊天自己接上了。'],
  ['bob', 'Okay, that is a nice property. Lunch?'],
];

const HIKE = [
  ['carol', 'Is everybody still in for Saturday? 14° and dry.'],
  ['mei', '我可以开车，六个人没问题'],
  ['bob', 'In. Who brings the big thermos this time?'],
];

async function talk(server) {
  const tokens = {};
  for (const user of ['alice', 'bob', 'carol', 'mei']) tokens[user] = await server.login(user);
  const { conversation } = await server.call('conversation.create',
    { type: 'group', name: 'Saturday hike', members: ['alice', 'bob', 'mei'] }, { token: tokens.carol });
  for (const [from, text] of HIKE) await server.call('message.send', { conversation, body: { text } }, { token: tokens[from] });
  for (const [from, text] of TALK)
    await server.call('message.send', { to: from === 'alice' ? 'bob' : 'alice', body: { text } }, { token: tokens[from] });
}

/* Something has gone wrong on both networks, and it still flows. */
async function climb(page) {
  await page.check('#traffic input[value="10"]', { force: true });
  await page.click('.switch[data-side="a"][data-rung="ws"]');
  await page.click('.switch[data-side="a"][data-rung="stream"]');
  await standsOn(page, 'a', 'sse');
  await eventually(async () => Number((await page.textContent('#count-messages')).replace(/\D/g, '')) > 60, 'traffic', 60_000);
}

async function stage(browser, server) {
  const page = await givenStage(browser, server, { deviceScaleFactor: 1.5, colorScheme: 'light' });
  await climb(page);
  await eventually(async () => await page.locator('.bullet').count() >= 4, 'an audience', 60_000);
  await shot(page, 'demo.png');
}

async function dark(browser, server) {
  const page = await givenStage(browser, server, { deviceScaleFactor: 1, colorScheme: 'dark', locale: 'zh-CN' });
  await page.click('#proxy');
  await standsOn(page, 'a', 'longpoll');
  await standsOn(page, 'b', 'longpoll');
  await page.click('#tab-map');
  await page.waitForSelector('#where:not(:empty)');
  await shot(page, 'demo-dark.png');
}

async function phone(browser, server) {
  const context = { viewport: { width: 390, height: 780 }, deviceScaleFactor: 1, isMobile: true, hasTouch: true };
  const page = await givenStage(browser, server, { ...context, colorScheme: 'dark' });
  await page.click('.switch[data-side="b"][data-rung="ws"]');
  await standsOn(page, 'b', '!ws');
  await eventually(() => page.evaluate(() => !document.getAnimations().some(({ effect }) => effect.target.matches('.climber'))), 'both have arrived');
  await shot(page, 'demo-phone.png');
}

async function code(browser, server) {
  const page = await givenPage(browser, `${server.url}/chat.html`, { viewport: { width: 390, height: 780 }, deviceScaleFactor: 1 });
  await page.click('#qr-open');
  await page.waitForSelector('#qr-code svg');
  await shot(page, 'demo-qr.png');
}

const why = missing();
if (why) throw new Error(why);
await mkdir(folder, { recursive: true });
const endings = [];
try {
  const server = await givenServer((end) => endings.unshift(end));
  const browser = await givenBrowser((end) => endings.unshift(end));
  await talk(server);
  for (const make of [stage, dark, phone, code]) await make(browser, server);
} finally {
  for (const end of endings) await end();
}
