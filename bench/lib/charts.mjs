// The pictures, drawn by gnuplot, and the page around them.

import { spawnSync } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { servers } from './servers.mjs';
import { found, middle, short } from './stats.mjs';

const WIRES = [['ws', 'WebSocket'], ['sse', 'SSE'], ['longpoll', 'long poll']];
const COLOURS = ['#1b6ca8', '#e07a1f', '#5a9e4b'];

/** Bars of each server, one for each wire. */
function bars({ file, title, label, rows, log }) {
  const data = rows.map(({ name, values }) =>
    [`"${name}"`, ...values.map((value) => value ?? 'NaN')].join(' ')).join('\n');
  const least = Math.min(...rows.flatMap(({ values }) =>
    values.filter((value) => value > 0)));
  const columns = WIRES.map(([, wire], i) =>
    `$data using ${i + 2}:xtic(1) title "${wire}" lc rgb "${COLOURS[i]}"`)
    .filter((_, i) => rows.some(({ values }) => values[i] !== undefined));
  return `
set terminal svg size 860,420 font "sans-serif,13" background "#ffffff"
set output "${file}"
set title "${title}" font ",15"
set ylabel "${label}"
set style data histogram
set style histogram clustered gap 1
set style fill solid 0.9 noborder
set boxwidth 0.9
set grid ytics lc rgb "#dddddd"
set key outside top right
set xtics nomirror scale 0 rotate by -25
set border 3
${log ? `set logscale y\nset yrange [${least / 4}:*]` : 'set yrange [0:*]'}
set format y "%.1s%c"
$data << EOD
${data}
EOD
plot ${columns.join(', ')}
`;
}

/** Lines over a logarithmic x: [{name, points: [[x, y]]}]. */
function lines({ file, title, label, across, series, log }) {
  const blocks = series.map(({ points }, i) =>
    `$data${i} << EOD\n${points.map((point) => point.join(' ')).join('\n')}\nEOD`);
  const plots = series.map(({ name }, i) => `$data${i} using 1:2 with linespoints ` +
    `lw 2 pt 7 lc rgb "${COLOURS[i]}" title "${name}"`);
  return `
set terminal svg size 860,420 font "sans-serif,13" background "#ffffff"
set output "${file}"
set title "${title}" font ",15"
set xlabel "${across}"
set ylabel "${label}"
set grid lc rgb "#dddddd"
set key outside top right
set border 3
set logscale x
${log ? 'set logscale y' : 'set yrange [0:*]'}
set format y "%.1s%c"
${blocks.join('\n')}
plot ${plots.join(', ')}
`;
}

/** How a field grows with the concurrent senders. */
function bySenders(records, field, scale = 1) {
  const counts = [...new Set(found(records, { question: 'append' })
    .map(({ load }) => load.senders))].sort((a, b) => a - b);
  return counts.map((senders) => [senders,
    middle(records, { question: 'append', senders }, field) * scale]);
}

function appendCharts(records) {
  const get = (field, scale) => bySenders(records, field, scale);
  if (get('appends_per_s').length < 2)
    return [];
  return [{
    title: 'Durable appends by concurrent senders', label: 'per second',
    across: 'senders, each waiting for its answer', log: true,
    text: 'In process, through the sequencer: who waits for the same fsync ' +
          'shares it.',
    series: [{ name: 'appends', points: get('appends_per_s') },
             { name: 'commits', points: get('commits_per_s') }],
  }, {
    title: 'Commit latency by concurrent senders', label: 'ms',
    across: 'senders, each waiting for its answer',
    text: 'From submission to the answer that says it is on disk.',
    series: [{ name: 'p50', points: get('p50_us', 0.001) },
             { name: 'p99', points: get('p99_us', 0.001) }],
  }];
}

function rowsOf(records, wanted, field, scale = 1) {
  return Object.entries(servers).map(([name, { title }]) => ({
    name: title,
    values: WIRES.map(([via]) => {
      const value = middle(records, { ...wanted, server: name, via }, field);
      return value === undefined ? undefined : value * scale;
    }),
  })).filter(({ values }) => values.some((value) => value !== undefined));
}

function pollRows(records) {
  const cases = new Map();
  for (const { load } of found(records, { question: 'poll' }))
    cases.set(`${load.via} ${load.interval ?? ''}`, load);
  return [...cases.values()].map((load) => {
    const wanted = { question: 'poll', via: load.via, interval: load.interval };
    const get = (field) => {
      const all = found(records, { question: 'poll', via: load.via })
        .filter(({ load: other }) => other.interval === load.interval);
      return all.length ? all[all.length >> 1].result[field] : undefined;
    };
    return { wanted, get, name: load.interval
      ? `short poll, every ${load.interval / 1000} s`
      : Object.fromEntries(WIRES)[load.via] };
  });
}

/** Every chart for which there are figures, bars or lines: {title, text, rows,
 *  log} or {title, text, series, across, log}. */
