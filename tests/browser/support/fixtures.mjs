// What the API answers about clusters that are not there. The shapes are those of crates/kurier-dashboard/src/view.

const now = () => Date.now();
const iso = (millis) => new Date(millis).toISOString();
const ago = (seconds) => iso(now() - seconds * 1000);
const panel = (data, { age = 1, error = null } = {}) => ({ as_of: data === null ? null : ago(age), error, data });

/** A quarter of an hour in steps of 10 s; the first values are not seen yet, and there is one gap. */
function series(level, { swing = 0.2, before = 12, gap = [52, 57] } = {}) {
  const values = Array.from({ length: 90 }, (_, i) => {
    if (i < before || (i >= gap[0] && i < gap[1])) return null;
    const wave = Math.sin(i / 7) * 0.6 + Math.sin(i * 12.9898) * 0.4;
    return Math.max(0, level * (1 + swing * wave));
  });
  return { until: iso(now()), step_seconds: 10, values };
}

const bytesOf = (text) => {
  const raw = Buffer.from(text);
  let json = false;
  try { JSON.parse(text); json = true; } catch { /* it is none */ }
  return { length: raw.length, text, json, hex: raw.subarray(0, 1024).toString('hex'), cut: false };
};
const binary = (raw) => ({ length: raw.length, text: null, json: false, hex: raw.subarray(0, 1024).toString('hex'), cut: raw.length > 1024 });

export const HOSTILE = '<script>window.hostile = true</script><img src=x onerror="window.hostile = true">';
export const TURNED = 'gro\u202eup\u202c \u05e9\u05dc\u05d5\u05dd';
export const ENDLESS = `endless.${'name-'.repeat(48)}end`.slice(0, 249);

function overview(scene) {
  const { dead = [], silent = false, writable = true } = scene;
  const under = dead.length ? 4 : 0;
  const error = silent ? 'timed out after 2 s: no broker answers' : null;
  const age = silent ? 41 : 1;
  const state = silent ? 'down' : dead.length ? 'degraded' : scene.empty ? 'unknown' : 'healthy';
  const reasons = silent ? ['no broker has answered for 41 s: 127.0.0.1:9092, 127.0.0.1:9093, 127.0.0.1:9094']
    : dead.length ? [...dead.map((id) => `broker ${id} has not been there for 14 s`),
      '4 of 18 partitions have fewer replicas in sync than replicas', '4 partitions are at min.insync.replicas: one more death and acks=all is refused']
      : [];
  const cluster = { id: 'vXq3-kurier-embedded', controller: 1, brokers_up: 3 - dead.length, brokers_known: 3, topics: scene.topics().length,
    partitions: 18, offline: 0, under_replicated: under, under_min_isr: 0, at_min_isr: under };
  const worst = scene.groups().filter(({ replay }) => !replay).map(({ name, lag }) => ({ group: name, lag })).filter(({ lag }) => lag !== null).sort((a, b) => b.lag - a.lag).slice(0, 10);
  const seen = (data) => (scene.empty ? panel(null) : panel(data, { age, error }));
  return {
    now: iso(now()), version: '0.1.0', bootstrap: '127.0.0.1:9092,127.0.0.1:9093,127.0.0.1:9094', writable,
    status: { state, reasons, since: ago(silent ? 41 : dead.length ? 14 : 754) },
    cluster: seen(cluster),
    traffic: seen({ messages_per_second: silent ? null : 1204.2, history: series(1200) }),
    lag: seen({ groups: scene.groups().filter(({ replay }) => !replay).length, total: worst.reduce((sum, { lag }) => sum + lag, 0), worst, history: series(12_000, { swing: 0.5 }) }),
    clients: panel(scene.empty
      ? { there: 0, gone: 0, delivered: 0, failed: 0, handled: 0, retried: 0, dead_lettered: 0, lost: null }
      : { there: 2, gone: 1, delivered: 1_840_112, failed: 0, handled: 1_839_870, retried: 214, dead_lettered: 7, lost: 0 }),
  };
}

