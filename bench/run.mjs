// The bench: which servers, which load, how often; the figures go to the
// terminal, into a report with pictures and, of the whole matrix, bench/RESULTS.md.

import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { appendFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { writePage } from './lib/charts.mjs';
import { matrix, nameOf, questions } from './lib/questions.mjs';
import { requirements } from './lib/requirements.mjs';
import { plain, requirementRows, tables, writeResults } from './lib/results.mjs';
import { measure } from './lib/runs.mjs';
import { servers, versions } from './lib/servers.mjs';
import { middle, short } from './lib/stats.mjs';

const HELP = `usage: bench/run --quick | --full [OPTION]...

Measure Rung, its peers and two ceilings in one run, check every message, and
compare. Build first: make bench-tools; peers: bench/peers/setup.

  --quick            a small matrix, once: at most three minutes
  --full             the whole matrix; writes bench/RESULTS.md too
  --only QUESTION    only this one; may be given again:
                     ${questions.join(', ')}
  --servers A,B      only these: ${Object.keys(servers).join(', ')}
  --repeat N         interleaved repetitions [1 quick, 3 full]
  --out DIR          where the report goes [bench/report; quick:
                     build/bench-quick]
  --dir DIR          where servers keep their data: on the disk that is to be
                     measured [build/bench-data]
  --server-cores LIST, --load-cores LIST
                     for taskset; "any" pins nothing [0 and 1]
  --again FILE       measure nothing; report on these results.jsonl
  --list             print the cases and measure nothing
  -h, --help         print this

RUNG_BIN names another build/rung, BENCH_BIN another build/bench.
`;

const root = fileURLToPath(new URL('../', import.meta.url));

function options() {
  try {
    return parseArgs({ options: {
      quick: { type: 'boolean' }, full: { type: 'boolean' },
      only: { type: 'string', multiple: true, default: [] },
      servers: { type: 'string' }, repeat: { type: 'string' },
      out: { type: 'string' }, dir: { type: 'string' },
      'server-cores': { type: 'string' }, 'load-cores': { type: 'string' },
      again: { type: 'string' }, list: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    } }).values;
  } catch (error) {
    return { wrong: error.message };
  }
}

function wrongIn(given) {
  const named = given.servers?.split(',') ?? [];
  if (given.wrong)
    return given.wrong;
  if (Boolean(given.quick) === Boolean(given.full) && !given.again)
    return 'give one of --quick and --full';
  for (const question of given.only)
    if (!questions.includes(question))
      return `--only: '${question}' is not one of ${questions.join(', ')}`;
  for (const name of named)
    if (!servers[name])
      return `--servers: '${name}' is not one of ${Object.keys(servers).join(', ')}`;
  if (given.repeat && !/^[1-9]\d?$/.test(given.repeat))
    return `--repeat: '${given.repeat}' is not a number from 1 to 99`;
  return undefined;
}

/** "any", or the default when there are two cores to choose from. */
function coresOf(given, fallback) {
  const pinnable = os.availableParallelism() > 1 &&
    spawnSync('taskset', ['-c', fallback, 'true']).status === 0;
  if (given === 'any' || (!given && !pinnable))
    return undefined;
  return given ?? fallback;
}

function setupOf(given) {
  const bin = process.env.BENCH_BIN ?? path.join(root, 'build/bench');
  return {
    rung: process.env.RUNG_BIN ?? path.join(root, 'build/rung'),
    bin,
    load: path.join(bin, 'load-gen'),
    ceiling: path.join(bin, 'ceiling'),
    nginx: '/usr/sbin/nginx',
    redis: '/usr/bin/redis-server',
    dir: path.resolve(given.dir ?? path.join(root, 'build/bench-data')),
    cores: os.availableParallelism(),
    serverCores: coresOf(given['server-cores'], '0'),
    loadCores: coresOf(given['load-cores'], '1'),
  };
}

function machineOf(given, setup) {
  const release = existsSync('/etc/os-release')
    ? /PRETTY_NAME="(.*)"/.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] : '';
  return {
    command: ['bench/run', ...process.argv.slice(2)].join(' '),
    date: new Date().toISOString().slice(0, 10),
    cpu: os.cpus()[0]?.model ?? 'unknown',
    cores: setup.cores,
    memory: `${Math.round(os.totalmem() / 2 ** 30)} GiB`,
    kernel: os.release().replace(/[-+].*/, ''),
    system: release || os.type(),
    serverCores: setup.serverCores,
    loadCores: setup.loadCores,
    repetitions: repetitionsOf(given),
    versions: versions(setup),
  };
}

const repetitionsOf = (given) => Number(given.repeat ?? (given.full ? 3 : 1));

// ---- while it runs -------------------------------------------------------------

function progress(done, total, began, what) {
  const width = 24;
  const full = Math.round((done / total) * width);
  const left = done ? ((Date.now() - began) / done) * (total - done) : 0;
  const minutes = Math.ceil(left / 60000);
  if (!process.stderr.isTTY)
    return;
  process.stderr.write(`\r\x1b[K[${'█'.repeat(full)}${'·'.repeat(width - full)}] ` +
    `${done}/${total}${done ? `, ${minutes} min left` : ''}  ${what}`);
}

