// The dashboard's server without a cluster behind it: the page's own files, and an API that answers from a scene.

import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { once } from 'node:events';

import { scene } from './fixtures.mjs';

const PAGE = new URL('../../../crates/kurier-dashboard/src/page/', import.meta.url);
const FILES = { '/': ['index.html', 'text/html'], '/dashboard.css': ['dashboard.css', 'text/css'], '/dashboard.js': ['dashboard.js', 'text/javascript'] };
const POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

export const TOKEN = 'a-token-of-tests-only';

class Problem extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export class Mock {
  constructor(name = 'busy') {
    this.show(name);
    this.asked = [];
    this.streams = new Set();
    this.tails = new Set();
    this.port = 0;
  }

  /** Answers from another scene from now on, and says that all is newer. */
  show(name) {
    this.scene = scene(name);
    this.changed();
  }

  async start() {
    this.server = createServer((request, answer) => this.answer(request, answer));
    this.server.listen(this.port, '127.0.0.1');
    await once(this.server, 'listening');
    this.port = this.server.address().port;
    this.url = `http://127.0.0.1:${this.port}/`;
    this.ticks = setInterval(() => this.changed(), 1000);
    return this;
  }

  /** Gone, as a process that is killed: its connections are cut. The port is kept for `start`. */
  async stop() {
    clearInterval(this.ticks);
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, 'close');
    this.streams.clear();
    this.tails.clear();
  }

  changed(parts = ['cluster', 'offsets', 'groups', 'settings', 'clients', 'events']) {
    for (const stream of this.streams ?? []) send(stream, 'changed', { now: new Date().toISOString(), parts });
  }

  tell(event, data) {
    for (const tail of this.tails) send(tail, event, data);
  }

  async answer(request, answer) {
    const url = new URL(request.url, this.url);
    answer.setHeader('Content-Security-Policy', POLICY);
    answer.setHeader('Cache-Control', 'no-store');
    const file = FILES[url.pathname];
    if (file) {
      answer.setHeader('Content-Type', `${file[1]}; charset=utf-8`);
      answer.end(await readFile(new URL(file[0], PAGE)));
      return;
    }
    const path = url.pathname.replace('/api/v1/', '').split('/').map(decodeURIComponent);
    const params = Object.fromEntries(url.searchParams);
    if (path[0] === 'stream') return stream(answer, this.streams);
    if (path[2] === 'tail') {
      stream(answer, this.tails);
      send(answer, 'begun', { partitions: [[0, 0]], left_out: [] });
      return;
    }
    let status = 200;
    let body;
    try {
      const posted = request.method === 'POST' ? JSON.parse(await text(request)) : null;
      this.asked.push({ path: path.join('/'), params, posted });
      body = posted ? this.act(path, posted, request.headers.authorization) : this.read(path, params);
    } catch (error) {
      status = error.status ?? 500;
      body = { error: error.message };
    }
    answer.writeHead(status, { 'Content-Type': 'application/json' });
    answer.end(JSON.stringify(body));
  }

  read([what, name], params) {
    const { scene: shown } = this;
    const one = (found) => found ?? (() => { throw new Problem(404, `${what.slice(0, -1)} ${name}: never seen`); })();
    switch (what) {
      case 'overview': return shown.overview();
      case 'brokers': return shown.brokers();
      case 'topics': return name ? one(shown.topic(name)) : rows(shown.topics(), params);
      case 'groups': return name ? one(shown.group(name)) : rows(shown.groups(), params);
      case 'clients': return shown.clients();
      case 'events': return { events: shown.events().filter(({ id }) => id > Number(params.after ?? -1)), forgotten: 0 };
      case 'dead-letters': return name ? this.letters(params) : shown.deadLetterTopics();
      case 'messages': return this.messages(params);
      default: throw new Problem(404, `there is no ${what}`);
    }
  }

  messages({ from = 'end', at, key = '', value = '', limit = 50 }) {
    if (from.startsWith('time:') && Number.isNaN(Date.parse(from.slice(5)))) throw new Problem(400, `from: ${from.slice(5)} is no time in RFC 3339`);
    const all = this.scene.messages();
    const begin = at ? Number(at.split(':')[1]) : 0;
    const fits = (message) => (message.key?.text ?? '').includes(key) && (message.value?.text ?? '').includes(value);
    const found = all.map((message, index) => ({ message, index })).slice(begin).filter(({ message }) => fits(message)).slice(0, Number(limit));
    const full = found.length === Number(limit);
    const until = full ? found.at(-1).index + 1 : all.length;
    return { messages: found.map(({ message }) => message), scanned: until - begin, of: all.length, seconds: 0.042, stopped: full ? 'limit' : 'end', next: full ? [[0, until]] : [], left_out: [] };
  }

  letters({ cause, error }) {
    const all = this.scene.deadLetters();
    return { ...all, letters: all.letters.filter((row) => (!cause || row.cause === cause) && (!error || row.error.includes(error))) };
  }

  act([what, name, action], asked, authorization) {
    const { dry_run: dry } = asked;
    if (!dry && authorization !== `Bearer ${TOKEN}`) throw new Problem(401, 'that is not the token');
    if (what === 'groups' && action === 'reset') {
      const { partitions } = this.scene.group(name);
      const moves = partitions.filter(({ topic }) => topic === asked.topic).map(({ partition, committed }) => ({ partition, from: committed, to: 0, error: null }));
      return { done: !dry, moves };
    }
    const meant = this.letters(asked).letters.length;
    return { done: !dry, running: false, since: new Date().toISOString(), replayed: meant, passed_over: this.scene.letters().length - meant, left: [['it was given up 3 times', 1]], to: ['orders'], stopped: null };
  }
}

function rows(all, { query = '', sort = 'name', page = 1, per_page: size = 50 }) {
  const by = sort.replace('-', '');
  const meant = all.filter(({ name }) => name.toLowerCase().includes(query.toLowerCase()))
    .sort((one, other) => (one[by] < other[by] ? -1 : 1) * (sort.startsWith('-') ? -1 : 1));
  const first = (Number(page) - 1) * Number(size);
  return { as_of: new Date().toISOString(), error: null, data: { rows: meant.slice(first, first + Number(size)), matching: meant.length, total: all.length, page: Number(page), per_page: Number(size) } };
}

function stream(answer, streams) {
  answer.writeHead(200, { 'Content-Type': 'text/event-stream' });
  answer.write(': here\n\n');
  streams.add(answer);
  answer.on('close', () => streams.delete(answer));
}

function send(stream, event, data) {
  stream.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
}

async function text(request) {
  let all = '';
  for await (const part of request) all += part;
  return all;
}
