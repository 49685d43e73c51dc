// The two dialogs: a new conversation, and what is to know about the open one.

import { avatar, byId, h } from './dom.js';
import { t } from './language.js';
import { attempt } from './toast.js';

function names(text) {
  return text.split(/[\s,;]+/).filter(Boolean);
}

function closable(dialog) {
  dialog.querySelector('[data-close]').onclick = () => dialog.close();
  dialog.onclick = (event) => {
    if (event.target === dialog) dialog.close(); // the backdrop
  };
}

/** @param {import('./chat.js').Chat} chat @param {(id: string) => void} choose */
export function newDialog(chat, choose) {
  const dialog = byId('new-dialog');
  const form = byId('new-form');
  const panes = [...form.querySelectorAll('div[data-kind]')];

  const kind = () => form.elements.kind.value;
  const makers = {
    person: async () => chat.pairWith(byId('new-person').value.trim()),
    group: () => chat.create('group', { name: byId('new-group').value.trim(), members: names(byId('new-members').value) }),
    channel: () => chat.openChannel(byId('new-channel').value.trim()),
  };

  function arrange() {
    for (const pane of panes) {
      pane.hidden = pane.dataset.kind !== kind();
      for (const input of pane.querySelectorAll('input')) input.required = !pane.hidden && input.id !== 'new-members';
    }
  }

  function open() {
    form.reset();
    arrange();
    dialog.showModal();
    byId('new-person').focus();
  }

  form.onchange = arrange;
  form.onsubmit = async (event) => {
    event.preventDefault();
    const id = await attempt(t('Could not open it'), makers[kind()]);
    if (!id) return;
    dialog.close();
    choose(id);
  };
  byId('new-chat').onclick = open;
  byId('new-chat-first').onclick = open;
  closable(dialog);
}

/** @param {import('./chat.js').Chat} chat @param {(id: string | null) => void} choose */
export function infoDialog(chat, choose) {
  const dialog = byId('info-dialog');
  const invite = byId('info-invite');
  const leave = byId('info-leave');

  function draw() {
    const { title, id, type, members, peer, me, left } = chat.open;
    byId('info-title').textContent = title;
    byId('info-id').textContent = id;
    const people = members ?? (type === 'p2p' ? [{ user: me }, { user: peer }] : []);
    byId('info-members').replaceChildren(...people.map(({ user, role }) =>
      h('li', { 'data-user': user }, avatar(user),
        h('span', { class: 'grow' }, user === me ? t('{user} (you)', { user }) : user),
        role && role !== 'member' ? h('span', { class: 'role' }, t(role)) : null)));
    byId('info-invite-row').hidden = type !== 'group' || left;
    leave.hidden = type === 'p2p' || left;
    leave.textContent = t(type === 'channel' ? 'Stop following' : 'Leave group');
  }

  byId('chat-info').onclick = () => {
    draw();
    invite.value = '';
    dialog.showModal();
  };
  byId('info-form').onsubmit = async (event) => {
    event.preventDefault();
    const users = names(invite.value);
    if (users.length === 0) return;
    await attempt(t('Could not invite'), async () => {
      await chat.invite(chat.open, users);
      invite.value = '';
      draw();
    });
  };
  leave.onclick = () => attempt(t('Could not leave'), async () => {
    await chat.leave(chat.open);
    dialog.close();
    choose(null);
  });
  closable(dialog);
}