function headline({ name, result, error, skipped }) {
  const figures = result && [
    result.deliveries_per_s && `${short(result.deliveries_per_s)} deliveries/s`,
    result.messages_per_s && `${short(result.messages_per_s)} messages/s`,
    result.appends_per_s && `${short(result.appends_per_s)} appends/s`,
    result.p99_us !== undefined && `p99 ${short(result.p99_us / 1000)} ms`,
    result.level_s && `level in ${short(result.level_s)} s`,
    result.memory_per_conn > 0 && `${short(result.memory_per_conn)} B each`,
  ].filter(Boolean).join(', ');
  return `${name}: ${error ? `FAILED ${error}` : skipped ?? figures}`;
}

/** The load's options, with the rate that an earlier answer gives. */
function loadOf(test, records) {
  if (!test.halfOf)
    return test.load;
  const held = middle(records, { ...test.halfOf, via: test.load.via },
                      'messages_per_s');
  if (!held)
    throw new Error('half of a figure that is not there: run fanout too');
  return { ...test.load, rate: Math.max(1, Math.round(held / 2)) };
}

async function runOne(setup, test, records, machine) {
  const record = { question: test.question, name: nameOf(test),
                   server: test.server, load: test.load };
  if (!machine.versions[test.server])
    return { ...record, skipped: 'not installed: bench/peers/setup' };
  try {
    const load = loadOf(test, records);
    const result = await measure(setup, test, load);
    if (result.load_cpu_s !== undefined)
      result.load_share = result.load_cpu_s / result.seconds;
    return { ...record, offered: load.rate, result, error: result.failed };
  } catch (error) {
    return { ...record, error: error.message };
  }
}

async function runAll(given, setup, machine, file) {
  const named = given.servers?.split(',');
  const tests = matrix(given.full ? 'full' : 'quick', given.only)
    .filter(({ server }) => !named || named.includes(server));
  const records = [];
  const total = tests.length * machine.repetitions;
  const began = Date.now();

  for (let repetition = 1; repetition <= machine.repetitions; repetition++)
    for (const test of tests) {
      progress(records.length, total, began, nameOf(test));
      const record = { repetition, ...await runOne(setup, test, records, machine) };
      records.push(record);
      await appendFile(file, `${JSON.stringify(record)}\n`);
      if (process.stderr.isTTY)
        process.stderr.write('\r\x1b[K');
      console.log(headline(record));
    }
  return records;
}

// ---- the end -------------------------------------------------------------------

async function report(given, out, records, machine) {
  const rows = requirements(records);
  const all = { records, machine, requirements: rows };
  for (const table of tables(records))
    console.log(`\n${plain(table)}`);
  if (rows.length)
    console.log(`\n${plain({ title: 'Where Rung must be',
      heads: ['what', 'required', 'measured', ''],
      rows: requirementRows(rows) })}`);
  if (spawnSync('gnuplot', ['--version']).error)
    console.log('\nno gnuplot, so no charts: bench/peers/setup');
  else
    await writePage(out, all);
  const results = given.full || given.again
    ? path.join(out, '..', 'RESULTS.md') : path.join(out, 'quick.md');
  await writeResults(results, all);
  console.log(`\nwritten: ${path.relative(process.cwd(), results)}, ` +
              `${path.relative(process.cwd(), path.join(out, 'index.html'))}`);
}

async function main() {
  const given = options();
  if (given.help) {
    console.log(HELP.trimEnd());
    return 0;
  }
  const wrong = wrongIn(given);
  if (wrong) {
    console.error(`bench/run: ${wrong}; --help tells more`);
    return 2;
  }
  const setup = setupOf(given);
  const out = path.resolve(given.out ??
    path.join(root, given.quick ? 'build/bench-quick' : 'bench/report'));
  const file = path.join(out, 'results.jsonl');
  if (given.list) {
    for (const test of matrix(given.full ? 'full' : 'quick', given.only))
      console.log(nameOf(test));
    return 0;
  }
  if (given.again) {
    const lines = (await readFile(given.again, 'utf8')).trim().split('\n')
      .map((line) => JSON.parse(line));
    await report(given, out, lines.slice(1), lines[0].machine);
    return 0;
  }
  for (const need of [setup.rung, setup.load])
    if (!existsSync(need)) {
      console.error(`bench/run: ${path.relative(process.cwd(), need)} is not ` +
                    'there: make bench-tools');
      return 2;
    }
  const machine = machineOf(given, setup);
  await mkdir(out, { recursive: true });
  await writeFile(file, `${JSON.stringify({ machine })}\n`);
  const records = await runAll(given, setup, machine, file);
  await report(given, out, records, machine);
  return records.some(({ error }) => error) ? 1 : 0;
}

process.exitCode = await main();
