// The page of the dashboard. It asks /api/v1/… for what it shows, hears from /api/v1/stream what is newer,
// and draws that. Whatever comes from the cluster is put in as text and never read as HTML.
//
//  stream ─▶ refresh ─▶ load (a page's own) ─▶ draw (a page's own) ─▶ morph ─▶ what you see

// ---- Elements -------------------------------------------------------------------------------------------

const SVG = 'http://www.w3.org/2000/svg';
// Symbols, since a form has its fields as properties, by their names.
const KEY = Symbol('key');
const HANDLED = Symbol('handled');
const SVG_TAGS = new Set(['svg', 'path', 'rect', 'line', 'circle']);

/** An element: `h('td.number', { title }, 'text', h('b', 'more'))`. Attributes that are null are left out. */
function h(what, ...rest) {
  const [tag, ...classes] = what.split('.');
  const drawn = SVG_TAGS.has(tag);
  const element = drawn ? document.createElementNS(SVG, tag) : document.createElement(tag);
  if (classes.length) element.setAttribute('class', classes.join(' '));
  const [first] = rest;
  const plain = first !== null && typeof first === 'object' && !Array.isArray(first) && !(first instanceof Node);
  for (const [name, value] of Object.entries(plain ? rest.shift() : {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === 'key') element[KEY] = value;
    else if (typeof value === 'function') handle(element, name, value);
    else element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...nodes(rest));
  return element;
}

function handle(element, name, does) {
  (element[HANDLED] ??= new Set()).add(name);
  element[name] = does;
}

/** Children as nodes: lists are flattened, what is not there is left out, the rest is text. */
function nodes(children) {
  return [children].flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false)
    .map((child) => (child instanceof Node ? child : document.createTextNode(String(child))));
}

