// The proofs of docs/RELIABILITY.md, in their long versions, one after the
// other: what was broken how often, and whether anything was lost. Prints a
// table for people and puts it, with its date, into docs/RELIABILITY.md between
// the marks. What each says at length goes to build/prove/. Exit 1 when one
// failed.
//
//   node tests/prove.mjs [--quick] [--page] [NAME...]
//
// --page: into the page also when only some were asked for.

import { spawn } from 'node:child_process';
import { mkdirSync, createWriteStream, existsSync, readFileSync,
         writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../', import.meta.url));
const logs = path.join(root, 'build', 'prove');
const args = process.argv.slice(2);
const quick = args.includes('--quick');
const chosen = args.filter((arg) => !arg.startsWith('--'));

const pick = (long, short) => (quick ? short : long);
const make = (...words) =>
  ['make', '--no-print-directory', ...process.env.CC
    ? [`CC=${process.env.CC}`] : [], ...words];
const tests = (folder) =>
  ['node', '--test', '--test-concurrency=1', '--test-reporter=tap',
   ...(existsSync(path.join(root, 'tests', folder)) ? [`tests/${folder}/`] : [])];

/** The sum of what a pattern finds in a text. */
const sum = (text, pattern) => [...text.matchAll(pattern)]
  .reduce((total, [, n]) => total + Number(n), 0);
const passed = (text) =>
  `${sum(text, /^[#ℹ] pass (\d+)/gm)} passed, ` +
  `${sum(text, /^[#ℹ] fail (\d+)/gm)} failed`;

/** name, what it needs to be there, the command, its environment, and the
 * figures that its output holds: faults injected, and what came of them. */
const proofs = [
  { name: 'packets', needs: 'tests/packets',
    command: make('packets', `N=${pick(1000, 50)}`),
    faults: (text) => `${sum(text, /"[a-z:A-Z]+":(\d+)/g)} packets lost`,
    outcome: passed },
  { name: 'simulate', needs: 'tests/simulate',
    command: make('simulate', `SEEDS=1-${pick(3000, 100)}`),
    faults: (text) => {
      const [, network, disk, kills, cuts] =
        /, (\d+) faults of the network, (\d+) of the disk, (\d+) kills, (\d+) power/
          .exec(text) ?? [];
      return `network ${network}, disk ${disk}, kills ${kills}, ` +
             `power cuts ${cuts}`;
    },
    outcome: (text) => `${/\d+ seeds, \d+ failed/.exec(text)}; ` +
      `${/tally: (\d+)/.exec(text)?.[1]} messages` +
      (/ 0 failed/.test(text) ? ', none lost, none twice' : '') },
  { name: 'simulate-same', needs: 'tests/simulate',
    command: make('simulate-same'),
    faults: () => '',
    outcome: (text) => text.trim().split('\n').at(-1) },
  { name: 'sabotage', needs: 'tests/simulate', long: true,
    command: make('sabotage'),
    faults: (text) => `${[...text.matchAll(/^\| /gm)].length - 1} bugs put in`,
    outcome: (text) =>
      `${[...text.matchAll(/\*\*none\*\*/g)].length} not found` },
  { name: 'disk', needs: 'tests/disk', command: tests('disk'),
    faults: (text) => `${sum(text, /# (\d+) boundaries/g)} kills at a write ` +
                      'or sync; each row of the table',
    outcome: passed },
  { name: 'crash', needs: 'tests/crash', command: tests('crash'),
    env: { RUNG_KILL_LOOPS: String(pick(200, 10)) },
    faults: (text) => `${/lost by (\d+ kills)/.exec(text)?.[1]}`,
    outcome: (text) =>
      `${/# (\d+ acknowledged)/.exec(text)?.[1] ?? ''}: ${passed(text)}` },
  { name: 'hostile', needs: 'tests/hostile', command: tests('hostile'),
    faults: () => 'see the sections', outcome: passed },
  { name: 'overload', needs: 'tests/overload', command: tests('overload'),
    env: { RUNG_HERD: String(pick(10000, 400)) },
    faults: () => `a herd of ${pick('10,000', '400')}; a full queue; ` +
                  'a huge conversation',
    outcome: passed },
  { name: 'rfc6455', needs: 'tests/contract/rfc6455.test.mjs',
    command: ['node', '--test', '--test-reporter=tap',
              'tests/contract/rfc6455.test.mjs'],
    faults: () => 'what RFC 6455 forbids', outcome: passed },
  { name: 'fuzz', needs: 'tests/fuzz', long: true,
    command: make('fuzz', `FUZZ_SECONDS=${pick(120, 5)}`),
    faults: (text) => `${sum(text, /: (\d+) runs/g)} inputs`,
    outcome: (text) => `${[...text.matchAll(/^ok fuzz/gm)].length} parsers ` +
      `well, ${[...text.matchAll(/^not ok fuzz/gm)].length} not` },
];

function run({ name, command: [program, ...words], env }) {
  const log = createWriteStream(path.join(logs, `${name}.log`));

  return new Promise((resolve) => {
    const child = spawn(program, words, {
      cwd: root, stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, RUNG_BIN: process.env.RUNG_BIN ??
             path.join(root, 'build', 'rung'), ...env },
    });
    let text = '';
    const keep = (chunk) => {
      text += chunk;
      log.write(chunk);
    };
    child.stdout.setEncoding('utf8').on('data', keep);
    child.stderr.setEncoding('utf8').on('data', keep);
    child.on('close', (code) => {
      log.end();
      resolve({ well: code === 0, text });
    });
  });
}

const shown = ({ command, env }) =>
  [...Object.entries(env ?? {}).map(([key, value]) => `${key}=${value}`),
   ...command.filter((word) => !/^(--no-print|--test-|CC=)/.test(word))]
    .join(' ');

/** Between the marks, if the page has them. */
function writePage(rows) {
  const page = path.join(root, 'docs', 'RELIABILITY.md');
  const text = readFileSync(page, 'utf8');
  const date = new Date().toISOString().slice(0, 10);
  const table = [
    `\`node tests/prove.mjs ${args.join(' ')}\`, ${date}:`.replace(' `', '`'),
    '',
    '| proof | command | faults injected | outcome | seconds |',
    '|---|---|---|---|---|',
    ...rows.map((row) => `| ${row.join(' | ')} |`),
  ].join('\n');

  writeFileSync(page, text.replace(
    /(<!-- prove -->\n)[\s\S]*?(<!-- \/prove -->)/, `$1${table}\n$2`));
}

mkdirSync(logs, { recursive: true });
const rows = [];
let failed = 0;
for (const proof of proofs) {
  if (chosen.length ? !chosen.includes(proof.name) : quick && proof.long)
    continue;
  if (!existsSync(path.join(root, proof.needs)))
    continue;
  const begin = Date.now();
  process.stdout.write(`${proof.name.padEnd(14)} … `);
  const { well, text } = await run(proof);
  const seconds = Math.round((Date.now() - begin) / 1000);
  const outcome = `${well ? '' : '**failed**: '}${proof.outcome(text)}`;
  failed += !well;
  rows.push([proof.name, `\`${shown(proof)}\``, proof.faults(text), outcome,
             seconds]);
  console.log(`${well ? 'well' : 'FAILED'} (${seconds} s): ` +
              `${proof.faults(text)}; ${outcome}` +
              (well ? '' : `; see build/prove/${proof.name}.log`));
}
if (!failed && (!chosen.length || args.includes('--page')))
  writePage(rows);
console.log(failed ? `${failed} of ${rows.length} failed`
                   : `all ${rows.length} hold`);
process.exitCode = failed ? 1 : 0;
