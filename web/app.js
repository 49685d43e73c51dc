// The chat: puts the parts together. A RungClient keeps a Chat true, the views
// draw it, the address (#c/<conversation>) says which conversation is open.
//
// It is a page of its own; a pane of the demo's stage (?pane=NAME&user=WHO, which needs
// no login); or the window that rung-embed.js puts on other pages (?embed).

import { RungClient } from './rung.js';
import { Chat } from './app/chat.js';
import { infoDialog, newDialog } from './app/dialogs.js';
import { avatar, byId } from './app/dom.js';
import { announceTo, askedByHost } from './app/embedded.js';
import { t, translate } from './app/language.js';
import { askAbout, isAsked, setUpQr } from './app/qr.js';
import { Sidebar } from './app/sidebar.js';
import { StatusBar } from './app/statusbar.js';
import { storageOf } from './app/storage.js';
import { Timeline } from './app/timeline.js';
import { attempt, toast } from './app/toast.js';
import { textOf } from './app/words.js';
import { claimsOf } from './rung/claims.js';

const asked = new URLSearchParams(location.search);
const mode = asked.has('embed') ? 'embed' : asked.has('pane') ? 'pane' : 'page';
const store = storageOf(asked.get('pane') ?? mode); // a tab is a device: two tabs can be two people

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

/* A focus would raise a keyboard over a phone's page, and be taken from the page around a pane. */
const mayFocus = () => mode !== 'pane' && matchMedia('(hover: hover)').matches;

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
  byId('composer-text').placeholder = t(conversation.left ? 'You have left this group' : 'Write a message');
  byId('send').disabled = conversation.left;
}

function subtitle({ type, members, id }) {
  if (type === 'p2p') return t('Direct message');
  if (type === 'channel') return t('Channel {id}', { id: id.split(':')[2] });
  if (!members) return t('Group');
  const names = members.map(({ user }) => user).join(t(', '));
  return t(members.length === 1 ? '1 member: {names}' : '{count} members: {names}', { count: members.length, names });
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
    location.href = location.pathname;
  };
}

async function enter(client, inbox) {
  const parts = {};
  const draw = drawLater(() => {
    drawHeader(chat);
    parts.sidebar.draw();
    parts.timeline.draw();
    parts.status.draw();
    const unread = chat.list.reduce((sum, conversation) => sum + conversation.unread, 0);
    document.title = unread > 0 ? `(${unread}) Rung` : 'Rung';
    announceTo(parent, { unread });
  });
  const chat = new Chat({ client, store, inbox, changed: draw, troubled: (what, error) => toast(`${t(what)}: ${error.message}`) });
  parts.sidebar = new Sidebar(chat, choose);
  parts.timeline = new Timeline(chat);
  parts.status = new StatusBar(client, (name) => {
    attempt(t('Could not switch'), async () => {
      await chat.setTransport(name);
      store.setItem('rung.transport', name); // it works: a reload may rely on it
    });
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
    if (id) chat.show(id).then(() => mayFocus() && byId('composer-text').focus({ preventScroll: true }));
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
  await client.ready;
  await attempt(t('Could not load your conversations'), () => chat.load());
  goWhereAddressed();
  return chat;
}

/* ---- logging in ---- */

/* Whose token it is, the server knows. */
async function identify(client, app) {
  const session = await client.call('session.info');
  if (app && app !== session.app) throw new Error(t('The token is for another app'));
  client.user = session.user;
}

/* By name, which only a demo's server allows. */
async function tokenFor(user) {
  return (await new RungClient({ tabs: false, cache: false }).login(user)).token;
}

/* What another has left in this tab is not this one's to see or send. */
function keepFor({ sub, app = '', inbox = 0 }) {
  const owner = JSON.stringify([app, inbox, sub]);
  if (store.getItem('rung.owner') !== owner) store.clear();
  store.setItem('rung.owner', owner);
}

/** @param {{user?: string, token?: string, app?: string, getToken?: () => Promise<string>}} identity
 *   by a token (for that app), or else by name */
async function logIn({ user, token, app, getToken }) {
  const presented = token ?? (await tokenFor(user));
  const claims = claimsOf(presented);
  keepFor(claims);
  const client = new RungClient({
    device: deviceId(), // a device for each tab: so there is no other to share a stream with
    tabs: false,
    storage: store,
    memory: store,
    transport: store.getItem('rung.transport') ?? 'auto',
    user: claims.sub,
    token: presented,
    getToken: token ? getToken : () => tokenFor(user),
  });
  if (token) await identify(client, app);
  store.setItem('rung.user', client.user);
  if (token && mode === 'page') store.setItem('rung.token', token);
  const chat = await enter(client, claims.inbox);
  if (isAsked()) await askAbout(client);
  return { client, chat };
}

function showLogin() {
  byId('login').hidden = false;
  byId('login-name').focus();
}

async function tryLogIn(identity) {
  try {
    return await logIn(identity);
  } catch (error) {
    toast(t('Could not log in: {why}', { why: error.message }));
    store.removeItem('rung.token');
    byId('login-name').value = identity.user ?? '';
    showLogin();
    return null;
  }
}

byId('login-form').onsubmit = async (event) => {
  event.preventDefault();
  byId('login-button').disabled = true;
  await tryLogIn({ user: byId('login-name').value.trim() });
  byId('login-button').disabled = false;
};

/* ---- the three ways to begin ---- */

function beginPage() {
  setUpQr(tryLogIn);
  const user = store.getItem('rung.user');
  if (user) tryLogIn({ user, token: store.getItem('rung.token') });
  else showLogin();
}

/* The stage looks through the frame at what it shows. */
async function beginPane() {
  const entered = await tryLogIn({ user: asked.get('user') ?? store.getItem('rung.user') });
  if (!entered) return;
  window.rung = entered;
  parent.dispatchEvent(new CustomEvent('rung-pane', { detail: { pane: asked.get('pane'), ...entered } }));
}

async function beginEmbedded() {
  const host = await askedByHost(parent);
  const entered = await logIn(host).catch((error) => {
    announceTo(parent, { refused: error.message });
    byId('chat-empty').textContent = error.message;
    byId('app').hidden = false;
  });
  if (!entered) return;
  const id = host.conversation ?? (host.to && entered.chat.pairWith(host.to));
  document.body.dataset.single = String(Boolean(id));
  if (id) choose(id);
}

document.body.dataset.mode = mode;
translate();
({ page: beginPage, pane: beginPane, embed: beginEmbedded })[mode]();
