// RESULTS.md and the table on the terminal.

import { writeFile } from 'node:fs/promises';
import { servers } from './servers.mjs';
import { byCase, median, short } from './stats.mjs';

/** What a question's table shows: [field, head, scale]. */
const columns = {
  fanout: [['deliveries_per_s', 'deliveries/s'],
           ['cpu_s_per_million', 'CPU s/million'], ['p50_us', 'p50 ms', 0.001],
           ['p99_us', 'p99 ms', 0.001], ['bytes_in', 'bytes in'],
           ['load_share', 'generator busy %', 100]],
  rate: [['cpu_s_per_million', 'CPU s/million'], ['p50_us', 'p50 ms', 0.001],
         ['p99_us', 'p99 ms', 0.001], ['p999_us', 'p99.9 ms', 0.001],
         ['bytes_in', 'bytes in'], ['bytes_out', 'bytes out']],
  rooms: [['messages_per_s', 'messages/s'], ['cpu_s_per_million', 'CPU s/million'],
          ['p50_us', 'p50 ms', 0.001], ['p99_us', 'p99 ms', 0.001],
          ['load_share', 'generator busy %', 100]],
  idle: [['memory_per_conn', 'bytes each'], ['pss_per_conn', 'Pss each'],
         ['connect_s', 'connected in s']],
  wake: [['cpu_s_per_million', 'CPU s/million'], ['p50_us', 'p50 ms', 0.001],
         ['p99_us', 'p99 ms', 0.001]],
  append: [['appends_per_s', 'appends/s'], ['commits_per_s', 'commits/s'],
           ['p50_us', 'p50 ms', 0.001], ['p99_us', 'p99 ms', 0.001]],
  resume: [['level_s', 'level in s'], ['restart_s', 'of it restart s'],
           ['deliveries', 'deliveries']],
  poll: [['requests_per_s', 'requests/s'], ['cpu_s_per_million', 'CPU s/million'],
         ['p50_us', 'p50 ms', 0.001], ['p99_us', 'p99 ms', 0.001],
         ['bytes_in', 'bytes in'], ['bytes_out', 'bytes out']],
};
columns.half = columns.rate;
columns['rooms-rate'] = columns.rooms;
columns.workers = columns.fanout;

const titles = {
  fanout: 'Fan-out at saturation',
  rate: 'Fan-out at 40,000 deliveries a second',
  half: 'Fan-out at half of what Nchan holds',
  rooms: 'Rooms: conversations of two, saturated',
  'rooms-rate': 'Rooms at a fixed rate',
  idle: 'Idle connections',
  wake: 'One delivery among parked polls, 200 a second',
  append: 'Durable appends through the sequencer',
  store: 'The store and bare LMDB, the same batches and tables',
  resume: 'Coming back after kill -9',
  poll: 'Polling at an interval and waiting',
  workers: 'All workers against all, unpinned',
};

function spread(values, scale = 1) {
  if (!values.length)
    return '–';
  const low = Math.min(...values) * scale;
  const high = Math.max(...values) * scale;
  const middle = short(median(values) * scale);
  return values.length === 1 || low === high ? middle
    : `${middle} (${short(low)} … ${short(high)})`;
}

function rowOf(name, all, fields) {
  const good = all.filter(({ result, error }) => result && !error);
  const problem = all.find(({ error, skipped }) => error ?? skipped);
  const { server, load } = all[0];
  const label = [servers[server].title, load.via,
                 load.shape === 'fanout' && `${load.members} × ${load.size} B`,
                 load.shape !== 'fanout' && load.rooms &&
                   `${load.rooms} × ${load.members}`,
                 load.interval && `every ${load.interval} ms`,
                 load.senders && `${load.senders} senders`]
    .filter(Boolean).join(', ');
  const cells = fields.map(([field, , scale]) =>
    spread(good.map(({ result }) => result[field])
      .filter((value) => value !== undefined), scale));
  return [label, ...cells,
          problem ? (problem.error ?? problem.skipped).split('\n')[0] : ''];
}

function storeRows(records) {
  const good = records.filter(({ result }) => result);
  return (good[0]?.result.batches ?? []).map(({ batch }, i) => {
    const of = (field) => good.map(({ result }) => result.batches[i][field]);
    return [`batches of ${batch}`, spread(of('store')), spread(of('bare')),
            spread(of('ratio')), ''];
  });
}

/** [{title, heads, rows}] for a terminal or a page. */
export function tables(records) {
  return Object.keys(titles).flatMap((question) => {
    const mine = records.filter((record) => record.question === question);
    if (!mine.length)
      return [];
    if (question === 'store')
      return [{ title: titles.store, rows: storeRows(mine),
                heads: ['', 'store/s', 'bare LMDB/s', 'ratio', ''] }];
    const fields = columns[question];
    return [{
      title: titles[question],
      heads: ['', ...fields.map(([, head]) => head), ''],
      rows: [...byCase(mine)].map(([name, all]) => rowOf(name, all, fields)),
    }];
  });
}

export function requirementRows(rows) {
  return rows.map(({ what, need, measured, unit, met }) => [
    what, need, measured === undefined ? 'not measured'
      : `${short(measured)} ${unit}`,
    met === undefined ? '' : met ? 'met' : '**not met**']);
}

const markdown = ({ heads, rows }) => [
  `| ${heads.join(' | ')} |`, `|${heads.map(() => '---|').join('')}`,
  ...rows.map((row) => `| ${row.map((cell) => String(cell).replaceAll('|', '\\|'))
    .join(' | ')} |`),
].join('\n');

export function plain({ title, heads, rows }) {
  const all = [heads, ...rows];
  const widths = heads.map((_, i) => Math.max(...all.map((row) => row[i].length)));
  return [title, ...all.map((row) => `  ${row.map((cell, i) => (i === 0
    ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join('  ')}`.trimEnd())]
    .join('\n');
}

export async function writeResults(file, { records, machine, requirements }) {
  const failed = records.filter(({ error }) => error);
  const text = `# Results

Written by \`${machine.command}\`; the figures of each run are in
\`report/results.jsonl\`, the pictures in \`report/index.html\`.

| | |
|---|---|
| date | ${machine.date} |
| machine | ${machine.cpu}, ${machine.cores} cores, ${machine.memory} |
| kernel | ${machine.kernel} |
| system | ${machine.system} |
| pinned | server: core ${machine.serverCores ?? 'any'}; generator: core ${machine.loadCores ?? 'any'} |
| repetitions | ${machine.repetitions}, interleaved; median (least … most) |
| messages checked | every one of every follower; ${failed.length ? `${failed.length} runs failed` : 'none lost, twice or out of order'} |

${markdown({ heads: ['', 'version', 'mind that'],
             rows: Object.entries(servers).filter(([name]) => machine.versions[name])
               .map(([name, { title, note }]) =>
                 [title, machine.versions[name], note]) })}

## Where Rung must be

Ratios of medians of this run.

${markdown({ heads: ['what', 'required', 'measured', ''],
             rows: requirementRows(requirements) })}

${tables(records).map((table) => `## ${table.title}\n\n${markdown(table)}`)
    .join('\n\n')}
`;
  await writeFile(file, text);
}