/** Makes the children of `parent` look like `children` and keeps what is alike: focus, selection, open rows. */
function morph(parent, children) {
  const fresh = nodes(children);
  const keyed = new Map();
  for (const child of parent.childNodes) if (child[KEY] !== undefined) keyed.set(child[KEY], child);
  let at = parent.firstChild;
  for (const node of fresh) {
    const old = node[KEY] === undefined ? at : keyed.get(node[KEY]);
    if (old && alike(old, node)) {
      if (old === at) at = at.nextSibling;
      else parent.insertBefore(old, at);
      if (old !== node) update(old, node);
    } else {
      parent.insertBefore(node, at);
    }
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

function alike(one, other) {
  return one.nodeName === other.nodeName && one[KEY] === other[KEY];
}

function update(old, node) {
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== node.data) old.data = node.data;
    return;
  }
  // A reader opens and closes rows and dialogs; a new drawing must not.
  for (const { name } of [...old.attributes]) if (name !== 'open' && !node.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of node.attributes) {
    if (name !== 'open' && old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  for (const name of new Set([...(old[HANDLED] ?? []), ...(node[HANDLED] ?? [])])) handle(old, name, node[name] ?? null);
  morph(old, [...node.childNodes]);
}

const byId = (id) => document.getElementById(id);

// ---- Figures and times ----------------------------------------------------------------------------------

const WHOLE = new Intl.NumberFormat('en-GB', { maximumFractionDigits: 0 });
const TENTH = new Intl.NumberFormat('en-GB', { minimumFractionDigits: 1, maximumFractionDigits: 1 });

const known = (value) => value !== null && value !== undefined;
const count = (value) => WHOLE.format(value);
const few = (value) => (value > 0 && value < 10 ? TENTH : WHOLE).format(value);
const plural = (value, one, many = `${one}s`) => `${count(value)} ${value === 1 ? one : many}`;

/** A figure with its unit; what is not known is a dash that says so. */
function figure(value, { unit = '', as = count } = {}) {
  if (!known(value)) return h('span.none', { title: 'not known' }, '–', h('span.unseen', ' not known'));
  return h('span.figure', as(value), unit && h('span.unit', ` ${unit}`));
}

const rate = (value) => figure(value, { unit: '/s', as: few });

function bytes(value) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let step = 0;
  for (; value >= 1024 && step < units.length - 1; step += 1) value /= 1024;
  return `${step ? few(value) : count(value)} ${units[step]}`;
}

/** A span of seconds in words: `0.4 ms`, `3.2 s`, `4 min 10 s`, `2 d 3 h`. */
function span(seconds) {
  if (seconds < 1) return `${few(seconds * 1000)} ms`;
  if (seconds < 60) return `${few(seconds)} s`;
  return long(seconds);
}

/** The same in whole seconds, for what ticks. */
function long(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const of = (size, name, less, lesser) => {
    const rest = Math.floor((whole % size) / less);
    return `${Math.floor(whole / size)} ${name}${rest ? ` ${rest} ${lesser}` : ''}`;
  };
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return of(60, 'min', 1, 's');
  if (whole < 86_400) return of(3600, 'h', 60, 'min');
  return of(86_400, 'd', 3600, 'h');
}

const duration = (seconds) => figure(seconds, { as: span });

/** How far the server's clock is ahead of this one, in milliseconds: ages are counted by the server's. */
let ahead = 0;
const setClock = (now) => { ahead = Date.parse(now) - Date.now(); };
const secondsSince = (instant) => (Date.now() + ahead - Date.parse(instant)) / 1000;

const two = (value) => String(value).padStart(2, '0');
const day = (date) => `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
const clock = (date) => `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;

/** An instant in local time; the day only when it is not today; the exact one on pointing at it. */
function moment(instant, { millis = false } = {}) {
  if (!known(instant)) return figure(null);
  const date = new Date(instant);
  const today = day(date) === day(new Date());
  const part = millis ? `.${String(date.getMilliseconds()).padStart(3, '0')}` : '';
  return h('time.figure', { datetime: instant, title: instant }, `${today ? '' : `${day(date)} `}${clock(date)}${part}`);
}

/** Texts that change as time passes, by the name that an element carries in `data-tick`. */
const TICKS = {
  asOf: (instant) => `as of ${long(secondsSince(instant))} ago`,
  ago: (instant) => `${long(secondsSince(instant))} ago`,
  lasting: (instant) => long(secondsSince(instant)),
};

function ticking(how, instant) {
  if (!known(instant)) return figure(null);
  return h('time.figure', { datetime: instant, title: instant, 'data-tick': how }, TICKS[how](instant));
}

function tick() {
  for (const time of document.querySelectorAll('time[data-tick]')) {
    const words = TICKS[time.dataset.tick](time.dateTime);
    if (time.textContent !== words) time.textContent = words;
  }
  for (const panel of document.querySelectorAll('section[data-as-of]')) {
    panel.classList.toggle('stale', isStale(panel.dataset.asOf, panel.dataset.late));
  }
}

/** What was seen in the future was seen before the server's clock was set back. */
const isStale = (asOf, late) => Math.abs(secondsSince(asOf)) > late;

// ---- The server -----------------------------------------------------------------------------------------

/** How long a look into a topic may take: the server ends it long before. */
const SLOW = 40_000;

/** What the server has against a request, or what kept it from answering (`status` 0). */
class Refused extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/** Asks `api/v1/PATH`; `params` that are empty are left out. */
async function ask(path, { params = {}, signal, within = 10_000, ...request } = {}) {
  const query = new URLSearchParams(Object.entries(params).filter(([, value]) => known(value) && value !== ''));
  const limit = AbortSignal.timeout(within);
  let answer;
  let body;
  try {
    answer = await fetch(`api/v1/${path}${query.size ? `?${query}` : ''}`,
      { ...request, cache: 'no-store', signal: signal ? AbortSignal.any([signal, limit]) : limit });
    body = await answer.text();
  } catch (error) {
    if (signal?.aborted) throw error;
    const why = limit.aborted ? `no answer within ${span(within / 1000)}` : 'no connection';
    throw new Refused(why, 0);
  }
  if (answer.ok) return JSON.parse(body);
  throw new Refused(problem(body) ?? `the server answered ${answer.status}`, answer.status);
}

function problem(body) {
  try {
    return JSON.parse(body).error;
  } catch {
    return null;
  }
}

const at = (...segments) => segments.map(encodeURIComponent).join('/');

/** The token of writing actions: in this page's memory alone, until it is closed. */
let token = null;

function act(path, body) {
  const headers = { 'Content-Type': 'application/json' };
  if (token && !body.dry_run) headers.Authorization = `Bearer ${token}`;
  return ask(path, { method: 'POST', headers, body: JSON.stringify(body), within: 120_000 });
}

// ---- The link: what is newer, and what is done when nobody answers ------------------------------------------

const LINK = { source: null, lost: null, heard: 0, tries: 0, timer: null };
const LONGEST_SILENCE = 15_000;

let overview = null;

/** Looks whether the server answers; if so, listens to its stream and asks for everything anew. */
async function connect() {
  clearTimeout(LINK.timer);
  LINK.source?.close();
  try {
    await refreshOverview();
  } catch (error) {
    lost(error);
    return;
  }
  found();
  LINK.source?.close();
  const source = new EventSource('api/v1/stream');
  LINK.source = source;
  LINK.heard = Date.now();
  source.addEventListener('open', () => { LINK.tries = 0; });
  source.addEventListener('changed', (event) => {
    LINK.heard = Date.now();
    const { now, parts } = JSON.parse(event.data);
    setClock(now);
    refresh(new Set(parts));
  });
  source.addEventListener('error', () => {
    source.close();
    if (LINK.source === source) again();
  });
  refresh(null);
}

function again() {
  clearTimeout(LINK.timer);
  const wait = Math.min(10_000, 500 * 2 ** LINK.tries);
  LINK.tries += 1;
  LINK.timer = setTimeout(connect, wait);
}

function lost(error) {
  if (!LINK.lost) {
    LINK.lost = { since: new Date().toISOString(), why: error.message };
    announce('The dashboard does not answer. What is shown is old.');
  }
  again();
  drawFrame();
}

function found() {
  // It may be another process by now, which counts its events anew.
  events.forget();
  if (LINK.lost) announce('The dashboard answers again.');
  LINK.lost = null;
  drawFrame();
}

function watchSilence() {
  if (LINK.source?.readyState !== EventSource.OPEN || Date.now() - LINK.heard < LONGEST_SILENCE) return;
  LINK.source.close();
  again();
}

function announce(words) {
  byId('announcer').textContent = words;
}

async function refreshOverview() {
  const before = overview?.status.state;
  const next = await ask('overview', { within: 5_000 });
  overview = next;
  setClock(next.now);
  const { state, reasons } = next.status;
  if (before && before !== state) announce(`The cluster is ${state}${reasons.length ? `: ${reasons[0]}` : ''}.`);
}

// A look at a time: while one is under way, what is newer is remembered and asked for after it.
let looking = false;
let newer = null;

/** Asks anew for what the page shows of `parts`; null: everything. */
async function refresh(parts) {
  const asked = page;
  if (looking) {
    newer = newer && parts ? newer.union(parts) : parts ?? new Set(PARTS);
    return;
  }
  looking = true;
  try {
    if (parts && PARTS.some((part) => part !== 'events' && parts.has(part))) await refreshOverview();
    // The title of a page that nobody looks at still tells the state.
    if (!document.hidden && (!parts || asked.parts.some((part) => parts.has(part)))) await load(asked);
  } catch (error) {
    if (error.status === 0) lost(error);
  } finally {
    looking = false;
    drawFrame();
    redraw();
  }
  if (newer) {
    const missed = newer;
    newer = null;
    setTimeout(refresh, 500, missed);
  }
}

const PARTS = ['cluster', 'offsets', 'groups', 'settings', 'clients', 'events'];

/** Events as they come: asked for once, then only for the newer ones. */
const events = {
  list: [],
  forgotten: 0,
  forget() {
    this.list = [];
  },
  async load(signal) {
    const after = this.list[0]?.id;
    const answer = await ask('events', { params: { after }, signal });
    if (after === undefined) this.list = answer.events;
    else this.list = [...answer.events.filter((event) => event.id > after), ...this.list].slice(0, 5000);
    this.forgotten = answer.forgotten;
  },
};

// ---- Pages: which is shown, and its life --------------------------------------------------------------------

let page = null;

function readRoute() {
  const [path, query = ''] = location.hash.replace(/^#\/?/, '').split(/\?(.*)/s);
  const [name, ...rest] = path.split('/').map(decode);
  return { path, page: name || 'overview', name: rest.join('/') || null, params: new URLSearchParams(query) };
}

function decode(segment) {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

/** The address of a page: `to('topics', 'orders')`, `to('topics', null, { sort: '-rate' })`. */
function to(name, thing = null, params = {}) {
  const given = Object.entries(params).filter(([, value]) => known(value) && value !== '');
  const query = new URLSearchParams(given);
  return `#/${name}${thing === null ? '' : `/${encodeURIComponent(thing)}`}${query.size ? `?${query}` : ''}`;
}

/** Those of an address's parameters that a request takes. */
const only = (params, ...names) => Object.fromEntries(names.map((name) => [name, params.get(name)]));

function show() {
  if (location.hash && !location.hash.startsWith('#/')) return;
  const route = readRoute();
  if (page?.here.path === route.path) {
    page.here.params = route.params;
    page.moved?.();
    load(page, { anew: true }).then(redraw);
    return;
  }
  const first = page === null;
  page?.asking?.abort();
  page?.close?.();
  const make = PAGES[route.page] ?? noPage;
  page = { parts: [], ...make(route), here: route };
  for (const link of byId('pages').querySelectorAll('a')) {
    const current = link.hash === `#/${route.page}`;
    if (current) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  byId('main').replaceChildren();
  drawFrame();
  redraw();
  load(page, { anew: true }).then(redraw);
  if (first) return;
  scrollTo(0, 0);
  byId('main').focus({ preventScroll: true });
}

/** Asks for what a page shows. `anew`: what is under way is given up, since another thing is asked for now. */
async function load(asked, { anew = false } = {}) {
  if (!asked.load) return;
  if (anew) asked.asking?.abort();
  const asking = new AbortController();
  asked.asking = asking;
  asked.busy = true;
  try {
    const data = await asked.load(asking.signal);
    if (asking.signal.aborted) return;
    asked.data = data;
    asked.error = null;
  } catch (error) {
    if (asking.signal.aborted) return;
    asked.error = error;
    if (error.status === 0) again();
  } finally {
    if (asked.asking === asking) asked.busy = false;
  }
}

let drawing = false;

/** Draws the page anew, once for however many reasons there are within a frame. */
function redraw() {
  if (drawing) return;
  drawing = true;
  setTimeout(() => {
    drawing = false;
    const draws = page.data || page.eager || !page.load;
    morph(byId('main'), [heading(page), failure(page), draws ? page.draw(page.data) : absent(page)]);
  });
}

function heading({ title, here, up }) {
  return h('h1', { tabindex: -1 }, up && [h('a', { href: to(here.page) }, up), h('span.slash', ' / ')], h('bdi', title));
}

/** What stands where nothing was ever answered. */
const absent = ({ error }) => (error ? null : h('p.empty', 'Asking …'));

/** Why the page has nothing newer, unless the banner says so already. */
function failure({ error, data }) {
  if (!error || LINK.lost) return null;
  return h('p.failure', { role: 'alert' }, mark('bad'), h('span', data ? 'Not asked anew: ' : '', listed(error.message)));
}

function drawFrame() {
  morph(byId('where'), overview ? h('bdi', { title: 'The addresses that were given' }, overview.bootstrap) : null);
  const live = overview && !LINK.lost;
  morph(byId('link'), live ? [mark('ok'), 'Live'] : LINK.lost ? [mark('bad'), 'No answer'] : 'Connecting');
  const well = overview?.status.state === 'healthy';
  const alarm = LINK.lost ? 'No answer' : live && !well ? STATES[overview.status.state].word : null;
  document.title = [alarm, page?.title, 'kurier'].filter(Boolean).join(' · ');
  byId('banner').hidden = !LINK.lost;
  if (LINK.lost) morph(byId('banner'), lostBanner());
  morph(byId('status'), statusLine());
  byId('status').className = overview ? `${overview.status.state}${live ? '' : ' stale'}` : 'unknown';
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  morph(byId('foot'), [overview && `kurier ${overview.version}. `, `Times are local (${zone}). `,
    overview && !overview.writable && 'Reading only: nothing can be changed from here without a token file.']);
}

function lostBanner() {
  return h('div.banner', mark('bad'),
    h('p', h('strong', 'The dashboard does not answer'), ' for ', ticking('lasting', LINK.lost.since), ` (${LINK.lost.why}). `,
      'What you see is the last it told. It is asked again every few seconds.'),
    button('Ask now', () => { LINK.tries = 0; connect(); }));
}

function statusLine() {
  if (!overview) return h('p.word', mark('none'), h('strong', 'Not known yet'), ' The first look takes a few seconds.');
  const { state, reasons, since } = overview.status;
  const shown = page?.here.page === 'overview' ? reasons : reasons.slice(0, 1);
  const hidden = reasons.length - shown.length;
  return [
    h('p.word', mark(STATES[state].kind), h('strong', STATES[state].word), h('span.since', ' for ', ticking('lasting', since))),
    shown.length
      ? h('ul.reasons', shown.map((reason) => h('li', listed(reason))),
        hidden > 0 && h('li', h('a', { href: to('overview') }, `and ${plural(hidden, 'more reason')}`)))
      : h('p.reasons', STATES[state].says(overview)),
  ];
}

const STATES = {
  healthy: { kind: 'ok', word: 'Healthy', says: ({ cluster }) => (cluster.data ? allIsWell(cluster.data) : '') },
  unknown: { kind: 'none', word: 'Not known yet', says: () => 'No look at the cluster has come back yet.' },
  degraded: { kind: 'warn', word: 'Degraded', says: () => 'Messages flow, with less safety or to fewer partitions.' },
  down: { kind: 'bad', word: 'Down', says: () => 'The cluster does not answer.' },
};

function allIsWell({ brokers_up: up, brokers_known: ever, partitions }) {
  return `${count(up)} of ${plural(ever, 'broker')} up, ${plural(partitions, 'partition')} led and in sync.`;
}

// ---- What pages are made of -----------------------------------------------------------------------------------

const SHAPES = {
  ok: [h('circle', { cx: 8, cy: 8, r: 7 }), h('path', { d: 'M4.8 8.3 7 10.5 11.3 5.8' })],
  warn: [h('path.body', { d: 'M8 1.2 15.4 14.4H.6Z' }), h('path', { d: 'M8 5.8V9.6M8 11.6V12.6' })],
  bad: [h('path.body', { d: 'M5 1h6l4 4v6l-4 4H5l-4-4V5Z' }), h('path', { d: 'M5.3 5.3 10.7 10.7M10.7 5.3 5.3 10.7' })],
  info: [h('circle.hollow', { cx: 8, cy: 8, r: 6.2 }), h('path.line', { d: 'M8 7.4V11.2M8 4.7V5' })],
  none: [h('circle.hollow', { cx: 8, cy: 8, r: 6.2 }), h('path.line', { d: 'M5 8H11' })],
};

/** A state as a shape: a disc is good, a triangle worth a look, an octagon bad, a ring not known. */
function mark(kind) {
  return h(`svg.mark.${kind}`, { viewBox: '0 0 16 16', width: 16, height: 16, 'aria-hidden': 'true' },
    SHAPES[kind].map((shape) => shape.cloneNode()));
}

/** A state as a shape and a word. */
const state = (kind, word, title = null) => h(`span.state.${kind}`, { title }, mark(kind), h('span', word));

const nothing = (words) => h('span.dim', words);

/** Words that may list addresses with commas and no spaces: lines break after those, rather than within an address. */
const listed = (words) => words.split(/(?<=,)(?=\S)/).flatMap((part, index) => (index ? [h('wbr'), part] : [part]));

/** A name of the cluster's: kept apart from the text around it whichever way it runs. */
const nameOf = (name) => h('bdi.name', name);
const linkTo = (where, name) => h('a', { href: to(where, name), title: name }, nameOf(name));

/** What a collector saw, with its age and what went wrong since; `draw(data, sure)`, not sure when something did. */
function panel(title, of, draw, { wide = false, late = 15, extra = null, key = title, empty = null } = {}) {
  const seen = of && known(of.data);
  const stale = of?.as_of && (isStale(of.as_of, late) || of.error);
  const body = !of ? h('p.empty', 'Asking …')
    : seen ? draw(of.data, !of.error)
      : h('p.empty', of.error ? 'Never seen.' : 'Not seen yet. The first look takes a few seconds.');
  return h(`section.panel${wide ? '.wide' : ''}${stale ? '.stale' : ''}`, {
    key, 'aria-label': title, 'data-as-of': of?.as_of && !of.error ? of.as_of : null, 'data-late': late,
  },
  h('header', h('h2', title), extra, of?.as_of && h('span.age', ticking('asOf', of.as_of))),
  of?.error && h('p.failure', mark('warn'), h('span', listed(of.error))),
  body ?? empty);
}

/** What a list is called: by how many there are. */
const titled = (of, one) => (of?.data ? plural(of.data.total, one) : `${one[0].toUpperCase()}${one.slice(1)}s`);

/** Figures in a row, each under its label. */
const figures = (...items) => h('dl.figures', items.flat().filter(Boolean));

function item(label, value, { kind = null, note = null } = {}) {
  return h(`div${kind ? `.${kind}` : ''}`, { key: label }, h('dt', label),
    h('dd', kind && mark(kind), value, note && h('span.note', note)));
}

/** A count that should be zero: when it is not, it stands out. */
const fault = (label, value, kind = 'bad') => item(label, figure(value), { kind: value > 0 ? kind : null });

/**
 * A table. `columns`: `{ name, label, sort, title, number, chart, long, broad }`; `rows`: `{ key, kind, cells }`. With `route`,
 * headers of columns that sort are links. On a narrow screen rows turn into cards, so that roles are said outright: `label`
 * stands above a cell there instead of `name`, which is `long`: two columns wide, or `broad`: as wide as the card.
 */
function table(label, columns, rows, { route = null, fallback = 'name' } = {}) {
  const sorted = route?.params.get('sort') ?? fallback;
  return h('table', { role: 'table', 'aria-label': label },
    h(`thead${route ? '.sorts' : ''}`, { role: 'rowgroup' },
      h('tr', { role: 'row' }, columns.map((column) => headCell(column, sorted, route)))),
    h('tbody', { role: 'rowgroup' }, rows.map(({ key, kind, cells }) =>
      h(`tr${kind ? `.${kind}` : ''}`, { key, role: 'row' },
        cells.map((cell, index) => bodyCell(columns[index], cell, index))))));
}

function headCell({ name, sort, number, title }, sorted, route) {
  const kind = number ? 'th.number' : 'th';
  if (!sort || !route) return h(kind, { role: 'columnheader', scope: 'col', title }, name);
  const up = sorted === sort;
  const down = sorted === `-${sort}`;
  // Numbers are most telling from the largest on.
  const next = up ? `-${sort}` : down ? sort : number ? `-${sort}` : sort;
  return h(kind, { role: 'columnheader', scope: 'col', title, 'aria-sort': up ? 'ascending' : down ? 'descending' : 'none' },
    h('a.sort', { href: changed(route, { sort: next, page: null }) }, name,
      h('span.arrow', { 'aria-hidden': 'true' }, up ? ' ↑' : down ? ' ↓' : ' ↕')));
}

function bodyCell({ name, label = name, number, chart, long, broad }, cell, index) {
  const shape = [number && '.number', chart && '.drawn', long && '.long', broad && '.broad'].filter(Boolean).join('');
  const tag = index === 0 ? 'th.first' : `td${shape}`;
  return h(tag, { role: index === 0 ? 'rowheader' : 'cell', scope: index === 0 ? 'row' : null, 'data-label': label }, cell);
}

/** The same page with other parameters. */
function changed(route, params) {
  return to(route.page, route.name, { ...Object.fromEntries(route.params), ...params });
}

/** A list that is cut on the server: which part this is, and the way to the others. */
function pager(rows, route) {
  const { matching, total, page: part, per_page: size } = rows;
  const last = Math.max(1, Math.ceil(matching / size));
  const from = matching ? (part - 1) * size + 1 : 0;
  const step = (word, target, on) => (on
    ? h('a.button', { key: word, href: changed(route, { page: target }) }, word)
    : h('span.button.off', { key: word, 'aria-hidden': 'true' }, word));
  return h('nav.pager', { 'aria-label': 'Parts of the list' },
    h('span', `${count(from)} to ${count(Math.min(matching, part * size))} of ${count(matching)}`,
      matching < total && ` that match, ${count(total)} in all`),
    last > 1 && [step('Previous', part - 1, part > 1), step('Next', part + 1, part < last)]);
}

/** A search field whose words go into the address, once typing rests. Made once for each page. */
function search(label, route) {
  let resting;
  const input = h('input', { type: 'search', id: 'search', placeholder: label, autocomplete: 'off', spellcheck: 'false' });
  input.value = route.params.get('query') ?? '';
  input.oninput = () => {
    clearTimeout(resting);
    resting = setTimeout(() => location.replace(changed(page.here, { query: input.value, page: null })), 250);
  };
  return h('form.search', { role: 'search', onsubmit: (event) => event.preventDefault() },
    h('label.unseen', { for: 'search' }, label), input);
}

// ---- Charts -----------------------------------------------------------------------------------------------------

/** Which chart is pointed at, and where: from 0, its left edge, to 1. */
let pointed = null;

/** A series as a chart with its scale; `as` puts a value into words. */
function chart(key, label, series, as) {
  const { values } = series;
  const top = roof(values);
  const index = pointed?.key === key ? Math.round(pointed.at * (values.length - 1)) : null;
  const point = (event) => {
    const box = event.currentTarget.getBoundingClientRect();
    pointed = { key, at: Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)) };
    redraw();
  };
  return h('figure.chart', { key },
    h('div.scale', { 'aria-hidden': 'true' }, h('span', as(top)), h('span', '0')),
    h('div.plot', { onpointermove: point, onpointerleave: () => { pointed = null; redraw(); } },
      curve(series, top, { label: told(label, series, as), cursor: index })),
    h('figcaption', { 'aria-hidden': 'true' }, index === null
      ? [h('span', `${span(values.length * series.step_seconds)} ago`), h('span', 'now')]
      : h('span.readout', clock(instantOf(series, index)), '  ',
        known(values[index]) ? as(values[index]) : 'nothing was seen')));
}

/** A series as a small chart for a row. */
const spark = (label, series, as) => h('span.spark', curve(series, roof(series.values), { label: told(label, series, as) }));

function curve({ values }, top, { label, cursor = null }) {
  const right = Math.max(1, values.length - 1);
  const points = ({ from, seen }) => seen.map((value, i) => `${from + i} ${y(value)}`).join('L');
  const y = (value) => (98 - (value / top) * 94).toFixed(1);
  const runs = runsOf(values);
  return h('svg.curve', { viewBox: `0 0 ${right} 100`, preserveAspectRatio: 'none', role: 'img', 'aria-label': label },
    gapsOf(values).map(([from, until]) => h('rect.gap', { x: from, width: until - from, y: 0, height: 100 })),
    h('path.grid', { d: `M0 51H${right}M0 4H${right}` }),
    h('path.base', { d: `M0 98H${right}` }),
    runs.map((run) => h('path.area', { d: `M${run.from} 98L${points(run)}V98Z` })),
    runs.map((run) => h('path.line', { d: run.seen.length > 1
      ? `M${points(run)}`
      : `M${run.from - 0.3} ${y(run.seen[0])}H${run.from + 0.3}` })),
    cursor !== null && h('path.cursor', { d: `M${cursor} 0V100` }));
}

/** The stretches in which something was seen. */
function runsOf(values) {
  const runs = [];
  values.forEach((value, index) => {
    if (!known(value)) return;
    const last = runs.at(-1);
    if (last && last.from + last.seen.length === index) last.seen.push(value);
    else runs.push({ from: index, seen: [value] });
  });
  return runs;
}

/** The stretches between them. */
function gapsOf(values) {
  const runs = runsOf(values);
  const ends = [-1, ...runs.map(({ from, seen }) => from + seen.length - 1)];
  const starts = [...runs.map(({ from }) => from), values.length];
  return starts.map((start, index) => [Math.max(0, ends[index]), Math.min(start, values.length - 1)])
    .filter(([from, until], index) => starts[index] - ends[index] > 1 && until > from);
}

/** The next round figure that no value is above. */
function roof(values) {
  const most = Math.max(1, ...values.filter(known));
  const size = 10 ** Math.floor(Math.log10(most));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((step) => step * size).find((step) => step >= most);
}

const instantOf = ({ until, step_seconds: step, values }, index) =>
  new Date(Date.parse(until) - (values.length - 1 - index) * step * 1000);

/** A chart for who does not see it. */
function told(label, series, as) {
  const seen = series.values.filter(known);
  const long = span(series.values.length * series.step_seconds);
  if (!seen.length) return `${label}: nothing was seen in the last ${long}`;
  const gaps = gapsOf(series.values).length;
  return `${label} over the last ${long}: ${as(seen.at(-1))} now, between ${as(Math.min(...seen))} and ${as(Math.max(...seen))}`
    + `${gaps ? `, with ${plural(gaps, 'gap')}` : ''}`;
}

const perSecond = (value) => `${few(value)} /s`;
const messagesOf = (value) => count(value);

/** A value as a bar against the largest of its kind. */
function bar(value, most) {
  return h('svg.share', { viewBox: '0 0 100 6', preserveAspectRatio: 'none', 'aria-hidden': 'true' },
    h('rect.track', { width: 100, height: 6 }),
    h('rect.fill', { width: most > 0 ? (100 * (value ?? 0)) / most : 0, height: 6 }));
}

// ---- Overview -----------------------------------------------------------------------------------------------------

function overviewPage() {
  return {
    eager: true,
    title: 'Overview',
    parts: ['cluster', 'events'],
    load: async (signal) => {
      const [brokers] = await Promise.all([ask('brokers', { signal }), events.load(signal)]);
      return { brokers };
    },
    draw: (data) => overview && h('div.grid',
      panel('Cluster', overview.cluster, clusterFigures),
      panel('Brokers', data?.brokers, brokerTiles),
      panel('Messages written', overview.traffic, trafficChart),
      panel('Lag of all groups', overview.lag, lagChart, { late: 30 }),
      panel('kurier’s own clients', overview.clients, clientFigures, { wide: true }),
      data && h('section.panel.wide', { key: 'events', 'aria-label': 'Latest events' },
        h('header', h('h2', 'Latest events'), h('a.more', { href: to('events') }, 'All events')),
        eventList(events.list.slice(0, 6)))),
  };
}

function clusterFigures(cluster) {
  const { id, controller, brokers_up: up, brokers_known: ever, topics, partitions } = cluster;
  return [
    h('dl.figures.three',
      item('Brokers up', [figure(up), h('span.unit', ` of ${count(ever)}`)], { kind: up < ever ? 'bad' : null }),
      item('Partitions', [figure(partitions), h('span.unit', ` in ${plural(topics, 'topic')}`)]),
      fault('Without a leader', cluster.offline),
      fault('Below min in-sync', cluster.under_min_isr),
      fault('At min in-sync', cluster.at_min_isr, 'warn'),
      fault('Under-replicated', cluster.under_replicated, 'warn')),
    h('p.line', known(controller) ? `Broker ${controller} is the controller. ` : 'No controller is known. ',
      id && ['Cluster ', h('bdi.code', id)]),
  ];
}

function brokerTiles(brokers, sure) {
  return h('ul.tiles', brokers.map((broker) => {
    const { kind, word } = brokerState(broker, sure);
    return h(`li.${kind}`, { key: broker.id },
      h('p', mark(kind), h('strong', `Broker ${broker.id}`), ` ${word} `, sure && ['for ', ticking('lasting', broker.since)]),
      h('p.dim', h('bdi', broker.address), broker.controller && ' · controller', broker.up && ` · leads\u00a0${count(broker.leaders)}`));
  }));
}

/** Who was up when the cluster last answered may be down by now. */
function brokerState({ up }, sure) {
  if (!up) return { kind: 'bad', word: 'down' };
  return sure ? { kind: 'ok', word: 'up' } : { kind: 'none', word: 'was up' };
}

function trafficChart({ messages_per_second: now, history }) {
  return [h('p.headline', rate(now)), chart('traffic', 'Messages written', history, perSecond)];
}

function lagChart({ groups, total, worst, history }) {
  const most = Math.max(...worst.map(({ lag }) => lag ?? 0));
  const behind = worst.filter(({ lag }) => lag > 0).slice(0, 5);
  return [
    h('p.headline', figure(total, { unit: total === 1 ? 'message' : 'messages' }),
      h('span.note', ` over ${plural(groups, 'group')}`)),
    chart('lag', 'Lag', history, messagesOf),
    behind.length > 0 && h('ul.bars', { 'aria-label': 'Groups that are behind most' }, behind.map(({ group, lag }) =>
      h('li', { key: group }, linkTo('groups', group), bar(lag, most), figure(lag)))),
  ];
}

function clientFigures({ there, gone, delivered, handled, retried, failed, dead_lettered, lost }) {
  if (there + gone === 0) {
    return h('p.empty', 'None is asked. Start the dashboard with ', h('code', '--client HOST:PORT'),
      ' for each producer and consumer that serves ', h('code', '--metrics'), '.');
  }
  return figures(
    item('Clients', [figure(there), h('span.unit', ` of ${count(there + gone)} answer`)], { kind: gone ? 'warn' : null }),
    item('Delivered', figure(delivered)),
    item('Handled', figure(handled)),
    item('Retried', figure(retried)),
    fault('Dead-lettered', dead_lettered, 'warn'),
    fault('Given up', failed),
    known(lost)
      ? item('Lost', figure(lost), { kind: lost > 0 ? 'bad' : 'ok' })
      : item('Lost', figure(lost), { note: 'no proof runs' }));
}

// ---- Brokers --------------------------------------------------------------------------------------------------------

function brokersPage() {
  const stateOf = (broker, sure) => {
    const { kind, word } = brokerState(broker, sure);
    return state(kind, word[0].toUpperCase() + word.slice(1));
  };
  const columns = [{ name: 'Broker', label: '' }, { name: 'State' }, { name: 'Address', long: true }, { name: 'Leads', number: true },
    { name: 'Holds', number: true }, { name: 'In sync', number: true }, { name: 'Behind', number: true }, { name: 'Role' }];
  const row = (sure) => (broker) => ({
    key: broker.id,
    kind: broker.up ? null : 'bad',
    cells: [`Broker ${broker.id}`,
      h('span', stateOf(broker, sure), sure && [h('span.dim', ' for ', ticking('lasting', broker.since)),
        broker.error && h('span.note.why', broker.error)]),
      h('bdi.code', broker.address), figure(broker.leaders), figure(broker.replicas), figure(broker.in_sync),
      h(`span${broker.replicas > broker.in_sync ? '.emphasis.warn' : ''}`, count(broker.replicas - broker.in_sync)),
      broker.controller && 'Controller'],
  });
  return {
    title: 'Brokers',
    parts: ['cluster'],
    load: (signal) => ask('brokers', { signal }),
    draw: (brokers) => panel('Every broker that was ever seen', brokers, (data, sure) => [
      table('Brokers', columns, data.map(row(sure))),
      h('p.line', 'Leads, holds, in sync: partitions. A broker that dies stays in this list; ',
        'since when it is up or down is what this dashboard saw.'),
    ], { wide: true }),
  };
}

// ---- Topics -----------------------------------------------------------------------------------------------------------

function topicsPage(route) {
  const field = search('Search topics', route);
  const columns = [{ name: 'Topic', sort: 'name' }, { name: 'State', sort: 'under_replicated' },
    { name: 'Partitions', sort: 'partitions', number: true }, { name: 'Replicas', number: true },
    { name: 'Messages', sort: 'messages', number: true, title: 'Offsets between first and next: at most so many are there' },
    { name: 'Written', sort: 'rate', number: true }];
  const row = (topic) => ({
    key: topic.name,
    kind: topic.offline ? 'bad' : null,
    cells: [h('span', linkTo('topics', topic.name), topicTags(topic)), topicState(topic), figure(topic.partitions),
      figure(topic.replication), figure(topic.messages), rate(topic.rate)],
  });
  return {
    title: 'Topics',
    parts: ['cluster', 'offsets'],
    load: (signal) => ask('topics', { params: only(page.here.params, 'query', 'sort', 'page'), signal }),
    draw: (topics) => [field, panel(titled(topics, 'topic'), topics, (data) => (data.rows.length
      ? [table('Topics', columns, data.rows.map(row), { route: page.here }), pager(data, page.here)]
      : h('p.empty', data.total
        ? `None of ${plural(data.total, 'topic')} has that in its name.`
        : ['There is no topic yet. ', h('code', 'kurier topic create NAME'), ' makes one.'])), { wide: true, key: 'topics' })],
  };
}

const topicTags = ({ internal, dead_letters: letters }) =>
  [internal && h('span.tag', 'internal'), letters && h('span.tag', 'dead letters')];

function topicState({ offline, under_replicated: under }) {
  if (offline) return state('bad', `${count(offline)} without a leader`);
  if (under) return state('warn', `${count(under)} under-replicated`);
  return state('ok', 'In sync');
}

function topicPage({ name }) {
  const partitionColumns = [{ name: 'Partition' }, { name: 'Leader' }, { name: 'Replicas', long: true }, { name: 'First offset', number: true },
    { name: 'Next offset', number: true }, { name: 'Messages', number: true }, { name: 'Written', number: true }];
  const partitionRow = ({ partition, leader, replicas, first, next, rate: written }) => ({
    key: partition,
    kind: known(leader) ? null : 'bad',
    cells: [partition, known(leader) ? `Broker ${leader}` : state('bad', 'No leader'),
      h('span.replicas', replicas.map((replica) => replicaOf(replica, leader))), figure(first), figure(next),
      figure(known(first) && known(next) ? next - first : null), rate(written)],
  });
  return {
    title: name,
    up: 'Topics',
    parts: ['cluster', 'offsets', 'groups', 'settings'],
    load: (signal) => ask(at('topics', name), { signal }),
    draw: (detail) => h('div.grid',
      panel('Topic', detail.topic, (topic) => [
        h('p.headline.state-first', topicState(topic), topicTags(topic)),
        figures(item('Partitions', figure(topic.partitions)), item('Replicas', figure(topic.replication)),
          item('Messages', figure(topic.messages)), item('Written', rate(topic.rate))),
        h('p.line', h('a.button', { href: to('messages', name) }, 'Browse messages'),
          topic.dead_letters && h('a.button', { href: to('dead-letters', name) }, 'Dead letters')),
      ]),
      panel('Written', detail.history, (history) => chart('written', 'Messages written', history, perSecond)),
      panel('Partitions', detail.partitions, (partitions) => [
        table('Partitions', partitionColumns, partitions.map(partitionRow)),
        h('p.line', 'Replicas by broker, the preferred leader first; the one with the heavy rim leads.')], { wide: true }),
      panel('Groups that read it', detail.groups, (groups) => (groups.length
        ? table('Groups', [{ name: 'Group' }, { name: 'Lag', number: true }],
          groups.map(({ group, lag }) => ({ key: group, cells: [linkTo('groups', group), figure(lag)] })))
        : h('p.empty', 'No group commits here or owns a partition of it.')), { late: 30 }),
      panel('Settings that are not Kafka’s default', detail.settings, (settings) => (settings.length
        ? table('Settings', [{ name: 'Setting' }, { name: 'Value' }], settings.map(({ name: of, value }) => ({
          key: of, cells: [h('bdi.code', of), known(value) ? h('bdi.code', value) : nothing('secret')] })))
        : h('p.empty', 'Everything is at Kafka’s default.')), { late: 120 })),
  };
}

/** A replica: how it stands in a word unless all is well, and its leader by its rim. */
function replicaOf({ broker, in_sync: inSync, up }, leader) {
  const [kind, word] = !up ? ['bad', 'down'] : !inSync ? ['warn', 'behind'] : ['ok', ''];
  const role = broker === leader ? 'leads' : inSync ? 'in sync' : '';
  return h(`span.replica.${kind}${broker === leader ? '.leader' : ''}`, { title: `Broker ${broker}: ${role || word}` },
    String(broker), word && ` ${word}`, h('span.unseen', ` ${role}`));
}

// ---- Groups -----------------------------------------------------------------------------------------------------------

const VERDICTS = {
  ok: ['ok', 'Keeps up', 'it keeps up, or catches up'],
  unknown: ['none', 'Not known', 'too few looks, or no commit'],
  warn: ['warn', 'Falls behind', 'commits move, and the lag keeps growing'],
  rewind: ['warn', 'Went back', 'commits went back and are not where they were'],
  ahead: ['bad', 'Beyond the end', 'commits lie beyond the end: the topic was made anew or cut off, or a transaction is open'],
  stall: ['bad', 'Stalled', 'there is lag, there are members, and no commit moves'],
  stop: ['bad', 'Stopped', 'there is lag, and nobody reads'],
};

function verdict(of) {
  const [kind, word, meaning] = VERDICTS[of];
  return state(kind, word, meaning);
}

const GROUP_STATES = { PreparingRebalance: 'warn', CompletingRebalance: 'warn', Dead: 'bad' };
function groupState(word) {
  const words = word.replace('gRebalance', 'g rebalance');
  return word === 'Stable' ? h('span.state', words) : state(GROUP_STATES[word] ?? 'none', words);
}

const unowned = (value) => h(`span${value > 0 ? '.emphasis.bad' : ''}`, count(value));

const KEEPS = 'It keeps how far a replay of dead letters has got';
const howItGoes = (replay, word) => (replay ? nothing('not judged') : verdict(word));

function groupsPage(route) {
  const field = search('Search groups', route);
  const columns = [{ name: 'Group', sort: 'name' }, { name: 'Lag', sort: 'lag', number: true }, { name: 'How it goes' },
    { name: 'State', sort: 'state' }, { name: 'Members', sort: 'members', number: true },
    { name: 'Without owner', number: true, title: 'Partitions that nobody owns though the group has members' },
    { name: 'Topics' }, { name: 'Seen', number: true }];
  const row = (group) => ({
    key: group.name,
    kind: group.without_owner > 0 ? 'bad' : null,
    cells: [h('span', linkTo('groups', group.name), group.replay && h('span.tag', { title: KEEPS }, 'replay'),
      group.error && h('span.failure', mark('warn'), h('span', group.error))),
      figure(group.lag), howItGoes(group.replay, group.verdict), groupState(group.state), figure(group.members), unowned(group.without_owner),
      topicNames(group.topics), ticking('ago', group.as_of)],
  });
  return {
    title: 'Groups',
    parts: ['groups'],
    load: (signal) => ask('groups', { params: only(page.here.params, 'query', 'sort', 'page'), signal }),
    draw: (groups) => [field, panel(titled(groups, 'group'), groups, (data) => (data.rows.length
      ? [table('Groups', columns, data.rows.map(row), { route: page.here }), pager(data, page.here)]
      : h('p.empty', data.total
        ? `None of ${plural(data.total, 'group')} has that in its name.`
        : 'There is no group yet: nobody has read with one and committed.')), { wide: true, late: 30, key: 'groups' })],
  };
}

function topicNames(topics) {
  if (!topics.length) return nothing('none');
  return h('span.short', topics.slice(0, 2).map((topic) => linkTo('topics', topic)),
    topics.length > 2 && h('span.dim', `and ${count(topics.length - 2)} more`));
}

function groupPage({ name }) {
  const memberColumns = [{ name: 'Client' }, { name: 'Host' }, { name: 'Partitions', broad: true }, { name: 'Member', broad: true }];
  const memberRow = (member) => ({
    key: member.id,
    cells: [h('span', nameOf(member.client_id), member.instance_id && h('span.tag', 'static ', h('bdi', member.instance_id))),
      h('bdi.code.host', member.host), partitionNames(member.partitions), h('bdi.code.dim', member.id)],
  });
  const partitionColumns = [{ name: 'Partition' }, { name: 'Owner', long: true }, { name: 'Lag', number: true },
    { name: 'Last quarter of an hour', chart: true }, { name: 'How it goes' }, { name: 'Committed', number: true },
    { name: 'End', number: true }, { name: 'Commit moved', number: true }];
  const partitionRow = (peopled, replay) => ({ topic, partition, committed, end, lag, owner, moved, verdict: how, history }) => ({
    key: `${topic}-${partition}`,
    kind: peopled && !known(owner) ? 'bad' : null,
    cells: [h('span', linkTo('topics', topic), `-${partition}`),
      known(owner) ? nameOf(owner) : peopled ? state('bad', 'Nobody') : nothing('nobody'), figure(lag),
      spark(`Lag of ${topic}-${partition}`, history, messagesOf), howItGoes(replay, how), figure(committed),
      figure(end), ticking('ago', moved)],
  });
  return {
    title: name,
    up: 'Groups',
    parts: ['groups', 'offsets'],
    load: (signal) => ask(at('groups', name), { signal }),
    draw: (detail) => {
      const of = (data) => ({ ...detail.group, data });
      const peopled = detail.members.length > 0;
      return h('div.grid',
        panel('Group', detail.group, (group) => [
          group.replay ? h('p.line', `${KEEPS}; what it is behind, nobody waits for.`)
            : h('p.headline.state-first', verdict(group.verdict), h('span.note', ` ${VERDICTS[group.verdict][2]}`)),
          figures(item('Lag', figure(group.lag, { unit: 'messages' })), item('State', groupState(group.state)),
            item('Members', figure(group.members)), fault('Partitions without owner', group.without_owner)),
          h('p.line', 'Coordinator: ', detail.coordinator ? h('bdi', detail.coordinator) : 'not known',
            detail.protocol && ['. Handed out by ', h('bdi', detail.protocol)], '.'),
          overview?.writable && h('p.line',
            button('Reset positions …', () => resetDialog(name, detail))),
        ], { late: 30 }),
        panel('Lag', of(detail.history), (history) => chart('group', 'Lag', history, messagesOf), { late: 30 }),
        panel('Partitions', of(detail.partitions), (partitions) => [
          partitions.length
            ? table('Partitions', partitionColumns, partitions.map(partitionRow(peopled, detail.group.data?.replay)))
            : h('p.empty', 'It has no commit and owns no partition.'),
          detail.untouched.length > 0 && h('p.line', 'Neither commit nor owner: ', partitionNames(detail.untouched)),
        ], { wide: true, late: 30 }),
        panel('Members', of(detail.members), (members) => (members.length
          ? table('Members', memberColumns, members.map(memberRow))
          : h('p.empty', 'Nobody is in it. Its commits stay until Kafka forgets them.')), { wide: true, late: 30 }));
    },
  };
}

function partitionNames(names) {
  if (!names.length) return nothing('none');
  return h('span.names', names.map((name) => h('bdi.chip', { key: name }, name)));
}

function resetDialog(group, { partitions }) {
  const topics = [...new Set(partitions.map(({ topic }) => topic))];
  const values = { topic: topics[0], partition: '', to: 'earliest' };
  const positionColumns = [{ name: 'Partition' }, { name: 'From', number: true }, { name: 'To', number: true },
    { name: 'Messages', number: true }];
  actionDialog({
    title: `Reset the positions of ${group}`,
    says: 'Kafka takes this only while the group has no members: stop its consumers first.',
    values,
    fields: () => [
      choice('Topic', values, 'topic', topics),
      entry('Partition', values, 'partition', { inputmode: 'numeric', placeholder: 'all' }),
      entry('To', values, 'to', { placeholder: 'earliest, latest, an offset, or a time: 2026-11-30T12:00:00Z' }),
    ],
    path: `${at('groups', group)}/reset`,
    body: () => ({ topic: values.topic, partition: numberOf(values.partition), to: values.to.trim() }),
    plan: ({ moves }, told) => [
      h('p', told === 'plan' ? `${plural(moves.length, 'position')} would be set:`
        : `${count(moves.filter((move) => !move.error).length)} of ${plural(moves.length, 'position')} set:`),
      table('Positions', positionColumns, moves.map((move) => ({ key: move.partition, kind: move.error && 'bad', cells: [
          h('span', move.partition, move.error && h('span.failure', mark('bad'), h('span', move.error))),
          figure(move.from), figure(move.to), distance(move)] }))),
    ],
    verb: ({ moves }) => `Set ${plural(moves.length, 'position')}`,
    possible: ({ moves }) => moves.length > 0,
  });
}

function distance({ from, to: target }) {
  if (!known(from)) return nothing('first commit');
  if (target === from) return nothing('stays');
  return target < from ? `${count(from - target)} again` : `${count(target - from)} skipped`;
}

// ---- Messages -----------------------------------------------------------------------------------------------------------

const STARTS = [['end', 'The last ones'], ['start', 'The first ones'], ['offset', 'An offset'], ['time', 'A time']];

/** How many messages a page keeps while it follows, and how many it holds back while paused. */
const MOST_KEPT = 200;

function messagesPage({ name, params }) {
  const values = {};
  const read = (from) => {
    for (const field of ['partition', 'key', 'value', 'header']) values[field] = from.get(field) ?? '';
    const [, start, position] = /^(\w+)(?::(.*))?$/s.exec(from.get('from') ?? 'end') ?? [null, 'end', ''];
    Object.assign(values, { topic: name ?? '', start, position: position ?? '', limit: from.get('limit') ?? '50' });
  };
  read(params);
  const rows = messageRows();
  let topics = [];
  let tail = null;

  const filters = () => ({ partition: values.partition.trim(), key: values.key, value: values.value, header: values.header });
  const asked = () => {
    const placed = values.start === 'offset' || values.start === 'time';
    const from = placed ? `${values.start}:${values.position.trim()}` : values.start;
    return { from, ...filters(), limit: values.limit.trim() };
  };
  const wanted = () => only(page.here.params, 'from', 'partition', 'key', 'value', 'header', 'limit');
  const look = (event) => {
    event.preventDefault();
    stop();
    const target = to('messages', values.topic.trim(), asked());
    if (location.hash === target) load(page, { anew: true }).then(redraw);
    else location.hash = target;
    redraw();
  };
  const stop = () => {
    tail?.close();
    tail = null;
  };
  const follow = () => {
    stop();
    tail = followTopic(name, filters());
    redraw();
  };
  const goOn = async () => {
    if (page.more) return;
    const before = page.data;
    page.more = true;
    redraw();
    try {
      const place = before.next.map((pair) => pair.join(':')).join(',');
      const next = await ask(at('messages', name), { params: { ...wanted(), at: place }, within: SLOW });
      if (page.data === before) page.data = joined(before, next);
    } catch (error) {
      page.error = error;
    }
    page.more = false;
    redraw();
  };

  const form = () => h('form.ask', { key: 'form', onsubmit: look },
    entry('Topic', values, 'topic', { list: 'topics', required: true }),
    h('datalist', { id: 'topics' }, topics.map((topic) => h('option', { value: topic }))),
    choice('From', values, 'start', STARTS, redraw),
    values.start === 'offset' && entry('Offset', values, 'position', { key: 'offset', inputmode: 'numeric', required: true }),
    values.start === 'time' && entry('Time', values, 'position',
      { key: 'time', placeholder: `${new Date().toISOString().slice(0, 16)}:00Z`, required: true }),
    entry('Partition', values, 'partition', { inputmode: 'numeric', placeholder: 'all' }),
    entry('Key has', values, 'key'), entry('Value has', values, 'value'), entry('Header has', values, 'header'),
    entry('At most', values, 'limit', { inputmode: 'numeric' }),
    h('p.buttons', h('button.first', { type: 'submit' }, 'Look'),
      name && (tail ? button('Stop following', () => { stop(); redraw(); }) : button('Follow', follow))));

  return {
    eager: true,
    title: name ?? 'Messages',
    up: name && 'Messages',
    moved: () => {
      stop();
      read(page.here.params);
      for (const field of byId('main').querySelectorAll('form.ask [name]')) field.value = values[field.name];
    },
    close: stop,
    load: async (signal) => {
      if (!topics.length) {
        ask('topics', { params: { per_page: 200 }, signal })
          .then(({ data }) => { topics = data?.rows.map((row) => row.name) ?? []; redraw(); }, () => {});
      }
      return name && ask(at('messages', name), { params: wanted(), signal, within: SLOW });
    },
    draw: (answer) => [
      form(),
      tail ? tail.draw(rows)
        : !name ? h('p.empty', 'Which topic? Give its name above; nothing is read until then.')
          : page.busy ? h('p.result', { role: 'status' }, 'Looking …')
            : answer && findings(answer, rows, goOn),
    ],
  };
}

/** An answer and the one that goes on from it, which may begin with what is there already. */
function joined(before, next) {
  const there = new Set(before.messages.map(placeOf));
  return {
    ...next,
    messages: [...before.messages, ...next.messages.filter((message) => !there.has(placeOf(message)))],
    scanned: before.scanned + next.scanned,
    seconds: before.seconds + next.seconds,
    of: before.of,
  };
}

const placeOf = ({ partition, offset }) => `${partition}-${offset}`;

function findings(answer, rows, goOn) {
  const { messages, next } = answer;
  const more = next.length > 0;
  return h('section', { key: 'found', 'aria-label': 'Messages' },
    scanLine(answer, plural(messages.length, 'message')),
    leftOut(answer.left_out),
    messages.length ? rows(messages) : h('p.empty', answer.of === 0
      ? 'There is nothing to look at: from there on, this topic holds no message.'
      : more ? 'Nothing matched in what was looked at so far. There is more.' : 'Nothing matches.'),
    more && h('p.line', button(page.more ? 'Looking …' : 'Go on from there', goOn)));
}

const stoppedAs = (stopped) => (typeof stopped === 'string' ? stopped : 'error');

/** How much was looked at, and why no more: nothing is left out without a word. */
function scanLine({ scanned, of, seconds, stopped }, foundWords) {
  const why = stoppedAs(stopped);
  return h(`p.result${why === 'error' ? '.failure' : ''}`, { role: 'status' }, why === 'error' && mark('bad'),
    h('span', h('strong', foundWords), ` · scanned ${count(scanned)} of ${count(of)} in ${span(seconds)}, stopped: ${why}`,
      why === 'error' ? ` (${stopped.error})` : STOPS[why]));
}

const STOPS = {
  limit: '', end: '', time: ' (it took too long; there may be more)', bytes: ' (more would be too much for a page)',
};

/** Partitions that were not looked at, and why: a list without them must not look whole. */
function leftOut(partitions) {
  if (!partitions.length) return null;
  return h('div.failure', { key: 'left-out' }, mark('warn'), h('ul', { 'aria-label': 'Not looked at' },
    partitions.map(([partition, why]) => h('li', { key: partition }, `Partition ${partition} was left out: ${why}`))));
}

/** Messages as they come: newest first, at most so many; what does not fit is counted, never hidden. */
function followTopic(topic, filters) {
  const query = new URLSearchParams(Object.entries(filters).filter(([, value]) => value !== ''));
  const source = new EventSource(`api/v1/messages/${encodeURIComponent(topic)}/tail?${query}`);
  const self = { shown: [], held: [], seen: 0, more: 0, missing: [], paused: false, error: null };
  source.addEventListener('begun', (event) => {
    self.missing = JSON.parse(event.data).left_out;
    self.error = null;
    redraw();
  });
  source.addEventListener('message', (event) => {
    const target = self.paused ? 'held' : 'shown';
    self.seen += 1;
    self[target] = [JSON.parse(event.data), ...self[target]];
    if (self[target].length > MOST_KEPT) self[target].length = MOST_KEPT;
    later();
  });
  source.addEventListener('left-out', (event) => {
    self.more = JSON.parse(event.data).messages;
    later();
  });
  source.addEventListener('ended', (event) => {
    source.close();
    self.error = `Ended: ${JSON.parse(event.data).error}`;
    redraw();
  });
  source.addEventListener('error', () => {
    // Going on by itself, the browser would begin anew behind what was missed, without a word.
    source.close();
    self.error = 'Ended: the server cut the connection, or refuses to follow';
    redraw();
  });

  let resting = null;
  const later = () => { resting ??= setTimeout(() => { resting = null; redraw(); }, 200); };
  const pause = () => {
    self.paused = !self.paused;
    if (!self.paused) {
      self.shown = [...self.held, ...self.shown].slice(0, MOST_KEPT);
      self.held = [];
    }
    redraw();
  };
  return {
    close: () => source.close(),
    draw: (rows) => h('section', { key: 'tail', 'aria-label': 'Messages as they come' },
      h('p.result', self.error ? state('warn', self.error) : self.paused ? state('none', 'Paused') : state('ok', 'Following'),
        h('span', ` · ${plural(self.seen, 'message')} since then, ${count(self.more)} left out`,
          self.paused ? `, ${count(self.held.length)} held back` : ''),
        button(self.paused ? 'Go on' : 'Pause', pause)),
      leftOut(self.missing),
      self.shown.length ? rows(self.shown) : h('p.empty', 'Nothing came yet. Only what is written from now on is shown.'),
      self.seen > MOST_KEPT && h('p.line', `The newest ${count(MOST_KEPT)} are kept here.`)),
  };
}

/** Rows that open; which are open, and in which view, is remembered as long as the page is. */
function messageRows() {
  const open = new Set();
  const views = new Map();
  const line = (message) => {
    const key = placeOf(message);
    const toggle = (event) => {
      if (event.target.open === open.has(key)) return;
      if (event.target.open) open.add(key);
      else open.delete(key);
      redraw();
    };
    return h('li', { key }, h('details', { ontoggle: toggle },
      h('summary', message.cause ? letterSummary(message) : messageSummary(message)),
      open.has(key) && h('div.opened', message.cause && letterFacts(message), messageBody(message, key, views))));
  };
  return (messages) => {
    const letters = Boolean(messages[0].cause);
    const heads = letters ? ['Came from', 'Failed last', 'Cause', 'Error'] : ['Partition-offset', 'Time', 'Key', 'Value'];
    return h(`div.list${letters ? '.letters' : ''}`,
      h('div.heads', { 'aria-hidden': 'true' }, heads.map((head) => h('span', head))),
      h('ol.messages', messages.map(line)));
  };
}

function messageSummary({ partition, offset, timestamp, key, value, headers }) {
  return [
    h('span.position', h('span.unseen', 'partition and offset '), `${partition}-${offset}`),
    h('span.when', moment(timestamp, { millis: true })),
    h('span.key', key ? glimpse(key) : nothing('no key')),
    h('span.glimpse', value ? glimpse(value) : nothing('tombstone: no value')),
    headers.length > 0 && h('span.tag', plural(headers.length, 'header')),
  ];
}

/** The first of a value, on one line. */
function glimpse({ text, hex, length }) {
  if (known(text)) return length ? h('bdi.code', text.slice(0, 240)) : nothing('empty');
  return h('span', h('span.tag', `${bytes(length)} binary`), h('span.code.dim', pairs(hex.slice(0, 48))));
}

function messageBody(message, key, views) {
  const { value, headers, timestamp } = message;
  return [
    h('dl.facts', fact('Time', known(timestamp) && h('time', { datetime: timestamp }, timestamp)),
      fact('Key', message.key && whole(message.key)),
      headers.map(([name, of], index) =>
        fact(['Header ', h('bdi.code', name)], of ? whole(of) : nothing('null'), `header-${index}`))),
    value ? valueViews(value, views.get(key), (view) => { views.set(key, view); redraw(); })
      : h('p.empty', 'No value: a tombstone. In a compacted topic it deletes what has the same key.'),
  ];
}

const fact = (label, value, key = null) => value && h('div', { key }, h('dt', label), h('dd', value));

function whole({ text, hex, length, cut }) {
  if (known(text)) return h('bdi.code', text, cut && h('span.tag', `cut, ${bytes(length)} in all`));
  return h('span.code', pairs(hex), cut && h('span.tag', `cut, ${bytes(length)} in all`));
}

function valueViews(value, chosen, choose) {
  const possible = { text: known(value.text), JSON: value.json, hex: true };
  const view = chosen ?? (value.json ? 'JSON' : known(value.text) ? 'text' : 'hex');
  const shown = { text: () => value.text, JSON: () => indented(value.text), hex: () => dump(value.hex) };
  const whole = view === 'hex' ? value.hex.length / 2 >= value.length : !value.cut;
  return h('div.value',
    h('div.views', { role: 'group', 'aria-label': 'View of the value' },
      Object.entries(possible).map(([name, can]) =>
        button(name, can ? () => choose(name) : null, { 'aria-pressed': String(view === name) })),
      h('span.note', bytes(value.length), !whole && ', cut here')),
    h(`pre${view === 'hex' ? '.dump' : ''}`, { tabindex: 0, role: 'region', 'aria-label': `Value as ${view}` },
      h('bdi', shown[view]())));
}

const pairs = (hex) => hex.replace(/..(?=.)/g, '$& ');

/** Hex as a dump: offset, sixteen bytes, and what of them is printable ASCII. */
function dump(hex) {
  const lines = [];
  for (let start = 0; start < hex.length; start += 32) {
    const line = hex.slice(start, start + 32);
    const ascii = line.replace(/../g, (pair) => {
      const code = parseInt(pair, 16);
      return code >= 32 && code < 127 ? String.fromCharCode(code) : '.';
    });
    lines.push(`${(start / 2).toString(16).padStart(4, '0')}  ${pairs(line).padEnd(47)}  ${ascii}`);
  }
  return lines.join('\n');
}

/** JSON with indents. By its characters and not parsed, so that no number loses a digit and no key is merged. */
function indented(json) {
  let depth = 0;
  const line = () => `\n${'  '.repeat(Math.max(0, depth))}`;
  return json.replace(/"(?:[^"\\]|\\.)*"?|[{[]\s*[}\]]|[{}[\],:]|\s+/gs, (token) => {
    if (token.startsWith('"')) return token;
    if (/^\s/.test(token)) return '';
    if (token.length > 1) return token[0] + token.at(-1);
    if (token === '{' || token === '[') { depth += 1; return token + line(); }
    if (token === '}' || token === ']') { depth -= 1; return line() + token; }
    return token === ',' ? token + line() : `${token} `;
  });
}

