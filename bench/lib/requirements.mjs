// What Rung must reach, as ratios of medians of one run.

import { median, middle, found } from './stats.mjs';

const WIRES = { ws: 'WebSocket', sse: 'SSE', longpoll: 'long poll' };

function ratio(a, b) {
  return a === undefined || !b ? undefined : a / b;
}

function atLeast(what, need, measured, unit = '×') {
  return { what, need: `≥ ${need} ${unit}`, measured, unit,
           met: measured === undefined ? undefined : measured >= need };
}

function atMost(what, need, measured, unit = '×') {
  return { what, need: `≤ ${need} ${unit}`, measured, unit,
           met: measured === undefined ? undefined : measured <= need };
}

function fanout(records) {
  const rows = [];
  const cases = found(records, { question: 'fanout', server: 'rung' });
  const shapes = new Set(cases.map(({ load }) => `${load.members} ${load.size}`));
  for (const shape of shapes) {
    const [members, size] = shape.split(' ').map(Number);
    const get = (server, via) => middle(records, { question: 'fanout', server,
      via, members, size }, 'deliveries_per_s');
    for (const [via, times] of [['ws', 4], ['sse', 3], ['longpoll', 4]]) {
      const what = `fan-out, ${members} × ${size} B, ${WIRES[via]}`;
      const ours = get('rung', via);
      rows.push(atLeast(`${what} : Nchan in memory`, times,
                        ratio(ours, get('nchan', via))));
      rows.push(atLeast(`${what} : Socket.IO polling`, 2,
                        ratio(ours, get('socketio', 'longpoll'))));
      rows.push(atLeast(`${what} : coalescing ceiling`, 0.5,
                        ratio(ours, get('coalesce', via))));
    }
  }
  return rows;
}

function rate(records) {
  return Object.entries(WIRES).flatMap(([via, title]) => {
    const get = (question, server, field) =>
      middle(records, { question, server, via }, field);
    const cpu = (server) => get('rate', server, 'cpu_s_per_million');
    const p99 = (question, server) => get(question, server, 'p99_us');
    return [
      atMost(`CPU per delivery at 40k/s, ${title} : Nchan`, 0.8,
             ratio(cpu('rung'), cpu('nchan'))),
      atMost(`CPU per delivery at 40k/s, ${title} : bare loop`, 1.4,
             ratio(cpu('rung'), cpu('ceiling'))),
      atMost(`p99 latency at 40k/s, ${title} : Nchan`, 1,
             ratio(p99('rate', 'rung'), p99('rate', 'nchan'))),
      atMost(`p99 latency at half of Nchan's saturation, ${title} : Nchan`, 1,
             ratio(p99('half', 'rung'), p99('half', 'nchan'))),
    ];
  });
}

function rooms(records) {
  return [['ws', 'WebSocket'], ['longpoll', 'long poll']].flatMap(
    ([via, title]) => {
      const get = (server, by = via) => middle(records, {
        question: 'rooms', server, via: by }, 'messages_per_s');
      return [
        atLeast(`rooms, ${title} : Nchan in memory`, 1.2,
                ratio(get('rung'), get('nchan'))),
        atLeast(`rooms, ${title} : ws`, 1.2, ratio(get('rung'), get('ws', 'ws'))),
        atLeast(`rooms, ${title} : Nchan with Redis fsyncing`, 3,
                ratio(get('rung'), get('nchan-redis'))),
      ];
    });
}

function idle(records) {
  return [['ws', 3], ['sse', 6], ['longpoll', 6]].flatMap(([via, most]) =>
    [...new Set(found(records, { question: 'idle', server: 'rung', via })
      .map(({ load }) => load.rooms))].map((count) => {
      const bytes = middle(records, { question: 'idle', server: 'rung', via,
                                      rooms: count }, 'memory_per_conn');
      return atMost(`idle memory, ${WIRES[via]}, ${count}`, most,
                    bytes / 1024, 'KB');
    }));
}

function wake(records) {
  const all = found(records, { question: 'wake', server: 'rung' });
  const counts = all.map(({ load }) => load.rooms);
  const get = (count) => middle(records, { question: 'wake', server: 'rung',
    rooms: count }, 'cpu_s_per_million');
  const [few, many] = [Math.min(...counts), Math.max(...counts)];
  return all.length ? [atMost(`wake-one, CPU: ${many} parked : ${few} parked`, 2,
                              ratio(get(many), get(few)))] : [];
}

function append(records) {
  const best = middle(records, { question: 'append', senders: 128 },
                      'appends_per_s');
  const ratios = found(records, { question: 'store' }).map(({ result }) =>
    result.batches.find(({ batch }) => batch === 100)?.ratio);
  return best === undefined ? [] : [
    atLeast('durable appends, 128 senders, in process', 60000, best, '/s'),
    atLeast('store : bare LMDB, batches of 100', 0.8, median(ratios)),
  ];
}

function resume(records) {
  return Object.entries(WIRES).flatMap(([via, title]) => {
    const all = found(records, { question: 'resume', via });
    return all.length ? [atMost(
      `resume of ${all[0].load.rooms * 2} clients after kill -9, ${title}`, 5,
      middle(records, { question: 'resume', via }, 'level_s'), 's')] : [];
  });
}

export function requirements(records) {
  return [fanout, rate, rooms, idle, wake, append, resume]
    .filter(({ name }) => found(records, { question: name, server: 'rung' })
      .length)
    .flatMap((rows) => rows(records));
}
