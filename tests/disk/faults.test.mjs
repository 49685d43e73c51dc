// What a client sees of a bad disk, and what is kept: the rows of the table in
// docs/RELIABILITY.md, section "Disk".

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { open, readFile, rename, rm, truncate, unlink }
  from 'node:fs/promises';
import path from 'node:path';
import test from 'node:test';
import { Disk } from '../lib/disk.mjs';
import { Refusal } from '../lib/http.mjs';
import { instrumented, rung, temporaryFolder } from '../lib/server.mjs';
import { p2p, Scene } from '../lib/story.mjs';
import { eventually, ms, within } from '../lib/wait.mjs';

/** A story of alice and bob on a server with a disk of its own. */
function scenario(name, play, options = {}) {
  test(name, { timeout: ms(60000), skip: instrumented }, async () => {
    const disk = await Disk.create();
    const server = await disk.serve(options);
    const scene = new Scene(server);
    try {
      const [alice, bob] = await scene.people('alice', 'bob');
      await play({ disk, server, scene, alice, bob });
    } finally {
      await disk.heal();
      await scene.close();
      await server.finish();
    }
  });
}

const texts = (messages) => messages.map(({ body }) => body.text);
const said = async (alice, bob) =>
  texts((await bob.history(p2p(alice, bob))).messages);

/** The answer to a send must be this refusal. */
async function refused(sending, status, code) {
  await assert.rejects(sending, (error) => {
    assert.ok(error instanceof Refusal, String(error));
    assert.equal(error.status, status);
    assert.equal(error.code, code);
    return true;
  });
}

async function isClean(dir) {
  const { code, stdout, stderr } = await rung(['check', '--data', dir]);
  assert.equal(code, 0, stdout + stderr);
}

// A group commit: pages (data), fdatasync (sync), the head page (head).
for (const [words, fault, where, status, code] of [
  ['pages find no room', 'enospc', 'data', 507, 'storage_full'],
  ['pages are cut short', 'short', 'data', 503, 'unavailable'],
  ['pages cannot be written', 'eio', 'data', 503, 'unavailable'],
  ['the sync fails', 'eio', 'sync', 503, 'unavailable'],
]) {
  scenario(`${words}: ${code}, nothing is stored, and it goes on`,
           async ({ disk, server, alice, bob }) => {
    const reader = await bob.follow('sse', { cursor: await bob.now() });
    const id = randomUUID();
    await alice.send(bob, 'before');
    await disk.will(fault, { where });
    await refused(alice.send(bob, 'during', { client_msg_id: id }), status,
                  code);
    assert.deepEqual(await said(alice, bob), ['before'], 'reads go on');
    const { duplicate, seq } =
      await alice.send(bob, 'during', { client_msg_id: id });
    assert.equal(duplicate, false);
    assert.equal(seq, 2);
    await reader.seen(({ body }) => body?.text === 'during');
    assert.equal(reader.all(({ event }) => event === 'message').length, 2);
    await server.restart();
    assert.deepEqual(await said(alice, bob), ['before', 'during']);
    await isClean(server.dir);
  });
}

scenario('a disk that stays full: sends are refused until there is room',
         async ({ disk, server, alice, bob }) => {
  await alice.send(bob, 'before');
  await disk.will('enospc', { where: 'data', times: 1000000 });
  for (let i = 0; i < 5; i++)
    await refused(alice.send(bob, 'no'), 507, 'storage_full');
  assert.equal((await server.get('/healthz')).status, 200);
  assert.deepEqual(await said(alice, bob), ['before']);
  await disk.heal();
  await alice.send(bob, 'after');
  assert.deepEqual(await said(alice, bob), ['before', 'after']);
});

scenario('the map is full: storage_full, and a larger one goes on',
         async ({ server, alice, bob }) => {
  const text = 'x'.repeat(60000);
  let stored = 0;
  await assert.rejects(async () => {
    for (; stored < 100; stored++)
      await alice.send(bob, text);
  }, { status: 507, code: 'storage_full' });
  assert.ok(stored > 5, `${stored} were stored`);
  assert.equal((await alice.readAll()).length, stored, 'reads go on');
  await server.stop();
  server.args = ['--map-size-mb', '64'];
  await server.start();
  assert.equal((await alice.send(bob, 'there is room')).seq, stored + 1);
  assert.equal((await alice.readAll()).length, stored + 1);
}, { args: ['--map-size-mb', '2'] });