// ---- Dead letters -------------------------------------------------------------------------------------------------------

function deadLettersPage() {
  const columns = [{ name: 'Topic' }, { name: 'Letters', number: true }, { name: 'Written', number: true }];
  return {
    title: 'Dead letters',
    parts: ['cluster', 'offsets', 'clients'],
    load: (signal) => ask('dead-letters', { signal }),
    draw: (topics) => panel('Topics of dead letters', topics, (data) => (data.length
      ? table('Topics of dead letters', columns, data.map(({ topic, messages, rate: written }) => ({
        key: topic, cells: [linkTo('dead-letters', topic), figure(messages), rate(written)] })))
      : h('p.empty', 'None is known: no message was given up, as far as this dashboard sees. It knows those that your clients ',
        'write to, those named at start with ', h('code', '--dead-letter'), ', and those called ', h('code', '….dlq'),
        '.')), { wide: true }),
  };
}

function letterTopicPage({ name, params }) {
  const rows = messageRows();
  const errorColumns = [{ name: 'Error' }, { name: 'Letters', number: true }, { name: 'Share', chart: true }, { name: 'Cause' },
    { name: 'First', number: true }, { name: 'Last', number: true }, { name: 'Those', long: true }];
  const chosen = () => only(page.here.params, 'cause', 'error');
  const again = () => {
    load(page, { anew: true }).then(redraw);
    redraw();
  };
  const errorRow = (most) => ({ cause, error, contains, count: number, first, last }) => ({
    key: `${cause} ${error}`,
    cells: [h('bdi.name', error), figure(number), bar(number, most), cause, moment(first), moment(last),
      h('span.acts',
        h('a', { href: to('dead-letters', name, { cause, error: contains }), 'aria-label': `Show: ${error}` }, 'Show'),
        overview?.writable && button('Replay …', () => replayDialog(name, page.data, { cause, error: contains }),
          { class: 'small', 'aria-label': `Replay: ${error}` }))],
  });
  return {
    title: name,
    up: 'Dead letters',
    load: (signal) => ask(at('dead-letters', name), { params: only(page.here.params, 'cause', 'error'), signal, within: SLOW }),
    draw: (letters) => {
      const most = Math.max(0, ...letters.by_error.map((row) => row.count));
      const { cause, error } = chosen();
      return [
        h('p.buttons', button(page.busy ? 'Reading …' : 'Read anew', again),
          overview?.writable ? button('Replay …', () => replayDialog(name, letters, chosen()))
            : h('span.dim', 'Reading only: to replay, start the dashboard with a token file, or use kurier dlq replay.'),
          h('a.button', { href: to('messages', name) }, 'As messages')),
        scanLine(letters, plural(letters.letters.length, 'letter')),
        leftOut(letters.left_out),
        letters.foreign > 0 && h('p.line', `Not counted: ${plural(letters.foreign, 'record')} without the headers of a dead letter.`),
        letters.by_error.length > 0 && h('section.panel.wide', { 'aria-label': 'By error' }, h('header', h('h2', 'By error')),
          table('By error', errorColumns, letters.by_error.map(errorRow(most)))),
        h('section', { 'aria-label': 'Letters' }, h('h2', 'The newest'),
          (cause || error) && h('p.line', 'Only ', cause && h('strong', cause),
            error && [' with ', h('bdi.code', error), ' in the error'], '. ', h('a', { href: to('dead-letters', name) }, 'Show all')),
          letters.letters.length ? rows(letters.letters) : h('p.empty', 'There is no letter here.')),
      ];
    },
  };
}

