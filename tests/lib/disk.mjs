// A server whose disk does as it is told: tests/disk/shim.c comes between LMDB
// and the kernel.

import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { RUNG_BIN, Server, temporaryFolder } from './server.mjs';

const SHIM = path.join(path.dirname(RUNG_BIN), 'tests', 'disk', 'shim.so');

export class Disk {
  #number = 0;

  static async create() {
    const disk = new Disk();

    disk.plan = path.join(await temporaryFolder('rung-disk-'), 'plan');
    return disk;
  }

  /** The environment of a server on this disk. */
  get env() {
    return { LD_PRELOAD: SHIM, DISK_PLAN: this.plan };
  }

  /** Start one; `options` as for Server.start(). */
  serve(options = {}) {
    return Server.start({ ...options, env: { ...options.env, ...this.env } });
  }

  /** From now on: `fault` at the nth step of the kind `where`. */
  async will(fault, { where = 'any', nth = 1, times = 1 } = {}) {
    this.#number++;
    await writeFile(this.plan,
                    `${this.#number} ${fault} ${where} ${nth} ${times}\n`);
  }

  heal() {
    return this.will('none', { times: 0 });
  }

  /** How many writes and syncs the server that runs, or ran last, has made. */
  async steps() {
    return Number(await readFile(`${this.plan}.steps`, 'utf8'));
  }
}