const brokers = ({ dead = [], silent = false, empty }) => (empty ? panel(null) : panel([1, 2, 3].map((id) => {
  const up = !dead.includes(id);
  return { id, address: `127.0.0.1:${9091 + id}`, up, since: ago(up ? 754 : 14), error: up ? null : 'connection refused', controller: id === 1, leaders: up ? 6 : 0, replicas: 18, in_sync: up ? 18 : 14 };
}), silent ? { age: 41, error: 'timed out after 2 s: no broker answers' } : {}));

const topic = (name, more = {}) => ({ name, internal: false, dead_letters: name.endsWith('.dlq'), partitions: 6, replication: 3, offline: 0, under_replicated: 0, messages: 801_120, rate: 640.4, ...more });
const group = (name, more = {}) => ({ name, replay: name.startsWith('kurier-replay.'), state: 'Stable', members: 2, topics: ['orders'], lag: 242, verdict: 'ok', without_owner: 0, as_of: ago(2), error: null, ...more });

function usualTopics({ dead = [] }) {
  const under = dead.length ? 2 : 0;
  return [
    topic('orders', { under_replicated: under }), topic('payments', { partitions: 3, messages: 90_422, rate: 88.1, under_replicated: under }),
    topic('orders.dlq', { partitions: 1, messages: 7, rate: 0 }), topic('audit', { partitions: 1, replication: 1, messages: null, rate: null }),
    topic('__consumer_offsets', { internal: true, partitions: 7, messages: 12_420, rate: 3.2 }),
  ];
}

const usualGroups = () => [
  group('single_message_group_1'),
  group('checkout', { lag: 11_402, verdict: 'warn', members: 3, topics: ['orders', 'payments', 'audit'] }),
  group('reports', { state: 'Empty', members: 0, lag: 4_212, verdict: 'stop', topics: ['payments'] }),
  group('kurier-replay.orders.dlq.e604823a249029bf', { state: 'Empty', members: 0, lag: 2, verdict: 'stop', topics: ['orders.dlq'] }),
  group('mail', { lag: 310, verdict: 'stall', without_owner: 2, state: 'PreparingRebalance' }),
  group('audit-once', { lag: null, members: 1, verdict: 'unknown', topics: [], as_of: ago(26), error: 'coordinator 2 does not answer' }),
];

function topicDetail(scene, name) {
  const found = scene.topics().find((row) => row.name === name);
  if (!found) return null;
  const { dead = [] } = scene;
  const partitions = Array.from({ length: found.partitions }, (_, partition) => {
    const order = [1, 2, 3].map((_, i) => ((partition + i) % 3) + 1).slice(0, found.replication);
    const up = (broker) => !dead.includes(broker);
    return { partition, leader: order.find(up) ?? null, replicas: order.map((broker) => ({ broker, in_sync: up(broker), up: up(broker) })),
      first: 0, next: 133_520 + partition * 17, rate: found.rate === null ? null : found.rate / found.partitions };
  });
  return {
    topic: panel(found), partitions: panel(partitions),
    settings: panel([{ name: 'min.insync.replicas', value: '2' }, { name: 'retention.ms', value: '604800000' }, { name: 'ssl.keystore.password', value: null }], { age: 21 }),
    groups: panel(scene.groups().filter(({ topics }) => topics.includes(name)).map(({ name: of, lag }) => ({ group: of, lag }))),
    history: panel(series(found.rate ?? 0)),
  };
}

function groupDetail(scene, name) {
  const found = scene.groups().find((row) => row.name === name);
  if (!found) return null;
  const members = Array.from({ length: found.members ?? 0 }, (_, i) => ({ id: `${name}-${i + 1}-4f7a1c22-9be0-4d0e-8b0b-2f3a5c6d7e8f`, client_id: `consumer-${i + 1}`,
    instance_id: i === 1 ? 'rack-b' : null, host: `/10.0.0.${11 + i}`, partitions: [] }));
  const partitions = found.topics.flatMap((of) => Array.from({ length: 4 }, (_, partition) => {
    const orphan = found.without_owner > partition;
    const owner = orphan ? null : members[partition % Math.max(1, members.length)];
    owner?.partitions.push(`${of}-${partition}`);
    const lag = found.lag === null ? null : Math.round(found.lag / 4 / found.topics.length);
    return { topic: of, partition, committed: lag === null ? null : 133_520 - lag, end: 133_520, lag, owner: owner?.client_id ?? null,
      moved: lag === null ? null : ago(orphan ? 340 : 2), verdict: found.verdict, history: series(lag ?? 0, { swing: 0.7 }) };
  }));
  return {
    group: { as_of: found.as_of, error: found.error, data: found }, coordinator: '2 (127.0.0.1:9093)', protocol: members.length ? 'cooperative-sticky' : null,
    members, partitions, untouched: found.topics.length > 1 ? ['audit-0'] : [], history: series(found.lag ?? 0, { swing: 0.6 }),
  };
}