function letterSummary({ source: [topic, partition, offset], error, cause, last_failure: last, attempts }) {
  return [
    h('span.position', nameOf(topic), `-${partition}-${offset}`),
    h('span.when', moment(last)),
    h('span.key', h('span.tag', cause), ` ${plural(attempts, 'attempt')}`),
    h('span.glimpse', h('bdi', error)),
  ];
}

function letterFacts(letter) {
  const { error, cause, attempts, hops, group, first_failure: first, last_failure: last } = letter;
  const [topic, partition, offset] = letter.source;
  const origin = to('messages', topic, { from: `offset:${offset}`, partition, limit: 1 });
  return h('dl.facts',
    fact('Error', h('bdi', error)),
    fact('Cause', cause),
    fact('Came from', h('a', { href: origin }, nameOf(topic), `-${partition} at ${count(offset)}`)),
    fact('Attempts', [count(attempts), h('span.dim', ' from ', moment(first), ' to ', moment(last))]),
    fact('Given up', [`${plural(hops, 'time')} by `, linkTo('groups', group)]),
    fact('Letter', `partition ${letter.partition}, offset ${count(letter.offset)}`));
}

const REPLAYED = { plan: ' would be sent again', running: ' sent again so far', done: ' sent again' };

function replayDialog(topic, { by_error: errors }, { cause, error }) {
  const causes = [...new Set(errors.map((row) => row.cause))];
  const values = { cause: cause ?? '', error: error ?? '', to: '', max: '' };
  const given = (value) => value.trim() || null;
  actionDialog({
    title: `Replay ${topic}`,
    says: 'Letters are sent again, with their key and original bytes. They stay in this topic.',
    values,
    fields: () => [
      choice('Cause', values, 'cause', [['', 'any'], ...causes]),
      entry('Error has', values, 'error'),
      entry('To', values, 'to', { placeholder: 'each to the topic it came from' }),
      entry('At most', values, 'max', { inputmode: 'numeric', placeholder: 'all' }),
    ],
    path: `${at('dead-letters', topic)}/replay`,
    body: () => ({ cause: given(values.cause), error: given(values.error), to: given(values.to), max: numberOf(values.max) }),
    plan: ({ replayed, passed_over: passed, left, to: targets, stopped }, told) => [
      h('p', h('strong', plural(replayed, 'letter')), REPLAYED[told],
        targets.length > 0 && [' to ', targets.map((target, index) => [index > 0 && ', ', nameOf(target)])], '.'),
      h('ul', h('li', `${count(passed)} passed over: not meant`),
        left.map(([reason, number]) => h('li', `${count(number)} left: `, h('bdi', reason)))),
      stopped && h('p.failure', mark('warn'), h('span', `Ended early: ${stopped}`)),
    ],
    verb: ({ replayed }) => `Replay ${plural(replayed, 'letter')}`,
    possible: ({ replayed }) => replayed > 0,
  });
}

