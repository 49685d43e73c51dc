// The ladder: a rung for each transport, half of it each person's, and the two people
// standing where their sessions stand.

import { avatar, byId, h } from '../app/dom.js';
import { locale, t } from '../app/language.js';
import { nameOf, RUNGS } from '../app/rungs.js';
import { quantile } from './audit.js';

const MOVES_KEPT = 4;

const ABOUT = {
  ws: 'both ways on one socket',
  stream: 'an answer that never ends, line by line',
  sse: 'the same, as event stream',
  longpoll: 'a request that waits',
  poll: 'a request now and then',
  jsonp: 'script tags, for the oldest',
};

const clock = (at) => new Date(at).toLocaleTimeString(locale, { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });

/* Why a rung is as it is, in the client's words. */
function reason(why) {
  const [, what, ms] = /^(.*) (?:in|for) (\d+) ms$/.exec(why) ?? [null, why, null];
  return ms ? t('{what} ({ms} ms)', { what: t(what), ms }) : t(what);
}

/* From the other person to this one, by this rung. */
/* There is room for four digits. */
function duration(ms) {
  return ms < 1_000 ? t('{count} ms', { count: ms }) : t('{count} s', { count: (ms / 1_000).toFixed(1) });
}

function latencyOf(person, rung) {
  const list = person.audit.latencies.get(rung) ?? [];
  if (list.length === 0) return '';
  return t('{half}, 95 % {most}', { half: duration(quantile(list, 0.5)), most: duration(quantile(list, 0.95)) });
}

export class Ladder {
  #people;
  #rows = new Map(); // rung → {a: {...}, b: {...}}
  #climbers = {};

  /** @param {import('./person.js').Person[]} people */
  constructor(people) {
    this.#people = people;
    byId('rungs').append(...RUNGS.map((rung) => this.#makeRow(rung)));
    for (const { side, user } of people) {
      this.#climbers[side] = h('span', { class: `climber ${side}` }, avatar(user));
      byId('climbers').append(this.#climbers[side]);
    }
    new ResizeObserver(() => this.#place()).observe(byId('ladder'));
  }

  /* ---- made once ---- */

  #makeRow(rung) {
    const row = { bar: h('span', { class: 'step' },
      h('span', { class: 'half a' }), h('span', { class: 'half b' }),
      h('span', { class: 'label', title: t(ABOUT[rung]) }, h('strong', {}, nameOf(rung)), h('span', { class: 'hidden' }, t(ABOUT[rung])))) };
    const sides = this.#people.map((person) => {
      const lever = h('button', { type: 'button', role: 'switch', class: 'switch', 'data-rung': rung, 'data-side': person.side,
        onclick: () => person.block(rung, !person.blocked.has(rung)) }, h('span', { class: 'knob' }));
      const state = h('span', { class: 'state' });
      const why = h('small', { class: 'why' });
      row[person.side] = { lever, state, why, half: row.bar.querySelector(`.${person.side}`) };
      return h('div', { class: `side ${person.side}` }, lever, h('span', { class: 'said' }, state, why));
    });
    this.#rows.set(rung, row);
    return h('li', { 'data-rung': rung }, sides[0], row.bar, sides[1]);
  }

  /** What has moved, and why: from the client's "transport". */
  follow(person) {
    let stood = person.live;
    if (stood) this.#tell(person, null, stood, t('its first event came'));
    person.client.on('transport', ({ rung, state, why, tried }) => {
      if (state !== 'live' || rung === stood) return;
      const from = stood;
      stood = rung;
      const passed = (tried ?? []).filter((one) => one.rung !== rung && one.state === 'failed')
        .map((one) => `${nameOf(one.rung)}: ${reason(one.why)}`);
      this.#tell(person, from, rung, passed.length > 0 ? passed.join(t(', ')) : reason(why));
    });
  }

  #tell(person, from, to, why) {
    const sentence = from
      ? t('{user} goes from {from} to {to}', { user: person.user, from: nameOf(from), to: nameOf(to) })
      : t('{user} stands on {to}', { user: person.user, to: nameOf(to) });
    byId('moves').prepend(h('li', { class: person.side },
      h('time', {}, clock(Date.now())), h('span', {}, h('strong', {}, sentence), why ? h('small', {}, why) : null)));
    while (byId('moves').children.length > MOVES_KEPT) byId('moves').lastChild.remove();
  }

  /* ---- as it is ---- */

  draw() {
    for (const person of this.#people) {
      const known = new Map((person.client?.rungs ?? []).map((rung) => [rung.name, rung]));
      for (const rung of RUNGS) this.#drawRung(person, rung, known.get(rung));
    }
    this.#place();
  }

  #drawRung(person, rung, known) {
    const { lever, state, why, half } = this.#rows.get(rung)[person.side];
    const wall = person.wallOf(rung);
    const label = t('{rung} for {user}', { rung: nameOf(rung), user: person.user });
    const is = person.live === rung ? 'live' : known?.state ?? 'untried';
    lever.setAttribute('aria-checked', String(!person.blocked.has(rung)));
    lever.setAttribute('aria-label', label);
    half.dataset.wall = wall;
    half.dataset.state = is;
    const [said, because] = this.#words(is, wall, known, latencyOf(person, rung));
    if (state.textContent !== said) state.textContent = said;
    if (why.textContent !== because) why.textContent = because;
    why.title = because;
    state.dataset.state = is;
    state.dataset.wall = wall;
  }

  #words(is, wall, known, latency) {
    const why = known?.why ? reason(known.why) : '';
    const again = known?.retryAt ? t('again at {time}', { time: clock(known.retryAt) }) : '';
    switch (is) {
      case 'live':
        return [t('stands here'), latency || t('its first event came')];
      case 'opening':
        return [t('trying…'), ''];
      case 'failed':
        return [t('failed'), [again, why].filter(Boolean).join(' · ')];
      case 'missing':
        return [t('not in this browser'), why];
      default:
        return [t(wall === 'blocked' ? 'blocked' : wall === 'buffered' ? 'held back' : 'open'), latency];
    }
  }

  /* Each stands on its half of its rung, or on the ground. */
  #place() {
    const top = byId('ladder').getBoundingClientRect().top;
    for (const person of this.#people) {
      const { bar } = this.#rows.get(person.live) ?? {};
      const target = (bar ?? byId('ground')).getBoundingClientRect();
      const climber = this.#climbers[person.side];
      climber.style.setProperty('--x', `${target.left - byId('ladder').getBoundingClientRect().left + target.width * (person.side === 'a' ? 0.11 : 0.89)}px`);
      climber.style.setProperty('--y', `${target.top - top + target.height / 2}px`);
      climber.dataset.live = person.live ?? '';
    }
  }
}
