// A ticker: prices that come as messages, and the course of the last minute.

import { byId, h } from '../app/dom.js';
import { locale, t } from '../app/language.js';
import { listen } from './channel.js';
import { QUOTES } from './feed.js';

const KEPT = 90;

const price = new Intl.NumberFormat(locale, { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const percent = new Intl.NumberFormat(locale, { style: 'percent', minimumFractionDigits: 2, signDisplay: 'exceptZero' });

export class Quotes {
  id = 'quotes';
  #courses = new Map(QUOTES.map((name) => [name, []]));
  #rows = new Map();
  #people;
  #close = null;

  /** @param {import('./person.js').Person[]} people */
  constructor(people) {
    this.#people = people;
    for (const name of QUOTES) {
      const row = { canvas: h('canvas', { 'aria-hidden': 'true' }), price: h('td', { class: 'price' }, '–'), change: h('td', { class: 'delta' }) };
      this.#rows.set(name, row);
      byId('quotes').tBodies[0].append(h('tr', { 'data-name': name }, h('th', { scope: 'row' }, name), h('td', { class: 'course' }, row.canvas), row.price, row.change));
    }
  }

  async start(person) {
    for (const course of this.#courses.values()) course.length = 0;
    this.#close = await listen(person, this.id, { newest: KEPT, people: this.#people, message: (message, live) => this.#take(message, live) });
    this.#draw();
  }

  stop() {
    this.#close?.();
  }

  #take({ body }, live) {
    for (const name of QUOTES) {
      if (!Number.isFinite(body?.[name])) continue;
      const course = this.#courses.get(name);
      course.push(body[name]);
      if (course.length > KEPT) course.shift();
    }
    if (live) this.#draw();
  }

  #draw() {
    for (const [name, course] of this.#courses) if (course.length > 0) this.#drawRow(this.#rows.get(name), course);
  }

  #drawRow(row, course) {
    const change = course.at(-1) / course[0] - 1;
    const way = change > 0 ? 'up' : change < 0 ? 'down' : 'same';
    row.price.textContent = price.format(course.at(-1));
    row.change.textContent = `${{ up: '▲', down: '▼', same: '▬' }[way]} ${percent.format(change)}`;
    row.change.dataset.way = way;
    row.change.title = t('over the last {count} messages', { count: course.length });
    drawCourse(row.canvas, course, getComputedStyle(row.change).color);
  }
}

function drawCourse(canvas, course, colour) {
  const { clientWidth: width, clientHeight: height } = canvas;
  const context = canvas.getContext('2d');
  const [low, high] = [Math.min(...course), Math.max(...course)];
  const x = (i) => (i / Math.max(1, course.length - 1)) * (width - 6) + 3;
  const y = (value) => height - 4 - ((value - low) / (high - low || 1)) * (height - 8);
  canvas.width = width * devicePixelRatio;
  canvas.height = height * devicePixelRatio;
  context.scale(devicePixelRatio, devicePixelRatio);
  context.strokeStyle = context.fillStyle = colour;
  context.lineWidth = 1.8;
  context.lineJoin = 'round';
  context.beginPath();
  course.forEach((value, i) => context.lineTo(x(i), y(value)));
  context.stroke();
  context.beginPath();
  context.arc(x(course.length - 1), y(course.at(-1)), 2.6, 0, 7);
  context.fill();
  context.globalAlpha = 0.12;
  context.beginPath();
  course.forEach((value, i) => context.lineTo(x(i), y(value)));
  context.lineTo(x(course.length - 1), height);
  context.lineTo(3, height);
  context.fill();
}
