// kurier's binary, the one in KURIER, as processes.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';

/** The binary; npm changes the folder, so that a path is meant from where npm was called. */
export const KURIER = process.env.KURIER && resolve(process.env.INIT_CWD ?? '.', process.env.KURIER);

export const pause = (millis) => new Promise((resolve) => { setTimeout(resolve, millis); });

/** A process of ours; what it says is kept for when something fails. */
export class Process {
  constructor(...args) {
    this.name = args.join(' ');
    this.said = '';
    this.child = spawn(KURIER, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    for (const pipe of [this.child.stdout, this.child.stderr]) pipe.on('data', (data) => { this.said = (this.said + data).slice(-20_000); });
    this.ended = once(this.child, 'exit');
  }

  /** Waits until it says what fits; answers the match. */
  async says(pattern, within = 30_000) {
    const until = Date.now() + within;
    while (Date.now() < until) {
      const match = pattern.exec(this.said);
      if (match) return match;
      if (this.child.exitCode !== null) break;
      await pause(50);
    }
    throw new Error(`kurier ${this.name} did not say ${pattern}: ${this.said}`);
  }

  async end(signal = 'SIGTERM') {
    this.child.kill(signal);
    await this.ended;
  }
}

/** Runs it to its end, which has to be a good one. */
export async function run(args, input = '') {
  const process = new Process(...args);
  process.child.stdin.end(input);
  const [code] = await process.ended;
  if (code !== 0) throw new Error(`kurier ${process.name} ended with ${code}: ${process.said}`);
}