scenario('the head page cannot be written: bye, exit, and a restart goes on',
         async ({ disk, server, scene, alice, bob }) => {
  const reader = await bob.follow('ws', { cursor: await bob.now() });
  const id = randomUUID();
  await alice.send(bob, 'before');
  await disk.will('eio', { where: 'head', times: 2 }); // and its undoing, too
  await assert.rejects(alice.send(bob, 'during', { client_msg_id: id }));
  const bye = await reader.next(({ event }) => event === 'bye');
  assert.equal(bye.reason, 'draining');
  const { code } = await within(15000, server.ended, 'the server ends');
  assert.equal(code, 1);
  assert.match(server.stderr, /must be opened again/);
  await disk.heal();
  await server.start();
  await alice.send(bob, 'during', { client_msg_id: id });
  assert.deepEqual(await said(alice, bob), ['before', 'during']);
  await scene.close();
});

scenario('a disk that stalls: sends wait, readers do not, /healthz tells',
         async ({ disk, server, alice, bob }) => {
  const reader = await bob.follow('sse', { cursor: await bob.now() });
  await alice.send(bob, 'before');
  await reader.seen(({ body }) => body?.text === 'before');
  await disk.will('stall', { where: 'sync' });
  let done = false;
  const sending = alice.send(bob, 'during').then(() => { done = true; });
  const sick = await eventually(async () => {
    const { status, json } = await server.get('/healthz');
    return status === 503 && json;
  }, '/healthz tells of the stall');
  assert.equal(sick.status, 'stalled');
  assert.deepEqual(await said(alice, bob), ['before']);
  assert.equal(done, false, 'what is not synced is not answered');
  await disk.heal();
  await within(5000, sending, 'the send is answered');
  await reader.seen(({ body }) => body?.text === 'during');
  await server.answers();
}, { env: { RUNG_STALL_MS: '400', RUNG_QUEUE_WAIT_MS: '60000' } });

scenario('a disk that stalls for long: what would wait too long is refused',
         async ({ disk, server, alice, bob }) => {
  const send = (id) => alice.send(bob, id, { client_msg_id: id });
  const queued = async () =>
    (await server.get('/healthz')).json.sequencer.queue;
  await send('before');
  await disk.will('stall', { where: 'sync' });
  const first = send('first');
  await eventually(async () => await queued() === 1, 'the first is on its way');
  const second = send('second');
  await eventually(async () => await queued() === 2, 'the second waits');
  const since = Date.now();
  let refusal; // those before it wait behind the second
  const others = [];
  await eventually(async () => {
    const sending = send(`other ${others.length}`);
    sending.then(() => {}, () => {});
    others.push(sending);
    refusal = await Promise.race([
      sending.then(() => undefined, (error) => error),
      new Promise((resolve) => { setTimeout(resolve, 100); })]);
    return refusal && Date.now() - since > 1100;
  }, 'no more is taken');
  assert.equal(refusal.status, 429);
  assert.equal(refusal.code, 'overloaded');
  assert.ok(refusal.retryAfterMs >= 500);
  await disk.heal();
  await within(5000, first, 'what the disk had is stored');
  // On a busy machine it may have joined the commit of the first.
  const late = await second.then(() => undefined, (error) => error);
  if (late)
    assert.equal(late.code, 'overloaded');
  await Promise.allSettled(others);
  assert.equal((await send('second')).duplicate, !late, 'as it was answered');
  await isClean(server.dir);
}, { env: { RUNG_QUEUE_WAIT_MS: '1000', RUNG_STALL_MS: '60000' } });

// --- the files ---------------------------------------------------------------

/** It must not serve, say why, and leave the file as it is. */
async function refusesToServe(dir, words) {
  const file = path.join(dir, 'rung.mdb');
  const before = await readFile(file);
  const { code, stderr } = await rung(['serve', '--listen', '127.0.0.1:0',
                                       '--data', dir], { limit: 5000 });
  assert.ok(code > 0, String(code));
  assert.match(stderr, words);
  assert.ok((await readFile(file)).equals(before), 'the file is as it was');
}

