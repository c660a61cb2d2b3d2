// A real dashboard at a cluster with traffic: everything but the nodes is the binary in KURIER.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { newCluster } from './clusters.mjs';
import { HOSTILE } from './fixtures.mjs';
import { Process, pause, run } from './processes.mjs';

export const TOKEN = 'a-token-of-tests-only';
const TOPICS = { orders: 6, 'orders.dlq': 1, hostile: 1 };

/** A cluster, a producer, a consumer that rejects some, and a message that means ill. */
export class Scene {
  async start() {
    this.running = [];
    this.folder = mkdtempSync(join(tmpdir(), 'kurier-browser-'));
    writeFileSync(join(this.folder, 'token'), TOKEN);
    this.cluster = newCluster();
    await this.cluster.start(TOPICS);
    await this.produceHostile();
    await this.run(['produce', 'orders', '--input', 'raw'], 'this is no message\nnor is this\n');
    this.producer = this.spawn('produce', 'orders', '--sample', 'endless', '--rate', '100', '--sample-keys', '20', '--metrics', '127.0.0.1:0');
    this.consumer = this.spawn('consume', 'single', 'orders', '--dead-letter', 'orders.dlq', '--metrics', '127.0.0.1:0');
    this.clients = [];
    for (const process of [this.producer, this.consumer]) this.clients.push((await process.says(/address=(127\.0\.0\.1:\d+)/))[1]);
    return this;
  }

  get bootstrap() {
    return this.cluster.bootstrap;
  }

  /** `kurier dashboard` at some bootstrap addresses; answers where it is. */
  async dashboard(bootstrap = this.bootstrap) {
    const process = new Process('dashboard', '-b', bootstrap, '--listen', '127.0.0.1:0', '--token-file', join(this.folder, 'token'), ...this.clients.flatMap((client) => ['--client', client]));
    this.running.push(process);
    const [, url] = await process.says(/(http:\/\/127\.0\.0\.1:\d+)/);
    return `${url}/`;
  }

  spawn(command, ...args) {
    const process = new Process(command, ...args, '-b', this.bootstrap);
    process.child.stdout.resume();
    this.running.push(process);
    return process;
  }

  run(args, input) {
    return run([...args, '-b', this.bootstrap], input);
  }

  produceHostile() {
    return this.run(['produce', 'hostile', '--input', 'raw'], `${HOSTILE}\n`);
  }

  async stop() {
    await Promise.all(this.running.map((process) => process.end('SIGKILL')));
    await this.cluster.end();
    rmSync(this.folder, { recursive: true });
  }
}

/** Asks until the answer is as wanted, at most so long; answers how many seconds that took. */
export async function until(what, asked, within) {
  const begun = Date.now();
  let last;
  while (Date.now() - begun < within) {
    last = await asked();
    if (last === true) return (Date.now() - begun) / 1000;
    await pause(100);
  }
  throw new Error(`not within ${within / 1000} s: ${what}; last seen: ${JSON.stringify(last)?.slice(0, 2_000)}`);
}

/** What the API answers, and in how many milliseconds. */
export async function answer(url, path) {
  const begun = performance.now();
  const response = await fetch(`${url}api/v1/${path}`);
  const body = await response.json();
  return { status: response.status, body, took: performance.now() - begun };
}

/** A page of each kind, by what the server has; those that ask Kafka itself are marked so. */
export async function pagesOf(url) {
  const first = async (path, name) => {
    const { body: { data } } = await answer(url, path);
    const rows = data?.rows ?? data ?? [];
    return (rows.find((row) => !row.internal && !row.dead_letters && !row.replay) ?? rows[0])?.[name];
  };
  const topic = await first('topics?sort=-rate', 'name');
  const group = await first('groups?sort=-members', 'name');
  const letters = await first('dead-letters', 'topic');
  const named = (page, name) => name && `${page}/${encodeURIComponent(name)}`;
  return Object.entries({
    overview: 'overview', brokers: 'brokers', topics: 'topics', topic: named('topics', topic), groups: 'groups', group: named('groups', group),
    messages: named('messages', topic), 'dead-letters': 'dead-letters', letters: named('dead-letters', letters), clients: 'clients', events: 'events',
  }).filter(([, hash]) => hash).map(([name, hash]) => ({ name, hash, asksKafka: name === 'messages' || name === 'letters' }));
}
