// Does the simulator find anything? Each row breaks the server in one place, in
// a copy of the sources; the simulator must find that within so many seeds.
// Prints the table of docs/RELIABILITY.md; exit 1 when one was not found.
//
//   node tests/simulate/sabotage.mjs [SEEDS] [NAME...]

import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync }
  from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));
const most = Number(process.argv[2] ?? 300);
const wanted = process.argv.slice(3);

const sabotages = [
  ['a failed commit is answered as stored', 'server/sequencer.c',
   'group->err = append_commit(append);', '(void)!append_commit(append);'],
  ['a failed commit moves the head all the same', 'store/append.c',
   '    err = tx_commit(&append->tx);\n    if (!err) {',
   '    err = tx_commit(&append->tx);\n    {'],
  ['commits are not synced', 'store/env.c',
   'if (options->no_sync)', 'if (!options->read_only)'],
  ['a message sent again is stored again', 'store/decide.c',
   'if (s->entry->client_msg_id.size == 0 ||',
   'if (s->entry->client_msg_id.size != 0 ||'],
  ['anybody may write to a group', 'store/decide.c',
   '        if (!in)\n            return refuse(s, ERR_NOT_MEMBER, NULL);\n' +
   '    }\n    if (!s->exists)', '    }\n    if (!s->exists)'],
  ['a mark moves back', 'store/decide.c',
   'if (entry->mark <=\n', 'if (entry->mark ==\n'],
  ['what has overtaken is stored', 'store/decide.c',
   'if (entry->mark - 1 == last.client_seq + 1)',
   'if (entry->mark - 1 >= last.client_seq)'],
  ['resuming begins one too late', 'server/attach.c',
   'carrier->cursor = at;', 'carrier->cursor = at ? at + 1 : 0;'],
  ['delivered is what was sent, not what was presented', 'server/attach.c',
   'session_present(session, carrier->cursor);',
   'session_present(session, hub_head(session->hub));'],
  ['a carrier is level when there is more to read', 'server/catch_up.c',
   'if (!rc && !*more)\n        now_level', 'if (!rc)\n        now_level'],
  ['the log is read beyond what was announced', 'server/catch_up.c',
   '.upto = worker->hub->head}', '.upto = store_head(worker_store(worker))}'],
  ['what a cursor already covers is sent again', 'server/hub.c',
   'if (first->next || first->burst->first <= carrier->cursor)',
   'if (first->next)'],
  ['who is let in is not listened for', 'server/hub.c',
   '        admit(hub, entry);\n', '        (void)admit;\n'],
  ['who has left is still told', 'server/hub.c',
   '        interest_close(session, entry->conv, entry->seq, entry->lsn);\n',
   ''],
  ['a burst does not end where a member joins', 'server/hub.c',
   'if (lets_in(committed)) {\n        close_burst(watch);',
   'if (lets_in(committed)) {'],
  ['a poll is given the head for a cursor', 'transports/poll_answer.c',
   'burst->last ? burst->last : carrier_at(carrier);',
   'hub_head(carrier->worker->hub) ? hub_head(carrier->worker->hub)\n' +
   '                                 : carrier_at(carrier);'],
  ['what a full socket did not take begins again', 'transports/stream_conn.c',
   'conn->offset = at;', 'conn->offset = 0;'],
  ['a full socket is written to', 'transports/stream_conn.c',
   'return !stream_full(conn);\n}\n\nvoid stream_finish',
   'return true;\n}\n\nvoid stream_finish'],
  ['a WebSocket loses the burst that it put off', 'transports/duplex.c',
   '        pieces[count++] = span_of_shared(burst_bytes(held, wire->format));',
   '        (void)burst_bytes(held, wire->format);'],
  ['a line that a full socket cut goes on from its start',
   'transports/tcp_host.c',
   'memcpy(at, pieces[i].data + missing, pieces[i].size - missing);',
   'memcpy(at, pieces[i].data, pieces[i].size - missing);'],
  ['a line that comes in parts loses one', 'transports/tcp_lines.c',
   'if (end && !in->part.size) {', 'if (end) {'],
  ['retention takes one too many', 'store/retention.c',
   '*mark = last - count;', '*mark = last - count + 1;'],
  ['what retention took is not told', 'store/mixed.c',
   'return heap_add(m->reader, &gap);', 'return ERR_NONE;'],
  ['what retention took is forgotten, its id too', 'store/trim.c',
   '*keeps = message->client_msg_id.size > 0 ||', '*keeps ='],
  ['a backup keeps the epoch', 'store/backup.c',
   'if (!err && new_epoch)', 'if (!err && !new_epoch)'],
  ['a cursor of another epoch is taken', 'server/attach.c',
   'if (epoch[0] && memcmp(epoch, store_epoch(store), 8) != 0)',
   'if (epoch[0] && !store)'],
  ['letters are received newest first', 'server/base/mailbox.c',
   'newest->next = oldest;\n        oldest = newest;\n        newest = next;\n' +
   '    }\n    return oldest;',
   'return newest;\n        newest = next;\n    }\n    return oldest;'],
  ['an expired token is good for ever', 'server/carrier.c',
   'if (clock_wall_ms() >=\n        carrier->expires_ms',
   'if (clock_wall_ms() / 1000 >=\n        carrier->expires_ms'],
  ['a burst that was sent is never freed', 'server/hub.c',
   'carrier->via->deliver(carrier, burst); /* may free the carrier */\n' +
   '    burst_unref(burst);',
   'carrier->via->deliver(carrier, burst); /* may free the carrier */'],
  ['the loop does not sleep', 'server/worker.c',
   'if (front_door_turn(worker->door))',
   'if (front_door_turn(worker->door) && worker->draining)'],
];