function charts(records) {
  const list = [];
  const shapes = new Set(found(records, { question: 'fanout' })
    .map(({ load }) => `${load.members} ${load.size}`));
  for (const shape of shapes) {
    const [members, size] = shape.split(' ').map(Number);
    list.push({
      title: `Fan-out at saturation: ${members} followers, ${size} B`,
      label: 'deliveries/s', log: true,
      text: 'One channel, as many messages as the server can take. Rung has ' +
            'each message on disk before the first delivery.',
      rows: rowsOf(records, { question: 'fanout', members, size },
                   'deliveries_per_s'),
    });
  }
  const add = (question, field, title, label, text, more = {}) => list.push({
    title, label, text, log: more.log,
    rows: rowsOf(records, { question, ...more.of }, field, more.scale),
  });
  add('rate', 'cpu_s_per_million', 'CPU at 40,000 deliveries/s',
      'seconds per million', 'What one delivery costs the server when it ' +
      'cannot gather many into one.');
  add('rate', 'p99_us', 'Latency at 40,000 deliveries/s, p99', 'ms',
      'From the moment a message was due to be sent until a follower has it.',
      { scale: 0.001, log: true });
  add('rate', 'bytes_in', 'Bytes a follower receives for a message of 64 B',
      'bytes', 'Above TCP. Polls also send a request.');
  add('rooms', 'messages_per_s', 'Rooms: conversations of two', 'messages/s',
      'Everyone writes and reads; each message is delivered to both.');
  add('rooms', 'p99_us', 'Rooms, saturated: latency, p99', 'ms',
      'One message of each room is on its way all the time.',
      { scale: 0.001 });
  const idle = found(records, { question: 'idle' }).map(({ load }) => load.rooms);
  add('idle', 'memory_per_conn', 'Memory of an idle connection', 'bytes',
      'Private and shared memory of the server, without the kernel\'s.',
      { of: { rooms: Math.min(...idle) } });
  add('resume', 'level_s', 'Coming back after kill -9', 's',
      'Until every client is level again, the restart and the check of the ' +
      'log included.');
  return [...list.filter(({ rows }) => rows.length), ...appendCharts(records)];
}

/** A chart's figures as a table's heads and rows. */
function figures({ rows, series, across }) {
  if (rows)
    return [['', ...WIRES.map(([, wire]) => wire)],
            rows.map(({ name, values }) => [name, ...values.map(short)])];
  return [[across, ...series.map(({ name }) => name)],
          series[0].points.map(([x], i) =>
            [x, ...series.map(({ points }) => short(points[i][1]))])];
}

const escape = (text) => String(text).replace(/[&<>"]/g, (c) =>
  ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c]);

export function table(heads, rows) {
  const line = (cells, tag) =>
    `<tr>${cells.map((cell) => `<${tag}>${escape(cell)}</${tag}>`).join('')}</tr>`;
  return `<table>${line(heads, 'th')}${rows.map((row) => line(row, 'td')).join('')}
</table>`;
}

const STYLE = `
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 56rem;
       padding: 0 1rem; color: #222; background: #fff; }
h1 { font-size: 1.6rem } h2 { font-size: 1.2rem; margin-top: 2.5rem }
img { max-width: 100%; height: auto }
table { border-collapse: collapse; margin: 1rem 0; font-size: .9rem }
th, td { text-align: left; padding: .25rem .75rem; border-bottom: 1px solid #ddd }
.wide { overflow-x: auto } small { color: #555 }
`;

export async function writePage(dir, { records, machine, requirements }) {
  await mkdir(dir, { recursive: true });
  const drawn = [];
  let number = 0;
  for (const chart of charts(records)) {
    const file = `chart-${++number}.svg`;
    const { status, stderr, error } = spawnSync('gnuplot', [], {
      cwd: dir, encoding: 'utf8',
      input: (chart.series ? lines : bars)({ ...chart, file }),
    });
    if (error || status !== 0)
      throw new Error(`gnuplot: ${error?.message ?? stderr}`);
    drawn.push({ ...chart, file });
  }
  const polls = pollRows(records);
  const page = `<!doctype html>
<html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Transports compared</title><style>${STYLE}</style>
<h1>Transports compared</h1>
<p>${escape(machine.date)}, ${escape(machine.cpu)}, ${machine.cores} cores.
${escape(machine.command)}. Medians of ${machine.repetitions} interleaved
repetitions; server and generator on a core of their own.</p>
${drawn.map((chart) => `<h2>${escape(chart.title)}</h2>
<p>${escape(chart.text)}</p><img src="${chart.file}" alt="${escape(chart.title)}">
<div class="wide">${table(...figures(chart))}</div>`).join('\n')}
${polls.length ? `<h2>What polling costs</h2>
<p>Everyone gets a message every ten seconds.</p><div class="wide">${table(
    ['', 'requests/s', 'CPU s per million deliveries', 'p50 ms', 'p99 ms'],
    polls.map(({ name, get }) => [name, short(get('requests_per_s')),
      short(get('cpu_s_per_million')), short(get('p50_us') / 1000),
      short(get('p99_us') / 1000)]))}</div>` : ''}
${requirements.length ? `<h2>Where Rung must be</h2><div class="wide">${table(
    ['what', 'required', 'measured', ''],
    requirements.map(({ what, need, measured, unit, met }) =>
      [what, need, measured === undefined ? 'not measured'
        : `${short(measured)} ${unit}`,
      met === undefined ? '' : met ? 'met' : 'not met']))}</div>` : ''}
<h2>What each of them is</h2><div class="wide">${table(
    ['', 'version', 'mind that'],
    Object.entries(servers).filter(([name]) => machine.versions[name])
      .map(([name, { title, note }]) =>
        [title, machine.versions[name], note]))}</div>
</html>
`;
  await writeFile(path.join(dir, 'index.html'), page);
}
