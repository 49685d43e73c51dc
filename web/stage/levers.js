// The levers that concern both: a proxy in the way, a server that dies, traffic.

import { byId } from '../app/dom.js';
import { t } from '../app/language.js';
import { toast } from '../app/toast.js';

const TICK_MS = 100;
const WAITING_MAX = 50; // unsent messages of one person: then the traffic waits

/** @param {import('./person.js').Person[]} people */
export function setUpProxy(people) {
  const lever = byId('proxy');
  lever.onclick = () => {
    const on = lever.getAttribute('aria-checked') !== 'true';
    for (const person of people) person.proxy(on);
  };
  byId('heal').onclick = () => people.forEach((person) => person.heal());
  return () => lever.setAttribute('aria-checked', String(people.some(({ behindProxy }) => behindProxy)));
}

/** Resolves when every client has lost the server and is back. */
function comeBack(people) {
  return Promise.all(people.map(({ client }) => new Promise((resolve) => {
    let gone = client.status.state !== 'online';
    const off = client.on('status', ({ state }) => {
      if (state !== 'online') gone = true;
      else if (gone) {
        off();
        resolve();
      }
    });
  })));
}

/** @param {import('./person.js').Person[]} people */
export function setUpKill(people) {
  const button = byId('kill');
  const state = byId('kill-state');
  button.onclick = async () => {
    if (!people.every(({ client }) => client)) return;
    const began = Date.now();
    const back = comeBack(people);
    button.disabled = true;
    state.textContent = t('dead; both look for it…');
    people[0].client.call('demo.kill').catch((error) => {
      if (error.code === 'network' || error.code === 'disconnected' || error.code === 'timeout') return; // it died: no answer comes
      toast(error.message);
    });
    await back;
    button.disabled = false;
    state.textContent = t('both back in {seconds} s', { seconds: ((Date.now() - began) / 1000).toFixed(1) });
  };
}

/* A group for it: so much does not belong between what people say. */
async function groupFor(people) {
  const id = `traffic-${people.map(({ user }) => user).sort().join('-')}`.slice(0, 64);
  const conversation = `0:2:${id}`;
  const [{ client }, other] = people;
  try {
    await client.getConversation(conversation);
  } catch (error) {
    if (error.code !== 'not_found' && error.code !== 'not_member') throw error;
    await client.createConversation({ type: 'group', id, name: t('Traffic'), members: [other.user],
      settings: { retention: { max_count: 2000 } } });
  }
  return conversation;
}

/** @param {import('./person.js').Person[]} people */
export function setUpTraffic(people) {
  let timer = null;
  let conversation = null;
  let owed = 0;
  let count = 0;

  const say = (person) => {
    if (person.client.pending.length >= WAITING_MAX) return;
    count++;
    person.client.sendMessage({ conversation, type: 'text', body: { text: t('message {count}', { count }) } }).catch(() => {});
  };
  byId('traffic').onchange = async ({ target }) => {
    const rate = Number(target.value);
    clearInterval(timer);
    if (rate === 0) return;
    try {
      conversation ??= await groupFor(people);
    } catch (error) {
      toast(error.message);
      return;
    }
    timer = setInterval(() => {
      for (owed += rate * TICK_MS / 1000; owed >= 1; owed--) say(people[count % people.length]);
    }, TICK_MS);
  };
}
