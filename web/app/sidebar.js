// The list of conversations, newest first, with a filter over names.

import { avatar, byId, h, reconcile } from './dom.js';
import { t } from './language.js';
import { previewOf, whenOf } from './words.js';

export class Sidebar {
  #list = byId('conversations');
  #empty = byId('conversations-empty');
  #filter = byId('filter');
  #chat;
  #choose;

  /** @param {import('./chat.js').Chat} chat @param {(id: string) => void} choose */
  constructor(chat, choose) {
    this.#chat = chat;
    this.#choose = choose;
    this.#filter.oninput = () => this.draw();
  }

  draw() {
    const wanted = this.#filter.value.trim().toLowerCase();
    const rows = this.#chat.list
      .filter((conversation) => conversation.title.toLowerCase().includes(wanted))
      .map((conversation) => this.#row(conversation));
    reconcile(this.#list, rows, (row) => this.#make(row));
    this.#empty.hidden = this.#chat.conversations.size > 0;
  }

  #row(conversation) {
    const row = {
      key: conversation.id,
      title: conversation.title,
      type: conversation.type,
      when: whenOf(conversation.last?.ts),
      preview: previewOf(conversation.last, conversation, this.#chat.me),
      unread: conversation === this.#chat.open && document.visibilityState === 'visible' ? 0 : conversation.unread,
      open: conversation === this.#chat.open,
    };
    row.version = JSON.stringify(row);
    return row;
  }

  #make({ key, title, type, when, preview, unread, open }) {
    return h('li', {},
      h('button',
        { type: 'button', 'data-conversation': key, 'aria-current': open ? 'true' : null, onclick: () => this.#choose(key) },
        avatar(title, type),
        h('span', { class: 'lines' },
          h('span', { class: 'line' }, h('span', { class: 'name' }, title), h('time', {}, when)),
          h('span', { class: 'line' },
            h('span', { class: 'preview', dir: 'auto' }, preview || t('No messages yet')),
            unread > 0
              ? h('span', { class: 'badge', 'data-unread': unread, 'aria-label': t('{unread} unread', { unread }) }, unread > 99 ? '99+' : String(unread))
              : null))));
  }
}