scenario('a file cut short is refused, and left as it is',
         async ({ server, alice, bob }) => {
  const file = path.join(server.dir, 'rung.mdb');
  for (let i = 0; i < 20; i++)
    await alice.send(bob, `${i} ${'x'.repeat(20000)}`);
  await server.stop();
  const whole = await readFile(file);
  await truncate(file, 8192 + 4096);
  await refusesToServe(server.dir, /truncated|damaged|short/);
  await truncate(file, 100);
  await refusesToServe(server.dir, /damaged/);
  const handle = await open(file, 'w');
  await handle.writeFile(whole);
  await handle.close();
  await server.start();
  assert.equal((await said(alice, bob)).length, 20);
});

scenario('both head pages torn: refused, with the advice to restore',
         async ({ server, alice, bob }) => {
  const file = path.join(server.dir, 'rung.mdb');
  await alice.send(bob, 'hi');
  await server.stop();
  const whole = await readFile(file);
  const handle = await open(file, 'r+');
  await handle.write(Buffer.alloc(4096, 0xa5), 0, 4096, 0);
  await handle.write(Buffer.alloc(4096, 0xa5), 0, 4096, 4096);
  await refusesToServe(server.dir, /restore a backup/);
  await handle.write(whole, 0, whole.length, 0);
  await handle.close();
  await server.start();
  assert.deepEqual(await said(alice, bob), ['hi']);
});

scenario('a damaged entry is found by rung check',
         async ({ server, alice, bob }) => {
  const file = path.join(server.dir, 'rung.mdb');
  await alice.send(bob, 'the quick brown fox');
  await server.stop();
  const whole = await readFile(file);
  const handle = await open(file, 'r+');
  for (let i = whole.indexOf('the quick'); i >= 0;
       i = whole.indexOf('the quick', i + 1))
    await handle.write(Buffer.from('T'), 0, 1, i);
  const { code, stderr } = await rung(['check', '--data', server.dir]);
  assert.equal(code, 1, stderr);
  assert.match(stderr, /checksum/);
  await handle.write(whole, 0, whole.length, 0);
  await handle.close();
  await server.start();
});

scenario('the lock is deleted: still no second server',
         async ({ server, alice, bob }) => {
  await unlink(path.join(server.dir, 'lock'));
  const { code, stderr } = await rung(['serve', '--listen', '127.0.0.1:0',
                                       '--data', server.dir]);
  assert.ok(code > 0, String(code));
  assert.match(stderr, /in use/);
  await alice.send(bob, 'it goes on');
  await server.kill(); // a lock that a dead process left is no lock
  await server.start();
  assert.deepEqual(await said(alice, bob), ['it goes on']);
});

for (const transport of ['ws', 'sse', 'longpoll', 'poll', 'stream']) {
  scenario(`a restored backup over ${transport}: reset, then its own chain`,
           async ({ server, scene, alice, bob }) => {
    const folder = await temporaryFolder();
    const copy = path.join(folder, 'copy');
    scene.onClose(() => rm(folder, { recursive: true, force: true }));
    await alice.send(bob, 'kept');
    const made = await rung(['backup', '--data', server.dir, '--to', copy]);
    assert.equal(made.code, 0, made.stderr);
    const { cursor } = await alice.send(bob, 'after the backup');
    await server.stop();
    await rename(path.join(copy, 'rung.mdb'),
                 path.join(server.dir, 'rung.mdb'));
    await rm(path.join(server.dir, 'rung.mdb-lock'), { force: true });
    await server.start();
    const reader = await bob.follow(transport, { cursor });
    const reset = await reader.next(({ event }) => event === 'reset');
    await alice.send(bob, 'a new life');
    await reader.seen(({ body }) => body?.text === 'a new life');
    assert.notEqual(reset.cursor.slice(0, 8), cursor.slice(0, 8));
    assert.deepEqual(await said(alice, bob), ['kept', 'a new life']);
  });
}
