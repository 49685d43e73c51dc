// What is published: the package as npm packs it, installed elsewhere; the classic
// script; the types.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import vm from 'node:vm';
import { RungClient } from '../../web/rung.js';
import { RUNG_BIN, Server } from '../lib/server.mjs';

const run = promisify(execFile);
const skip = existsSync(RUNG_BIN) ? false : `${RUNG_BIN} is not built`;
const web = fileURLToPath(new URL('../../web/', import.meta.url));
const require = createRequire(import.meta.url);

const TALK = `
  const client = new RungClient({ url: process.argv[2], cursor: '0', device: 'npm' });
  await client.login('alice');
  const heard = new Promise((resolve) => client.on('message', resolve));
  client.start();
  await client.sendMessage(client.createMessage({ to: 'bob', body: 'from npm' }));
  const { body, seq } = await heard;
  console.log(JSON.stringify({ body, seq, live: client.status.transport }));
  client.close();`;

async function temporary(t) {
  const folder = await mkdtemp(path.join(tmpdir(), 'rung-npm-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

test('the packed package works where it is installed, as a module and as a script', { skip, timeout: 120_000 }, async (t) => {
  const server = await Server.start();
  t.after(() => server.finish());
  const folder = await temporary(t);
  const { stdout } = await run('npm', ['pack', '--silent', '--pack-destination', folder], { cwd: web });
  const tarball = path.join(folder, stdout.trim().split('\n').at(-1));
  await writeFile(path.join(folder, 'package.json'), '{"type":"module"}');
  await run('npm', ['install', '--offline', '--no-audit', '--no-fund', tarball], { cwd: folder });
  assert.deepEqual(JSON.parse(await readFile(path.join(folder, 'node_modules/rung/package.json'), 'utf8')).dependencies, undefined);

  for (const [file, how] of [['module.mjs', "import { RungClient } from 'rung';"],
    ['script.mjs', "import 'rung/classic'; const { RungClient } = globalThis.Rung;"]]) {
    await writeFile(path.join(folder, file), how + TALK);
    const { stdout: said } = await run(process.execPath, [path.join(folder, file), server.url], { timeout: 30_000 });
    const { body, live } = JSON.parse(said);
    assert.equal(body, 'from npm');
    assert.ok(['ws', 'stream'].includes(live), live); // Node 20 has no WebSocket
  }
});

test('the classic script leaves one global, with what the module exports', async () => {
  await run('make', ['-s', '-C', path.join(web, '..'), 'web/rung.classic.js']);
  const made = await readFile(path.join(web, 'rung.classic.js'), 'utf8');
  const tool = path.join(web, '../tools/classic_script.awk');
  const { stdout } = await run('awk', ['-f', tool, '-v', `root=${web}`, '-v', 'entry=rung.js', '-v', 'name=Rung'],
    { timeout: 60_000 }); // its stdin stays open, as a terminal's
  assert.equal(stdout, made);
  const world = vm.createContext({ Error, Map, Promise, Set, Math, Object, JSON });
  vm.runInContext(made, world);
  assert.deepEqual(Object.keys(world).filter((name) => name === 'Rung' || name === 'modules'), ['Rung']);
  assert.deepEqual(Object.keys(world.Rung).sort(), Object.keys(await import('../../web/rung.js')).sort());
});

test('what is not of the known forms is not bundled', async (t) => {
  const folder = await temporary(t);
  for (const [text, wrong] of [["import x from './y.js';", /import x/], ['export default 1;', /export default/],
    ["import { a } from './nowhere.js';", /cannot be read/], ["import { a } from '../up.js';", /from above/]]) {
    await writeFile(path.join(folder, 'a.js'), `${text}\n`);
    const tool = path.join(web, '../tools/classic_script.awk');
    await assert.rejects(run('awk', ['-f', tool, '-v', `root=${folder}`, '-v', 'entry=a.js', '-v', 'name=A']),
      ({ code, stderr }) => code === 1 && wrong.test(stderr));
  }
});

test('the types compile, accept what is right and refuse what is not', { timeout: 120_000 }, async () => {
  const types = fileURLToPath(new URL('types/', import.meta.url));
  await run(process.execPath, [require.resolve('typescript/bin/tsc'), '-p', types]).catch(({ stdout }) => assert.fail(stdout));
});

test('the types name every member of the client, and no other', async () => {
  const ts = require('typescript');
  const source = ts.createSourceFile('rung.d.ts', await readFile(path.join(web, 'rung.d.ts'), 'utf8'), ts.ScriptTarget.Latest);
  const declared = source.statements.find((node) => ts.isClassDeclaration(node) && node.name.text === 'RungClient');
  const named = new Set(declared.members.filter(({ name }) => name).map(({ name }) => name.text));
  const there = [...Object.getOwnPropertyNames(RungClient.prototype), ...Object.keys(new RungClient({ url: 'http://rung.test' }))];
  assert.deepEqual([...named].sort(), there.filter((name) => name !== 'constructor').sort());
});
