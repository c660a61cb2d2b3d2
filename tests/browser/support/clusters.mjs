// Three nodes that can be hurt: an embedded cluster, or those of Apache Kafka that this runs beside.
//
// Both have `bootstrap`, `start()` to have three nodes with some topics, `kill(node)` and `revive(node)`, `goAway()`, which
// kills all at once, and `comeBack()`, after which the topics are there again, and `end()`.

import { once } from 'node:events';
import { connect, createServer } from 'node:net';

import { Process, run } from './processes.mjs';

/** `target/debug/apache-kafka` says so: where its nodes are, and where it takes orders. */
const { KURIER_BOOTSTRAP: BOOTSTRAP, KURIER_TEST_NODES: NODES } = process.env;

/** Whether these are nodes of Apache Kafka. */
export const REAL = Boolean(NODES);

export const newCluster = () => (REAL ? new ApacheKafka() : new Embedded());

/** A process; the nodes are in it, and what they hold is gone when all of them are. */
class Embedded {
  async start(topics) {
    this.topics = topics;
    this.port = await freePorts();
    this.bootstrap = [0, 1, 2].map((i) => `127.0.0.1:${this.port + i}`).join(',');
    await this.comeBack();
  }

  kill(node) {
    return run(['cluster', 'kill', String(node), '-b', this.bootstrap]);
  }

  revive(node) {
    return run(['cluster', 'start', String(node), '-b', this.bootstrap]);
  }

  goAway() {
    return this.process.end('SIGKILL');
  }

  async comeBack() {
    const topics = Object.entries(this.topics).flatMap(([name, partitions]) => ['--topic', `${name}:${partitions}`]);
    this.process = new Process('cluster', 'run', '--nodes', '3', '--port', String(this.port), ...topics, '-o', 'json');
    await this.process.says(/"event":"started"/);
  }

  end() {
    return this.process.end('SIGKILL');
  }
}

/** Three processes, each killed for real; they are those of `target/debug/apache-kafka`. */
class ApacheKafka {
  bootstrap = BOOTSTRAP;

  async start(topics) {
    for (const [name, partitions] of Object.entries(topics)) {
      await run(['topic', 'create', name, '--partitions', String(partitions), '-b', this.bootstrap]);
    }
  }

  kill(node) {
    return this.order(`kill ${node}`);
  }

  revive(node) {
    return this.order(`start ${node}`);
  }

  async goAway() {
    for (const node of [1, 2, 3]) await this.kill(node);
  }

  comeBack() {
    return this.order('start all');
  }

  async order(line) {
    const socket = connect(NODES).setEncoding('utf8');
    let answer = '';
    socket.on('data', (data) => { answer += data; });
    socket.write(`${line}\n`);
    await once(socket, 'close');
    if (answer !== 'done\n') throw new Error(`${line}: ${answer || 'no answer'}`);
  }

  async end() {
    // Whoever started the nodes ends them.
  }
}

/** The first of three ports in a row that nobody has. */
async function freePorts() {
  for (let port = 21_000 + Math.floor(Math.random() * 9_000); ; port += 3) {
    const servers = [0, 1, 2].map((i) => createServer().listen(port + i, '127.0.0.1'));
    const free = await Promise.all(servers.map((server) => Promise.race([once(server, 'listening').then(() => true), once(server, 'error').then(() => false)])));
    await Promise.all(servers.map((server) => new Promise((resolve) => { server.close(resolve); })));
    if (free.every(Boolean)) return port;
  }
}