// ---- Actions that write: first only told, then asked for the token, then done ------------------------------------------

/**
 * `plan(answer, told)` puts an answer into words, `told` being `plan`, `running` or `done`. An action that is
 * still running when it answers is asked after at the same path.
 */
function actionDialog({ title, says, fields, path, body, plan, verb, possible }) {
  const dialog = byId('dialog');
  let told = 'ask';
  let answer = null;
  let error = null;
  let busy = false;

  const send = async (dryRun) => {
    busy = true;
    error = null;
    draw();
    try {
      answer = await act(path, { ...body(), dry_run: dryRun });
      told = dryRun ? 'plan' : 'done';
      while (!dryRun && answer.running && dialog.open) {
        told = 'running';
        draw();
        await new Promise((resolve) => { setTimeout(resolve, 1000); });
        answer = await ask(path);
        if (!answer.running) told = 'done';
      }
    } catch (refused) {
      error = refused.message;
      if (refused.status === 401) token = null;
    }
    busy = false;
    draw();
    if (told === 'done') load(page, { anew: true }).then(redraw);
  };
  const submit = (event) => {
    event.preventDefault();
    if (busy) return;
    if (told === 'ask') send(true);
    else if (told === 'plan') {
      token ??= dialog.querySelector('input[name=token]').value;
      send(false);
    } else dialog.close();
  };
  const first = (words, kind = '') =>
    h(`button.first${kind}`, { type: 'submit', 'aria-busy': String(busy) }, busy ? 'Working …' : words);
  const cancel = button('Cancel', () => dialog.close());
  const back = button('Back', () => { told = 'ask'; error = null; draw(); });
  const steps = {
    ask: () => [h('p', says), fields(), failed(), h('p.buttons', first('Show what would happen'), cancel)],
    plan: () => [plan(answer, told), possible(answer) && !token && tokenField(), failed(),
      h('p.buttons', possible(answer) && first(verb(answer), '.writes'), back, cancel)],
    running: () => [plan(answer, told), failed(),
      h('p.buttons', h('span.dim', 'It goes on when this is closed.'), button('Close', () => dialog.close()))],
    done: () => [plan(answer, told), failed(), h('p.buttons', first('Close'))],
  };
  const failed = () => h('div', { role: 'alert', key: 'failed' }, error && h('p.failure', mark('bad'), h('span', error)));
  const draw = () => morph(dialog, h('form', { onsubmit: submit },
    h('h2', { id: 'dialog-title' }, title), h('div.step', { key: told }, steps[told]())));

  dialog.replaceChildren();
  draw();
  dialog.showModal();
}

