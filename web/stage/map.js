// A shared location: each of the two says once a second where it is, and both are on
// everybody's map. The town is made up, the messages are not.

import { byId, h } from '../app/dom.js';
import { t } from '../app/language.js';
import { listen } from './channel.js';
import { HEIGHT, paintTown, stroll, WIDTH } from './town.js';

const EVERY_MS = 1000;
const TRAIL = 40;
const STEP = 12; // metres a key moves
const ORIGIN = { lat: 31.2304, lon: 121.4737 };
const METRES_A_DEGREE = 111_320; // of latitude (WGS 84, mean)
const LON = METRES_A_DEGREE * Math.cos((ORIGIN.lat * Math.PI) / 180);

const toPlace = ({ x, y }) => ({ lat: Number((ORIGIN.lat - y / METRES_A_DEGREE).toFixed(6)), lon: Number((ORIGIN.lon + x / LON).toFixed(6)) });
const toPoint = ({ lat, lon }) => ({ x: (lon - ORIGIN.lon) * LON, y: (ORIGIN.lat - lat) * METRES_A_DEGREE });

const KEYS = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] };

export class TownMap {
  id = 'map';
  #canvas = byId('map');
  #people;
  #walks = new Map(); // side → {on, at: seconds, x, y}
  #trails = new Map(); // user → points
  #timer = null;
  #close = null;

  /** @param {import('./person.js').Person[]} people */
  constructor(people) {
    this.#people = people;
    people.forEach((person, i) => this.#walks.set(person.side, { on: true, at: i * 40, ...stroll(i * 40) }));
    byId('walkers').append(...people.map((person) => this.#switchFor(person)));
    this.#canvas.onkeydown = (event) => this.#key(event);
    new ResizeObserver(() => this.#draw()).observe(this.#canvas);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.#draw());
    addEventListener('rung-theme', () => this.#draw());
  }

  #switchFor(person) {
    const walk = this.#walks.get(person.side);
    const button = h('button', { type: 'button', role: 'switch', class: `switch worded ${person.side}`, 'aria-checked': 'true', onclick: () => {
      walk.on = !walk.on;
      button.setAttribute('aria-checked', String(walk.on));
    } }, h('span', { class: 'knob' }), h('span', {}, t('{user} walks', { user: person.user })));
    return button;
  }

  async start(person) {
    this.#close = await listen(person, this.id, { newest: 2 * TRAIL, people: this.#people, message: (message) => this.#take(message) });
    this.#timer = setInterval(() => document.visibilityState === 'visible' && this.#walk(), EVERY_MS);
    this.#walk();
    this.#draw();
  }

  stop() {
    clearInterval(this.#timer);
    this.#close?.();
  }

  #walk() {
    for (const person of this.#people) {
      const walk = this.#walks.get(person.side);
      if (!walk.on) continue;
      walk.at += EVERY_MS / 1000;
      Object.assign(walk, stroll(walk.at));
      this.#tell(person, walk);
    }
  }

  #tell(person, point) {
    if (!person.client || person.client.pending.length > 5) return; // where I was is of no interest later
    person.client.sendMessage({ conversation: '0:3:map', type: 'location', body: toPlace(point) }).catch(() => {});
  }

  #key(event) {
    const way = KEYS[event.key];
    const [person] = this.#people;
    const walk = this.#walks.get(person.side);
    if (!way) return;
    event.preventDefault();
    if (walk.on) byId('walkers').firstChild.click(); // it walks no more by itself
    walk.x = Math.max(0, Math.min(WIDTH, walk.x + way[0] * STEP));
    walk.y = Math.max(0, Math.min(HEIGHT, walk.y + way[1] * STEP));
    this.#tell(person, walk);
  }

  #take({ from, body }) {
    if (!Number.isFinite(body?.lat) || !Number.isFinite(body?.lon)) return;
    if (!this.#people.some(({ user }) => user === from)) return;
    if (!this.#trails.has(from)) this.#trails.set(from, []);
    const trail = this.#trails.get(from);
    trail.push(toPoint(body));
    if (trail.length > TRAIL) trail.shift();
    this.#draw();
    this.#say();
  }

  #say() {
    const [one, other] = this.#people.map(({ user }) => this.#trails.get(user)?.at(-1));
    if (!one || !other) return;
    const metres = Math.round(Math.hypot(one.x - other.x, one.y - other.y) / 10) * 10;
    const said = t('{metres} m between {one} and {other}', { metres, one: this.#people[0].user, other: this.#people[1].user });
    if (byId('where').textContent !== said) byId('where').textContent = said;
  }

  /* A canvas knows no light-dark(): what an element would show. */
  #colour(name) {
    this.#canvas.style.color = `var(${name})`;
    return getComputedStyle(this.#canvas).color;
  }

  #draw() {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    if (width === 0) return;
    const context = this.#canvas.getContext('2d');
    this.#canvas.width = width * devicePixelRatio;
    this.#canvas.height = height * devicePixelRatio;
    const scale = Math.max(width / WIDTH, height / HEIGHT) * devicePixelRatio; // it covers
    context.setTransform(scale, 0, 0, scale, (width * devicePixelRatio - WIDTH * scale) / 2, (height * devicePixelRatio - HEIGHT * scale) / 2);
    paintTown(context, (name) => this.#colour(name));
    for (const { side, user } of this.#people) {
      const trail = this.#trails.get(user);
      if (trail) paintPerson(context, trail, user, this.#colour(`--${side}`), this.#colour('--panel'));
    }
  }
}

function paintPerson(context, trail, user, colour, ground) {
  const { x, y } = trail.at(-1);
  context.strokeStyle = context.fillStyle = colour;
  context.lineJoin = context.lineCap = 'round';
  context.lineWidth = 5;
  context.globalAlpha = 0.4;
  context.beginPath();
  trail.forEach((point) => context.lineTo(point.x, point.y));
  context.stroke();
  context.globalAlpha = 1;
  context.beginPath(); // a pin, its point where the person is
  context.arc(x, y - 26, 14, Math.PI * 0.8, Math.PI * 0.2);
  context.lineTo(x, y);
  context.fill();
  context.fillStyle = ground;
  context.beginPath();
  context.arc(x, y - 26, 5.5, 0, 7);
  context.fill();
  context.font = '600 15px system-ui, sans-serif';
  context.textAlign = 'center';
  context.lineWidth = 5;
  context.strokeStyle = ground;
  context.strokeText(user, x, y - 48);
  context.fillStyle = colour;
  context.fillText(user, x, y - 48);
}