const copy = mkdtempSync(path.join(tmpdir(), 'rung-sabotage-'));
const sources = ['Makefile', 'server', 'store', 'transports', 'tools', 'web',
                 'bench', 'tests/lib', 'tests/simulate', 'build'];

function make() {
  execFileSync('make', ['-s', '-j2', ...process.env.CC
    ? [`CC=${process.env.CC}`] : [], 'build/tests/simulate/simulate'],
               { cwd: copy, stdio: ['ignore', 'ignore', 'inherit'] });
}

/** A line of a table: no paths of one machine, not too long. */
const short = (words) => {
  const text = words.replaceAll(/\/\S*\/(?=rung\.mdb)/g, '')
    .replaceAll('|', '').trim();
  return text.length > 100 ? `${text.slice(0, 97)}…` : text;
};

/** The seed that found it and what it said, or undefined. */
function hunt() {
  const { stdout } = spawnSync('build/tests/simulate/simulate',
                               [`1-${most}`, '--find'],
                               { cwd: copy, encoding: 'utf8',
                                 timeout: 300000 });
  return /seed (\d+): (.*)/.exec(stdout)?.slice(1);
}

let missed = 0;
try {
  for (const one of sources)
    cpSync(path.join(root, one), path.join(copy, one),
           { recursive: true, preserveTimestamps: true });
  for (const [, file, from] of sabotages)
    if (readFileSync(path.join(root, file), 'utf8').split(from).length !== 2)
      throw new Error(`${file} must have once: ${from}`);
  make();
  console.log('| sabotage | in | found by seed | as |\n|---|---|---|---|');
  for (const [name, file, from, to] of sabotages) {
    if (wanted.length && !wanted.includes(name))
      continue;
    const place = path.join(copy, file);
    const text = readFileSync(place, 'utf8');
    writeFileSync(place, text.replace(from, () => to));
    make();
    const [seed, words] = hunt() ?? ['**none**', ''];
    missed += seed === '**none**';
    console.log(`| ${name} | \`${file}\` | ${seed} | ${short(words)} |`);
    writeFileSync(place, text);
  }
} finally {
  rmSync(copy, { recursive: true, force: true });
}
process.exitCode = missed ? 1 : 0;