const usualMessage = (offset) => ({
  partition: offset % 3, offset, timestamp: ago((1_000 - offset) / 4), key: bytesOf(`order-${offset % 40}`),
  value: bytesOf(JSON.stringify({ id: `4f7a1c22-${offset}`, content: { order: offset, total: 9007199254740993, items: [], tags: ['a', 'b'] }, timestamp: ago(1) })
    .replace('9007199254740992', '9007199254740993')),
  headers: offset % 2 ? [['trace', bytesOf('00-4bf92f3577b34da6')]] : [],
});

const special = () => [
  { ...usualMessage(993), value: bytesOf('plain text, and not JSON') },
  { ...usualMessage(992), key: null, value: binary(Buffer.from(Array.from({ length: 300 }, (_, i) => i % 256))) },
  { ...usualMessage(991), value: null, headers: [] },
];

const hostileMessages = () => [HOSTILE, JSON.stringify({ content: HOSTILE, [HOSTILE]: TURNED }), TURNED, ENDLESS.repeat(6)].map((text, i) => ({
  partition: 0, offset: i, timestamp: ago(9), key: bytesOf(HOSTILE), value: bytesOf(text), headers: [[HOSTILE, bytesOf(HOSTILE)], [TURNED, null]] }));

const letter = (offset, more = {}) => ({
  partition: 0, offset, source: ['orders', offset % 6, 4_000 + offset], cause: 'retries-exhausted', error: `order ${offset} is not there`, attempts: 6,
  first_failure: ago(310), last_failure: ago(240 + offset), group: 'checkout', hops: 1, key: bytesOf(`order-${offset}`),
  value: bytesOf(`{"order":${offset}}`), headers: [], ...more });

function deadLetters(scene) {
  const letters = scene.letters();
  const rows = new Map();
  for (const { cause, error, last_failure: at } of letters) {
    const words = error.replace(/\d+/, '<n>');
    const row = rows.get(words) ?? { cause, error: words, contains: words.split('<n>').at(-1).trim(), count: 0, first: at, last: at };
    row.count += 1;
    rows.set(words, row);
  }
  return { by_error: [...rows.values()].sort((a, b) => b.count - a.count), letters, foreign: 1, scanned: letters.length + 1, of: letters.length + 1, seconds: 0.02, stopped: 'end', left_out: [] };
}

const percentiles = (p50) => ({ p50, p99: p50 * 8, p999: p50 * 30 });

const clients = (scene) => panel(scene.empty ? [] : [
  { address: 'producer-1:9404', there: true, since: ago(754), as_of: ago(1), error: null, ready: true, checks: [], consumers: [], producers: [{
    client: 'kurier-producer', ready: true, in_flight: 412, acked_per_second: 1204.2, acked: 1_840_112, failed: [], ack_latency: percentiles(0.0061), retries: 3, remakes: 0,
    outbox: { waiting: 412, bytes: 91_204, oldest_seconds: 0.31 }, history: series(1200) }] },
  { address: 'consumer-1:9404', there: true, since: ago(754), as_of: ago(1), error: null, ready: false, checks: ['ok consumer kurier-consumer-1: assignment', 'failing consumer kurier-consumer-1: partitions: partition orders-3 stopped at offset 4021: order 21 is not there'], producers: [], consumers: [{
    client: 'kurier-consumer-1', ready: false, handled_per_second: 1180.7, handled: 1_839_870, in_flight: 96, retries: 214, failures: 221, redelivered: 40, dead_lettered: 7, partitions: 6,
    stopped: 1, lag: 242, handler_latency: percentiles(0.0004), end_to_end_latency: percentiles(0.022), history: series(1180) }] },
  { address: 'consumer-2:9404', there: false, since: ago(33), as_of: ago(34), error: 'connection refused', ready: null, checks: [], producers: [], consumers: [] },
]);

