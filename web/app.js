// The demo page: puts the parts together. A RungClient keeps a Chat true, the views
// draw it, the address (#c/<conversation>) says which conversation is open.

import { RungClient } from './rung.js';
import { Chat } from './app/chat.js';
import { infoDialog, newDialog } from './app/dialogs.js';
import { avatar, byId } from './app/dom.js';
import { Sidebar } from './app/sidebar.js';
import { StatusBar } from './app/statusbar.js';
import { Timeline } from './app/timeline.js';
import { attempt, toast } from './app/toast.js';
import { textOf } from './app/words.js';

const hasKeyboard = matchMedia('(hover: hover)'); // else a focus would raise one over the page
const store = sessionStorage; // a tab is a device: two tabs can be two people

function deviceId() {
  const known = store.getItem('rung.device');
  const id = known ?? `web-${Math.random().toString(36).slice(2, 10)}`;
  store.setItem('rung.device', id);
  return id;
}

/* ---- which conversation: the address ---- */

function addressed() {
  try {
    const id = location.hash.startsWith('#c/') ? decodeURIComponent(location.hash.slice(3)) : '';
    return /^\d+:[123]:./.test(id) ? id : null;
  } catch {
    return null; // not percent-encoded UTF-8
  }
}

function choose(id) {
  location.hash = id ? `c/${encodeURIComponent(id)}` : '';
}

/* ---- the page ---- */

function drawHeader(chat) {
  const conversation = chat.open;
  byId('app').dataset.view = conversation ? 'chat' : 'list';
  byId('chat-empty').hidden = conversation !== null;
  byId('chat-header').hidden = conversation === null;
  byId('composer').hidden = conversation === null;
  if (!conversation) return;
  byId('chat').dataset.conversation = conversation.id;
  byId('chat-title').textContent = conversation.title;
  byId('chat-avatar').replaceChildren(avatar(conversation.title, conversation.type));
  byId('chat-subtitle').textContent = subtitle(conversation);
  byId('composer-text').disabled = conversation.left;
  byId('composer-text').placeholder = conversation.left ? 'You have left this group' : 'Write a message';
  byId('send').disabled = conversation.left;
}

function subtitle({ type, members, id }) {
  if (type === 'p2p') return 'Direct message';
  if (type === 'channel') return `Channel ${id.split(':')[2]}`;
  if (!members) return 'Group';
  const names = members.map(({ user }) => user).join(', ');
  return `${members.length} ${members.length === 1 ? 'member' : 'members'}: ${names}`;
}

/* However many changes come in one turn, the page is drawn once. */
function drawLater(draw) {
  let due = false;
  return () => {
    if (due) return;
    due = true;
    queueMicrotask(() => {
      due = false;
      draw();
    });
  };
}

function setUpComposer(chat, timeline) {
  const form = byId('composer');
  const text = byId('composer-text');
  const fit = () => {
    text.rows = 1;
    while (text.scrollHeight > text.clientHeight && text.rows < 6) text.rows++;
  };
  text.oninput = fit;
  text.onkeydown = (event) => {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  };
  form.onsubmit = (event) => {
    event.preventDefault();
    const words = text.value.trim();
    if (!words || !chat.open || chat.open.left) return;
    chat.send(words);
    text.value = '';
    fit();
    queueMicrotask(() => timeline.toEnd());
    text.focus();
  };
}

/* A screen reader hears what comes in, not what scrolling back brings. */
function setUpAnnouncing(client, chat) {
  client.on('message', (message) => {
    if (message.conversation === chat.open?.id && message.from !== client.user)
      byId('announce').textContent = `${message.from}: ${textOf(message)}`;
  });
}

/* The address belongs to the conversation: the skip link must not change it. */
function setUpSkipping() {
  document.querySelector('.skip').onclick = (event) => {
    event.preventDefault();
    byId('composer-text').focus();
  };
}

function setUpLeaving(client) {
  byId('logout').onclick = () => {
    client.close();
    store.clear();
    location.href = '/';
  };
}

async function enter(client) {
  const parts = {};
  const draw = drawLater(() => {
    drawHeader(chat);
    parts.sidebar.draw();
    parts.timeline.draw();
    parts.status.draw();
    const unread = chat.list.reduce((sum, conversation) => sum + conversation.unread, 0);
    document.title = unread > 0 ? `(${unread}) Rung` : 'Rung';
  });
  const chat = new Chat({ client, store, changed: draw, troubled: (what, error) => toast(`${what}: ${error.message}`) });
  parts.sidebar = new Sidebar(chat, choose);
  parts.timeline = new Timeline(chat);
  parts.status = new StatusBar(client, (name) => {
    store.setItem('rung.transport', name);
    attempt('Could not switch', () => chat.setTransport(name));
  });
  newDialog(chat, choose);
  infoDialog(chat, choose);
  setUpComposer(chat, parts.timeline);
  setUpAnnouncing(client, chat);
  setUpSkipping();
  setUpLeaving(client);

  byId('me').textContent = client.user;
  byId('me-avatar').replaceChildren(avatar(client.user));
  byId('login').hidden = true;
  byId('app').hidden = false;

  const goWhereAddressed = () => {
    const id = addressed();
    if (id) chat.show(id).then(() => hasKeyboard.matches && byId('composer-text').focus({ preventScroll: true }));
    else chat.hide();
  };
  byId('back').onclick = () => choose('');
  addEventListener('hashchange', goWhereAddressed);
  addEventListener('online', () => client.retryNow());
  document.addEventListener('visibilitychange', () => document.visibilityState === 'visible' && draw());
  document.addEventListener('keydown', (event) => {
    if (event.key === 'Escape' && !document.querySelector('dialog[open]') && chat.open) choose('');
  });
  client.on('status', draw);
  client.on('cursor', draw);

  client.start();
  draw();
  await attempt('Could not load your conversations', () => chat.load());
  goWhereAddressed();
}

/* ---- logging in ---- */

async function logIn(user) {
  const client = new RungClient({
    device: deviceId(),
    storage: store,
    transport: store.getItem('rung.transport') ?? 'ws',
  });
  await client.login(user);
  store.setItem('rung.user', client.user);
  await enter(client);
}

function showLogin() {
  byId('login').hidden = false;
  byId('login-name').focus();
}

byId('login-form').onsubmit = async (event) => {
  event.preventDefault();
  byId('login-button').disabled = true;
  await attempt('Could not log in', () => logIn(byId('login-name').value.trim()));
  byId('login-button').disabled = false;
};

const remembered = store.getItem('rung.user');
if (remembered) logIn(remembered).catch((error) => {
  toast(`Could not log in: ${error.message}`);
  byId('login-name').value = remembered;
  showLogin();
});
else showLogin();
