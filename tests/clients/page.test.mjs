// docs/CLIENTS.md shows the files that the other tests here run, all of them.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import test from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));

test('docs/CLIENTS.md shows every client as it is', async () => {
  const { status, stderr } = spawnSync('sh', ['tools/include_clients.sh',
                                              '--check'],
                                       { cwd: root, encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  const page = await readFile(`${root}docs/CLIENTS.md`, 'utf8');
  for (const name of await readdir(`${root}clients`))
    assert.ok(page.includes(`<!-- clients/${name} as `), name);
});