function usualEvents({ dead = [] }) {
  const list = [
    ['cluster', 'info', 'cluster', 'the cluster answers'], ['broker-up', 'info', 'broker 1', 'broker 1 is up at 127.0.0.1:9092'],
    ['listing', 'info', 'topic orders', 'topic orders is there, with 6 partitions'], ['rebalance', 'info', 'group checkout', 'members: 2, then 3'],
    ['dead-letter', 'warning', 'topic orders.dlq', '3 messages went to orders.dlq'], ['client', 'warning', 'client consumer-2:9404', 'does not answer: connection refused'],
    ['delivery-failure', 'error', 'client producer-1:9404', '2 messages were given up: message too large'], ['action', 'info', 'group reports', 'positions of payments were set to earliest'],
    ...dead.flatMap((id) => [['broker-down', 'error', `broker ${id}`, `broker ${id} is not there any more`], ['leader', 'warning', 'orders-1', `the leader is 3, it was ${id}`],
      ['in-sync', 'warning', 'orders', '2 replicas fell out of sync']]),
  ];
  return list.map(([kind, severity, subject, text], i) => ({ id: i + 1, at: ago((list.length - i) * 7), kind, severity, subject, text })).reverse();
}

/** Scenes by name: each answers what the mock asks of it. */
export function scene(name) {
  const usual = {
    topics: () => usualTopics(usual), groups: usualGroups, messages: () => [...special(), ...Array.from({ length: 990 }, (_, i) => usualMessage(990 - i))],
    letters: () => [...Array.from({ length: 5 }, (_, i) => letter(i)), letter(5, { cause: 'rejected', error: 'total is negative', attempts: 1 }), letter(6, { cause: 'unreadable', error: 'content is missing', key: null, attempts: 1 })],
    overview: () => overview(usual), brokers: () => brokers(usual), topic: (of) => topicDetail(usual, of), group: (of) => groupDetail(usual, of), deadLetters: () => deadLetters(usual),
    deadLetterTopics: () => panel(usual.topics().filter((row) => row.dead_letters).map(({ name: of, messages, rate }) => ({ topic: of, messages, rate }))),
    clients: () => clients(usual), events: () => usualEvents(usual),
  };
  const scenes = {
    busy: {},
    degraded: { dead: [2] },
    down: { silent: true },
    empty: { empty: true, topics: () => [], groups: () => [], messages: () => [], letters: () => [], events: () => [] },
    huge: {
      topics: () => Array.from({ length: 2_000 }, (_, i) => topic(`topic-${String(i).padStart(4, '0')}`, { messages: i * 17, rate: i % 50 })),
      groups: () => Array.from({ length: 500 }, (_, i) => group(`group-${String(i).padStart(3, '0')}`, { lag: i * 3 })),
    },
    hostile: {
      topics: () => [HOSTILE, TURNED, ENDLESS].map((of) => topic(of, { dead_letters: true })), groups: () => [HOSTILE, TURNED, ENDLESS].map((of) => group(of, { topics: [HOSTILE, ENDLESS], error: HOSTILE })),
      messages: hostileMessages, letters: () => hostileMessages().map(({ value, key, headers }, i) => letter(i, { source: [HOSTILE, 0, i], error: HOSTILE, cause: HOSTILE, group: HOSTILE, key, value, headers })),
      events: () => [{ id: 1, at: ago(3), kind: 'client', severity: 'error', subject: HOSTILE, text: HOSTILE }, { id: 0, at: ago(4), kind: 'client', severity: 'info', subject: ENDLESS, text: TURNED }],
      clients: () => {
        const of = clients({});
        of.data[0].address = HOSTILE;
        of.data[0].producers[0].client = ENDLESS;
        of.data[1].checks = [HOSTILE];
        of.data[2].error = HOSTILE;
        return of;
      },
    },
  };
  return Object.assign(usual, scenes[name]);
}

export { letter, topic, group, usualMessage };