const tokenField = () => h('label.field', { key: 'token' }, h('span', 'Token'),
  h('input', { name: 'token', type: 'password', required: true, autocomplete: 'off' }),
  h('span.note', 'From the file that the dashboard was started with. Kept in this page’s memory alone.'));

/** A button that does something; without anything to do it is off. */
function button(words, does, attributes = {}) {
  return h('button', { type: 'button', disabled: !does, onclick: does, ...attributes }, words);
}

/** What was typed as a whole number, or null for nothing. What is neither is never taken for nothing. */
function numberOf(value) {
  const typed = value.trim();
  if (typed !== '' && !/^[0-9]+$/.test(typed)) throw new Error(`“${typed}” is no whole number`);
  return typed === '' ? null : Number(typed);
}

/** A labelled field that writes into `values`. */
function entry(label, values, field, { key = field, ...attributes } = {}) {
  const input = h('input', { autocomplete: 'off', spellcheck: 'false', ...attributes, name: field,
    oninput: (event) => { values[field] = event.target.value; } });
  input.value = values[field];
  return h('label.field', { key }, h('span', label), input);
}

/** A labelled choice that writes into `values`; `options`: names, or pairs of value and name. */
function choice(label, values, field, options, then = () => {}) {
  const select = h('select', { name: field, onchange: (event) => { values[field] = event.target.value; then(); } },
    options.map((option) => [option].flat()).map(([value, name = value]) =>
      h('option', { value, selected: value === values[field] }, name)));
  return h('label.field', { key: field }, h('span', label), select);
}

