// The matrix: each question is a list of cases, each case one run of one server.
// A case is {question, server, load: {option: value}, options}.

import { descriptorLimit } from './servers.mjs';

const wiresOf = {
  rung: ['ws', 'sse', 'longpoll'],
  'rung-socketio': ['ws', 'longpoll'],
  nchan: ['ws', 'sse', 'longpoll'],
  'nchan-redis': ['ws', 'sse', 'longpoll'],
  socketio: ['ws', 'longpoll'],
  ws: ['ws'],
  ceiling: ['ws', 'sse', 'longpoll'],
  coalesce: ['ws', 'sse', 'longpoll'],
};

const sizes = {
  quick: {
    followers: [500], payloads: [64], rooms: 500, idle: [2000], parked: [100, 2000],
    resume: 2000, pollers: 500, seconds: 1.2, warm: 0.5, rate: 40000,
    roomRate: 2000, senders: [128, 1000], append: 1.2, pollSeconds: 2,
  },
  full: {
    followers: [1000, 10000], payloads: [64, 1024], rooms: 2500,
    idle: [10000, 50000], parked: [100, 10000], resume: 10000, pollers: 2000,
    seconds: 2, warm: 1, rate: 40000, roomRate: 5000,
    senders: [1, 8, 32, 128, 512, 1000], append: 1.5, pollSeconds: 6,
  },
};

/** So many messages in flight that no server waits for the publishers. */
export const WINDOW = 64;

function across(question, names, make) {
  return names.flatMap((server) => wiresOf[server].flatMap((via) =>
    make(server, via).map((rest) => ({ question, server, ...rest,
                                       load: { via, ...rest.load } }))));
}

/** Every shape for those that Rung is compared with; one for the others. */
function fanout(s, quick) {
  const shapes = s.followers.flatMap((members) => s.payloads.map((size) => ({
    load: { shape: 'fanout', members, size, window: WINDOW,
            seconds: s.seconds, warm: s.warm },
  })));
  return [
    ...across('fanout', ['rung', 'rung-socketio', 'nchan', 'socketio', 'coalesce'],
              () => shapes),
    ...across('fanout', ['ceiling', ...quick ? [] : ['nchan-redis', 'ws']],
              () => [shapes[0]]),
  ];
}

/** At a rate that all can hold; and at half of what Nchan held before. */
function rate(s, quick) {
  const names = quick ? ['rung', 'nchan', 'ceiling']
    : ['rung', 'nchan', 'nchan-redis', 'socketio', 'ws', 'ceiling', 'coalesce'];
  const members = s.followers[0];
  const load = { shape: 'fanout', members, size: 64, seconds: s.seconds + 1,
                 warm: s.warm };
  const fixed = across('rate', names,
                       () => [{ load: { ...load, rate: s.rate / members } }]);
  if (quick)
    return fixed;
  return [...fixed, ...across('half', ['rung', 'nchan'], () => [{
    load, halfOf: { question: 'fanout', server: 'nchan', members, size: 64 },
  }])];
}

function rooms(s, quick) {
  const names = quick ? ['rung', 'nchan', 'ceiling']
    : ['rung', 'nchan', 'nchan-redis', 'socketio', 'ws', 'ceiling'];
  const load = { shape: 'rooms', rooms: s.rooms, members: 2, size: 64,
                 publishers: s.rooms, window: s.rooms, seconds: s.seconds,
                 warm: s.warm };
  const some = (via) => via !== 'sse';
  return [
    ...across('rooms', names, (server, via) => (some(via) ? [{ load }] : [])),
    ...quick ? [] : across('rooms-rate', names, (server, via) => (some(via)
      ? [{ load: { ...load, rate: s.roomRate } }] : [])),
  ];
}

/** Few; and many, from more addresses, as far as the descriptors go. */
function idle(s, quick) {
  const most = Math.floor((descriptorLimit() - 500) / 500) * 500;
  const [few, many] = s.idle.map((count) => Math.min(count, most));
  const cases = (names, count, sources) => across('idle', names, () => [{
    load: { shape: 'idle', rooms: count, members: 1, seconds: 1, sources },
  }]);
  return [
    ...cases(quick ? ['rung', 'nchan'] : ['rung', 'nchan', 'socketio', 'ws'], few, 1),
    ...many > few ? cases(['rung', 'nchan'], many, 8) : [],
  ];
}

function wake(s, quick) {
  const names = quick ? ['rung', 'nchan'] : ['rung', 'nchan', 'ceiling'];
  return names.flatMap((server) => s.parked.map((count) => ({
    question: 'wake', server,
    load: { via: 'longpoll', shape: 'rooms', rooms: count, members: 1,
            rate: 200, publishers: 1, seconds: s.seconds + 1, warm: s.warm },
  })));
}

function resume(s) {
  return ['ws', 'sse', 'longpoll'].map((via) => ({
    question: 'resume', server: 'rung', resume: true,
    load: { via, shape: 'resume', rooms: s.resume / 2, members: 2, behind: 5,
            publishers: 128, window: 1000 },
  }));
}

/** Everyone gets a message in ten seconds. */
function poll(s, quick) {
  const load = { shape: 'rooms', rooms: s.pollers, members: 1, publishers: 1,
                 rate: s.pollers / 10, seconds: s.pollSeconds, warm: 1 };
  const vias = [['longpoll', {}], ['poll', { interval: 1000 }],
                ...quick ? [] : [['poll', { interval: 5000 }], ['sse', {}],
                                 ['ws', {}]]];
  return vias.map(([via, more]) => ({
    question: 'poll', server: 'rung', load: { via, ...load, ...more },
  }));
}

function append(s) {
  return [
    ...s.senders.map((senders) => ({
      question: 'append', server: 'rung', program: 'sequence',
      load: { senders, seconds: s.append, body: 64 },
    })),
    { question: 'store', server: 'rung', program: 'append', table: true,
      load: { seconds: s.append / 2 } },
  ];
}

/** All workers against all workers: as many as there are cores, unpinned. */
function workers(s, quick) {
  if (quick)
    return [];
  return across('workers', ['rung', 'nchan'], () => [{
    options: { everyCore: true },
    load: { shape: 'fanout', members: s.followers[0], size: 64, window: WINDOW,
            seconds: s.seconds, warm: s.warm },
  }]);
}

const makers = { fanout, rate, rooms, idle, wake, append, resume, poll, workers };

export const questions = Object.keys(makers);

export function matrix(kind, only) {
  return questions.filter((name) => !only.length || only.includes(name))
    .flatMap((name) => makers[name](sizes[kind], kind === 'quick'));
}

/** What makes two runs the same case. */
export function nameOf(test) {
  const { via, members, rooms: count, size, rate: each, interval, senders } =
    test.load;
  return [test.question, test.server, via,
          count && `${count} rooms`, members && `${members} in each`,
          size && `${size} B`, each && `${each}/s`,
          interval && `every ${interval} ms`, senders && `${senders} senders`]
    .filter(Boolean).join(' ');
}
