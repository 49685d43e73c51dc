// One run: a server, a load on it, a record of both.

import { createInterface } from 'node:readline';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import path from 'node:path';
import { pinned, servers, start } from './servers.mjs';

const LIMIT_MS = 180000;

function flags(load) {
  return Object.entries(load).flatMap(([name, value]) =>
    [`--${name}`, String(value)]);
}

/** The load generator's answer; `onReady` runs when it waits for a line. */
async function putLoad(setup, server, test, load, onReady) {
  const child = start([
    ...pinned(setup.loadCores), setup.load, '--server',
    servers[test.server].dialect, '--port', String(server.port), '--pids',
    server.pids.join(','), ...flags(load),
  ], { stdin: 'pipe' });
  const timer = setTimeout(() => child.kill('SIGKILL'), LIMIT_MS);
  let answer;
  for await (const line of createInterface({ input: child.stdout })) {
    if (line === 'READY') {
      await onReady();
      child.stdin.write('GO\n');
    } else if (line.startsWith('{')) {
      answer = JSON.parse(line);
    }
  }
  const end = await child.ended;
  clearTimeout(timer);
  if (!answer)
    throw new Error(child.errors.trim() || `the load ended: ${end.signal}`);
  if (end.code !== 0)
    answer.failed = child.errors.trim() || `exit ${end.code}`;
  return answer;
}

async function measureServer(setup, test, load) {
  const { everyCore } = test.options ?? {};
  const options = {
    rooms: load.rooms,
    cores: everyCore ? undefined : setup.serverCores,
    workers: everyCore ? setup.cores : 1,
  };
  let server = await servers[test.server].start(setup, options);
  let restart_s;
  try {
    const answer = await putLoad(setup, server, test, load, async () => {
      await server.kill();
      const began = Date.now();
      server = await servers[test.server].start(setup, server.options);
      restart_s = (Date.now() - began) / 1000;
    });
    return restart_s === undefined ? answer
      : { ...answer, restart_s, level_s: answer.level_s + restart_s };
  } finally {
    await server.stop();
  }
}

/** The program's own line of JSON, or its table. */
async function measureProgram(setup, test) {
  await mkdir(setup.dir, { recursive: true });
  const dir = await mkdtemp(path.join(setup.dir, 'append-'));
  const child = start([path.join(setup.bin, test.program), '--dir', dir,
                       ...flags(test.load)]);
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (part) => { text += part; });
  const end = await child.ended;
  await rm(dir, { recursive: true, force: true });
  if (end.code !== 0)
    throw new Error(child.errors.trim() || `${test.program} failed`);
  if (!test.table)
    return JSON.parse(text);
  return { batches: text.trim().split('\n').slice(2).map((line) => {
    const [batch, store, bare, ratio] = line.trim().split(/\s+/).map(Number);
    return { batch, store, bare, ratio };
  }) };
}

export function measure(setup, test, load) {
  return test.program ? measureProgram(setup, test)
    : measureServer(setup, test, load);
}