// ---- Clients ----------------------------------------------------------------------------------------------------------------

function clientsPage() {
  return {
    title: 'Clients',
    parts: ['clients'],
    load: (signal) => ask('clients', { signal }),
    draw: (clients) => {
      if (!clients.data?.length) {
        return panel('Producers and consumers of kurier', clients, () => h('p.empty',
          'None is asked. Start producers and consumers with ', h('code', '--metrics HOST:PORT'),
          ', and the dashboard with ', h('code', '--client HOST:PORT'), ' for each.'), { wide: true });
      }
      return [clients.error && h('p.failure', mark('warn'), h('span', clients.error)),
        h('div.grid', clients.data.map(clientPanel))];
    },
  };
}

function clientPanel(client) {
  const seen = { as_of: client.as_of, error: client.error, data: client };
  const ready = !known(client.ready) ? state('none', 'Readiness not known')
    : client.ready ? state('ok', 'Ready') : state('bad', 'Not ready');
  return panel(client.address, seen, () => [
    h('p.line', client.there ? ready : state('bad', 'Gone'),
      h('span.dim', client.there ? ' there for ' : ' for ', ticking('lasting', client.since))),
    client.checks.length > 0 && !client.ready && h('ul.checks', failing(client.checks).map((check) => h('li', check))),
    client.producers.map((of) => pipeline('Producer', of, producerFigures, of.acked_per_second, 'acknowledged')),
    client.consumers.map((of) => pipeline('Consumer', of, consumerFigures, of.handled_per_second, 'handled')),
    client.producers.length + client.consumers.length === 0 && h('p.empty',
      client.there ? 'It has neither a producer nor a consumer.' : 'Nothing is known of its producers and consumers.'),
  ], { wide: true, late: 10, key: client.address });
}

