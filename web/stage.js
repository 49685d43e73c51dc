// The stage: two people in two frames, the ladder between them, levers to make their
// network bad, and scenes to watch meanwhile.

import { byId } from './app/dom.js';
import { chooseLanguage, language, t, translate } from './app/language.js';
import { toast } from './app/toast.js';
import { Counters } from './stage/counters.js';
import { Danmaku } from './stage/danmaku.js';
import { Feed } from './stage/feed.js';
import { Ladder } from './stage/ladder.js';
import { setUpKill, setUpProxy, setUpTraffic } from './stage/levers.js';
import { TownMap } from './stage/map.js';
import { Person } from './stage/person.js';
import { Quotes } from './stage/quotes.js';
import { setUpScenes } from './stage/scenes.js';
import { setUpTheme } from './stage/theme.js';

const asked = new URLSearchParams(location.search);
const NAME = /^[A-Za-z0-9_.@-]{1,64}$/;

const nameOf = (side, fallback) => (NAME.test(asked.get(side) ?? '') ? asked.get(side) : fallback);

/* On a narrow screen one part is shown at a time. */
function setUpViews(people) {
  for (const button of byId('views').children) {
    const { view } = button.dataset;
    const person = people.find(({ side }) => view === `pane-${side}`);
    if (person) button.textContent = person.user;
    button.onclick = () => {
      byId('stage').dataset.shown = view;
      for (const other of byId('views').children) other.setAttribute('aria-current', String(other === button));
    };
    button.setAttribute('aria-current', String(view === byId('stage').dataset.shown));
  }
}

function setUpLanguages() {
  for (const input of byId('languages').elements) {
    input.checked = input.value === language;
    input.onchange = () => chooseLanguage(input.value);
  }
}

/* How far the server's clock is ahead of ours: from any answer of its. */
async function serverClock() {
  const answer = await fetch('/healthz', { method: 'HEAD' });
  const ahead = Date.parse(answer.headers.get('Date')) - Date.now();
  return () => Date.now() + (Math.abs(ahead) > 2000 ? ahead : 0); // a Date has whole seconds
}

/* However many changes come in one turn, the ladder is drawn once. */
function drawnLater(draw) {
  let due = false;
  return () => {
    if (due) return;
    due = true;
    requestAnimationFrame(() => {
      due = false;
      draw();
    });
  };
}

/* Something to read, once in the life of a log and a language: the same id again is the same message. */
const GREETINGS = {
  a: 'Hi! Saw off the rung that I stand on, I will not even blink.',
  b: 'And kill the server while you are at it. What says “stored” stays.',
};

function greet({ client, side }, peer) {
  client.call('message.send', { to: peer, client_msg_id: `hello-${language}-${peer}`, body: { text: t(GREETINGS[side]) } })
    .catch(() => {}); // then there is nothing to read
}

/* Does the server let `user` in by name? */
async function isDemo(user) {
  const answer = await fetch('/v1/demo.login', { method: 'POST', body: JSON.stringify({ user }) });
  return answer.status !== 404;
}

async function begin() {
  translate();
  setUpLanguages();
  setUpTheme(byId('theme'));
  const [first, second] = [nameOf('a', 'alice'), nameOf('b', 'bob')];
  if (!await isDemo(first).catch(() => true)) { // a server that cannot be reached may come back
    byId('no-demo').hidden = false;
    byId('stage').hidden = byId('views').hidden = true;
    return;
  }

  const changed = drawnLater(() => {
    ladder.draw();
    drawProxy();
  });
  const people = [new Person('a', first, second, changed), new Person('b', second, first, changed)];
  const ladder = new Ladder(people);
  const drawProxy = setUpProxy(people);
  new Counters(people).draw();
  setUpKill(people);
  setUpTraffic(people);
  setUpViews(people);

  const feed = new Feed(await serverClock().catch(() => Date.now));
  const scenes = setUpScenes([new Danmaku(people), new Quotes(people), new TownMap(people)], {
    opened: (scene) => feed.play(scene.id).catch((error) => toast(t('The feed does not play: {why}', { why: error.message }))),
    troubled: (error) => toast(error.message),
  });
  const audience = people[0];
  for (const person of people) {
    addEventListener('rung-pane', ({ detail }) => {
      if (detail.pane !== person.side) return;
      person.watch(person.client, people);
      ladder.follow(person);
      if (person === audience) scenes.startFor(person);
      greet(person, people.find((other) => other !== person).user);
    });
    byId(`pane-${person.side}`).append(person.head, person.frame);
  }
  changed();
}

begin();
