// The open conversation: its entries as rows, day by day, and the scrolling. Who is
// at the end stays at the end; who has scrolled back keeps the place while older
// messages come in above and newer ones below.

import { avatar, byId, h, reconcile } from './dom.js';
import { t } from './language.js';
import { changeOf, dayKey, dayOf, textOf, timeOf } from './words.js';

const NEAR_PX = 80;
const OLDER_AT_PX = 400;
const TOGETHER_MS = 5 * 60_000;

const TICKS = {
  pending: ['◷', 'sending'],
  stored: ['✓', 'stored'],
  delivered: ['✓✓', 'delivered'],
  read: ['✓✓', 'read'],
  failed: ['!', 'not sent'],
};

export class Timeline {
  #scroll = byId('timeline-scroll');
  #list = byId('timeline');
  #top = byId('timeline-top');
  #newest = byId('to-newest');
  #chat;
  #shown = null;

  /** @param {import('./chat.js').Chat} chat */
  constructor(chat) {
    this.#chat = chat;
    this.#scroll.onscroll = () => this.#scrolled();
    this.#newest.onclick = () => this.toEnd();
    new ResizeObserver(() => this.#wasAtEnd && this.toEnd()).observe(this.#scroll);
  }

  #wasAtEnd = true;

  get atEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroll;
    return scrollHeight - scrollTop - clientHeight < NEAR_PX;
  }

  toEnd() {
    this.#scroll.scrollTop = this.#scroll.scrollHeight;
  }

  draw() {
    const conversation = this.#chat.open;
    this.#scroll.hidden = conversation === null;
    if (!conversation) {
      this.#newest.hidden = true;
      this.#shown = null;
      return;
    }
    const another = conversation !== this.#shown;
    const stick = another || this.#wasAtEnd;
    const anchor = stick ? null : this.#anchor();
    reconcile(this.#list, this.#rows(conversation), (row) => this.#make(row, conversation));
    this.#drawTop(conversation);
    this.#shown = conversation;
    if (stick) this.toEnd();
    else this.#restore(anchor);
    this.#scrolled();
  }

  #drawTop(conversation) {
    const empty = conversation.loaded && conversation.entries.length === 0 && conversation.outgoing.size === 0;
    const trimmed = conversation.loaded && !conversation.more && conversation.low > 1 && !empty;
    this.#top.hidden = !(empty || trimmed || conversation.more || !conversation.loaded);
    this.#top.textContent = !conversation.loaded || conversation.more ? t('Loading…')
      : empty ? t('No messages yet. Say hello to {name}.', { name: conversation.title })
      : t('Older messages are not kept, or from before you joined.');
  }

  /* ---- scrolling ---- */

  #scrolled() {
    const conversation = this.#chat.open;
    this.#wasAtEnd = this.atEnd;
    this.#newest.hidden = this.#wasAtEnd;
    if (!conversation?.loaded) return;
    if (this.#scroll.scrollTop < OLDER_AT_PX) this.#chat.loadOlder(conversation);
    if (this.#wasAtEnd && document.visibilityState === 'visible') this.#chat.seen(conversation);
  }

  /* The first row in sight and where it is: what must not move. */
  #anchor() {
    const top = this.#scroll.getBoundingClientRect().top;
    for (const row of this.#list.querySelectorAll('[data-seq]')) {
      const box = row.getBoundingClientRect();
      if (box.bottom > top) return { key: row.dataset.key, offset: box.top - top };
    }
    return null;
  }

  #restore(anchor) {
    const row = anchor && [...this.#list.children].find(({ dataset }) => dataset.key === anchor.key);
    if (!row) return;
    const top = this.#scroll.getBoundingClientRect().top;
    this.#scroll.scrollTop += row.getBoundingClientRect().top - top - anchor.offset;
  }

  /* ---- rows ---- */

  #rows(conversation) {
    const rows = [];
    let before = null;
    const add = (row) => {
      if (!before || dayKey(before.ts) !== dayKey(row.ts)) {
        const day = dayKey(row.ts);
        rows.push({ kind: 'day', key: `day-${day}`, version: dayOf(row.ts), ts: row.ts });
        before = null;
      }
      row.together = row.kind === 'message' && before?.kind === 'message' && before.from === row.from
        && row.ts - before.ts < TOGETHER_MS;
      row.version = `${row.state ?? ''}${row.together ? '+' : ''}${row.seq ?? ''}${row.hint ?? ''}`;
      rows.push(row);
      before = row;
    };
    for (const entry of conversation.entries) add(this.#entryRow(entry, conversation));
    for (const item of conversation.tail) add(this.#outgoingRow(item));
    return rows;
  }

  #entryRow(entry, conversation) {
    if (entry.event === 'conversation')
      return { kind: 'change', key: `seq-${entry.seq}`, seq: entry.seq, ts: entry.ts, text: changeOf(entry, this.#chat.me) };
    const mine = entry.from === this.#chat.me;
    const progress = mine ? conversation.stateOf(entry.seq) : null;
    return {
      kind: 'message',
      key: mine && entry.client_msg_id ? entry.client_msg_id : `seq-${entry.seq}`,
      seq: entry.seq,
      ts: entry.ts,
      from: entry.from,
      mine,
      text: textOf(entry),
      id: entry.client_msg_id,
      state: progress?.state,
      hint: progress && progress.others > 1 ? t('read by {read} of {others}', progress) : '',
    };
  }

  #outgoingRow({ params, state, seq, ts, error }) {
    return { kind: 'message', key: params.client_msg_id, seq, ts, from: this.#chat.me, mine: true,
      text: textOf(params), id: params.client_msg_id, state, hint: error?.message ?? '' };
  }

  #make(row, conversation) {
    if (row.kind === 'day') return h('li', { class: 'day' }, h('span', {}, dayOf(row.ts)));
    if (row.kind === 'change')
      return h('li', { class: 'change', 'data-seq': row.seq }, h('span', {}, row.text), h('small', { class: 'seq' }, `#${row.seq}`));
    return this.#message(row, conversation);
  }

  #message(row, conversation) {
    const named = !row.mine && conversation.type !== 'p2p';
    return h('li',
      {
        class: `message${row.mine ? ' mine' : ''}${row.together ? ' together' : ''}${named ? ' named' : ''}`,
        'data-seq': row.seq, 'data-from': row.from, 'data-state': row.state, 'data-client-msg-id': row.id,
      },
      named ? (row.together ? h('span', { class: 'avatar-gap' }) : avatar(row.from)) : null,
      h('div', { class: 'bubble' },
        named && !row.together
          ? h('strong', { class: 'from' }, row.from)
          : h('span', { class: 'hidden' }, row.mine ? t('You: {text}', { text: '' }) : `${row.from}: `),
        h('span', { class: 'text', dir: 'auto' }, row.text),
        h('span', { class: 'meta' },
          row.seq ? h('span', { class: 'seq', title: t('seq in this conversation') }, `#${row.seq}`) : null,
          h('time', { datetime: new Date(row.ts).toISOString() }, timeOf(row.ts)),
          row.state ? this.#tick(row) : null)),
      row.state === 'failed'
        ? h('button', { class: 'again', type: 'button', onclick: () => this.#chat.resend(conversation, row.id) }, t('Try again'))
        : null);
  }

  #tick({ state, hint }) {
    const [sign, word] = TICKS[state];
    const label = hint ? `${t(word)}${t(', ')}${hint}` : t(word);
    return h('span', { class: `tick ${state}`, role: 'img', 'aria-label': label, title: label }, sign);
  }
}
