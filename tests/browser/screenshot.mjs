// Makes docs/demo.png and docs/demo-phone.png: a real server, real people (made
// up), a wide light window and a dark phone.
//
//     node tests/browser/screenshot.mjs [FOLDER]

import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { givenBrowser, givenServer, givenUser, missing, online, openListed, openPerson, say, sees } from './given.mjs';

const folder = process.argv[2] ?? join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'docs');

const HIKE = [
  ['carol', 'Morning! Is everybody still in for Saturday? The forecast says 14° and dry.'],
  ['mei', '我可以开车，六个人没问题 🚗'],
  ['bob', 'In. Who brings the big thermos this time?'],
  ['alice', 'I do, and the good biscuits.'],
  ['carol', 'The 7:40 then, back platform.'],
  ['bob', 'That is before sunrise, Carol.'],
  ['carol', 'That is the point of it 🌄'],
  ['mei', 'Route is in the shared folder: 18 km, 640 m up. There is a hut at kilometre 11, soup until two.'],
  ['alice', 'My train had no signal for ten minutes and this chat just went on where it was. I like it.'],
];

const BOB = [
  ['bob', 'Did the release go out?'],
  ['alice', 'Twenty minutes ago. I killed the server twice on purpose, nothing lost.'],
  ['bob', 'You what'],
  ['alice', 'Every message that said “stored” was there. Look at the seq: no hole.'],
  ['bob', 'Okay, that is a nice property. Lunch?'],
];

async function everybody(server, names) {
  const tokens = {};
  for (const user of names) tokens[user] = await server.login(user);
  return tokens;
}

async function tell(server, tokens, lines, where) {
  for (const [from, text] of lines)
    await server.call('message.send', { ...where(from), body: { text } }, { token: tokens[from] });
}

async function make(server, browser) {
  const tokens = await everybody(server, ['alice', 'bob', 'carol', 'mei', 'dmitri', 'Sofia.R']);
  const group = async (name, members, lines) => {
    const { conversation } = await server.call('conversation.create', { type: 'group', name, members }, { token: tokens.alice });
    await tell(server, tokens, lines, () => ({ conversation }));
    return conversation;
  };

  await tell(server, tokens, [['dmitri', 'Bench numbers are in RESULTS.md, have a look when you can.'],
    ['alice', 'Will do after the stand-up']], (from) => ({ to: from === 'alice' ? 'dmitri' : 'alice' }));
  await group('Book club', ['Sofia.R', 'carol'], [['Sofia.R', 'Chapter nine is where it turns. No spoilers!'], ['carol', 'Too late, I read on until two in the morning']]);
  await tell(server, tokens, BOB.slice(0, -1), (from) => ({ to: from === 'alice' ? 'bob' : 'alice' }));
  const hike = await group('Saturday hike', ['bob', 'carol', 'mei'], HIKE);
  await tell(server, tokens, BOB.slice(-1), () => ({ to: 'alice' }));

  const wide = await givenUser(browser, server, 'alice', { viewport: { width: 1180, height: 760 }, deviceScaleFactor: 2, colorScheme: 'light' });
  for (const user of ['bob', 'carol', 'mei']) {
    const page = await givenUser(browser, server, user);
    await openListed(page, hike);
    await sees(page, HIKE.at(-1)[1]);
    if (user !== 'bob') continue;
    await say(page, 'Same here on the metro. See you at 7:40, asleep.');
  }
  await openListed(wide, hike);
  await sees(wide, 'Same here on the metro. See you at 7:40, asleep.');
  await say(wide, 'Biscuits will be ready 🍪');
  await sees(wide, 'Biscuits will be ready 🍪');
  await wide.waitForSelector('.message:last-child .tick.read');
  await wide.screenshot({ path: join(folder, 'demo.png') });

  const phone = await givenUser(browser, server, 'bob', {
    viewport: { width: 390, height: 780 }, deviceScaleFactor: 2, colorScheme: 'dark', isMobile: true, hasTouch: true });
  await phone.check('#transport input[value="longpoll"]', { force: true });
  await online(phone, 'longpoll');
  await openPerson(phone, 'alice');
  await sees(phone, BOB.at(-1)[1]);
  await phone.screenshot({ path: join(folder, 'demo-phone.png') });
}

const why = missing();
if (why) throw new Error(why);
await mkdir(folder, { recursive: true });
const endings = [];
try {
  const server = await givenServer((end) => endings.unshift(end));
  await make(server, await givenBrowser((end) => endings.unshift(end)));
} finally {
  for (const end of endings) await end();
}