/** Of what `/readyz` says line by line that which is not well; all of it when that is not told. */
function failing(checks) {
  const bad = checks.filter((check) => check.startsWith('failing '));
  return bad.length ? bad.map((check) => check.slice('failing '.length)) : checks;
}

function pipeline(what, of, drawFigures, now, verb) {
  return h('section.pipeline', { key: `${what} ${of.client}`, 'aria-label': `${what} ${of.client}` },
    h('h3', `${what} `, nameOf(of.client), !of.ready && state('bad', 'Not ready')),
    h('div.flow', h('p.headline', rate(now), h('span.note', ` ${verb}`)),
      chart(`${what} ${of.client}`, `Messages ${verb} by ${of.client}`, of.history, perSecond)),
    drawFigures(of));
}

function percentiles({ p50, p99, p999 }) {
  const slash = () => h('span.dim', ' / ');
  return h('span.percentiles', duration(p50), slash(), duration(p99), slash(), duration(p999));
}

function producerFigures({ in_flight, acked, failed, ack_latency, retries, remakes, outbox }) {
  const lost = failed.reduce((sum, [, number]) => sum + number, 0);
  return [
    figures(
      item('In flight', figure(in_flight)),
      item('Acknowledged', figure(acked)),
      item('Latency p50 / p99 / p99.9', percentiles(ack_latency)),
      item('Requests sent again', figure(retries)),
      item('Clients remade', figure(remakes)),
      fault('Given up', lost),
      outbox && [item('In the outbox', [figure(outbox.waiting), h('span.note', ` ${bytes(outbox.bytes)}`)]),
        item('Oldest there', duration(outbox.oldest_seconds))]),
    lost > 0 && h('p.line', 'Given up: ', failed.map(([reason, number]) => `${count(number)} ${reason}`).join(', ')),
  ];
}

function consumerFigures(consumer) {
  return figures(
    item('Lag', figure(consumer.lag)),
    item('In flight', figure(consumer.in_flight)),
    item('Handled', figure(consumer.handled)),
    item('Partitions', figure(consumer.partitions)),
    item('Handler p50 / p99 / p99.9', percentiles(consumer.handler_latency)),
    item('End to end p50 / p99 / p99.9', percentiles(consumer.end_to_end_latency)),
    fault('Partitions stopped', consumer.stopped),
    item('Retries', figure(consumer.retries)),
    item('Failures', figure(consumer.failures)),
    item('Handled again', figure(consumer.redelivered)),
    fault('Dead-lettered', consumer.dead_lettered, 'warn'));
}

// ---- Events -----------------------------------------------------------------------------------------------------------------

const EVENT_KINDS = {
  'broker-up': 'Broker up', 'broker-down': 'Broker down', leader: 'Leader', 'in-sync': 'In sync', cluster: 'Cluster',
  rebalance: 'Rebalance', listing: 'Listing', 'delivery-failure': 'Delivery failure', 'handler-failure': 'Handler failure',
  'dead-letter': 'Dead letter', client: 'Client', action: 'Action',
};
const SEVERITIES = { info: ['info', 'Info'], warning: ['warn', 'Warning'], error: ['bad', 'Error'] };
const EVENTS_AT_ONCE = 100;
const QUIET = 'Nothing happened since this dashboard was started.';

function eventsPage() {
  let shown = EVENTS_AT_ONCE;
  const more = () => {
    shown += EVENTS_AT_ONCE;
    redraw();
  };
  const chosen = () => new Set((page.here.params.get('kind') ?? '').split(',').filter(Boolean));
  const toggled = (kind) => [...chosen().symmetricDifference(new Set([kind]))].join(',');
  return {
    title: 'Events',
    parts: ['events'],
    load: async (signal) => { await events.load(signal); return events; },
    draw: (data) => {
      const kinds = chosen();
      const meant = data.list.filter(({ kind }) => !kinds.size || kinds.has(kind));
      return [
        h('ul.filters', { 'aria-label': 'Show only' }, Object.entries(EVENT_KINDS).map(([kind, word]) => h('li', { key: kind },
          h(`a.button${kinds.has(kind) ? '.chosen' : ''}`,
            { href: to('events', null, { kind: toggled(kind) }), 'aria-current': kinds.has(kind) && 'true' }, word))),
        kinds.size > 0 && h('li', { key: 'all' }, h('a', { href: to('events') }, 'Show all'))),
        meant.length ? h('section.panel.wide', { 'aria-label': 'Events' }, eventList(meant.slice(0, shown)),
          meant.length > shown && h('p.line',
            button(`Show ${count(Math.min(EVENTS_AT_ONCE, meant.length - shown))} more of ${count(meant.length)}`, more)))
          : h('p.empty', data.list.length ? 'Nothing of that kind happened.' : QUIET),
        data.forgotten > 0 && h('p.line', `${plural(data.forgotten, 'older event')} forgotten: the newest 5,000 are kept.`),
      ];
    },
  };
}

function eventList(list) {
  if (!list.length) return h('p.empty', QUIET);
  return h('ol.events', list.map(({ id, at: when, kind, severity, subject, text }) => h(`li.${severity}`, { key: id },
    h('span.when', moment(when)), state(...SEVERITIES[severity]), h('span.kind', EVENT_KINDS[kind] ?? kind),
    h('bdi.subject', subject), h('bdi.text', listed(text)))));
}

// ---- Start --------------------------------------------------------------------------------------------------------------------

const PAGES = {
  overview: overviewPage,
  brokers: brokersPage,
  topics: (route) => (route.name === null ? topicsPage(route) : topicPage(route)),
  groups: (route) => (route.name === null ? groupsPage(route) : groupPage(route)),
  messages: messagesPage,
  'dead-letters': (route) => (route.name === null ? deadLettersPage(route) : letterTopicPage(route)),
  clients: clientsPage,
  events: eventsPage,
};

function noPage({ path }) {
  return {
    title: 'No such page',
    draw: () => h('p.empty', 'There is no page ', h('bdi.code', path), '. ', h('a', { href: to('overview') }, 'To the overview')),
  };
}

/** Light, dark, or as the system has it: kept in this browser. */
const THEMES = ['auto', 'light', 'dark'];

function setTheme(theme) {
  if (theme === 'auto') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  byId('theme').textContent = `Theme: ${theme}`;
  byId('theme').onclick = () => {
    const next = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    keep(next);
    setTheme(next);
  };
}

/** What is kept of the theme; a browser that keeps nothing has the system's. */
function keep(theme) {
  try {
    if (theme) localStorage.setItem('kurier-theme', theme);
    return localStorage.getItem('kurier-theme');
  } catch {
    return null;
  }
}

const kept = keep();
setTheme(THEMES.includes(kept) ? kept : 'auto');
byId('skip').onclick = (event) => {
  event.preventDefault();
  byId('main').focus();
};
addEventListener('hashchange', show);
document.addEventListener('visibilitychange', () => { if (!document.hidden && overview) refresh(null); });
setInterval(() => { tick(); watchSilence(); }, 1000);
show();
connect();
