// Each page shows what the API answers: with traffic, with a dead broker, with nothing there, and with very much.

import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';

import { FORMS, open, quit, shoot, sound } from '../support/browser.mjs';
import { Mock } from '../support/mock.mjs';

let mock;
before(async () => { mock = await new Mock().start(); });
after(async () => { await quit(); await mock.stop(); });

/** What each page must say in a scene; the names are those of the screenshots. */
const PAGES = {
  overview: ['overview', 'Healthy', '3 of 3', '1,204 /s', '16,166 messages', 'checkout', 'Lost', '1,840,112', 'Latest events'],
  brokers: ['brokers', 'Broker 2', '127.0.0.1:9093', 'Controller', 'as of'],
  topics: ['topics', 'orders.dlq', 'dead letters', '__consumer_offsets', 'internal', '801,120', '640 /s', '1 to 5 of 5'],
  topic: ['topics/orders', 'In sync', '133,520', 'Broker 1', 'min.insync.replicas', 'secret', 'checkout', '11,402'],
  groups: ['groups', 'checkout', 'Falls behind', 'Stalled', 'Stopped', 'coordinator 2 does not answer', '11,402', 'kurier-replay.orders.dlq.e604823a249029bf', 'not judged'],
  group: ['groups/mail', 'Nobody', 'Preparing rebalance', 'consumer-1', 'rack-b', 'orders-2', 'cooperative-sticky', '5 min 4'],
  messages: ['messages/orders?limit=12', '12 messages · scanned 12 of 993 in 42 ms, stopped: limit', 'tombstone', '300 B binary', 'order-33'],
  'dead-letters': ['dead-letters', 'orders.dlq', '7'],
  letters: ['dead-letters/orders.dlq', 'order <n> is not there', 'retries-exhausted', '7 letters · scanned 8 of 8', 'Not counted: 1 record without'],
  clients: ['clients', 'producer-1:9404', '6.1 ms / 49 ms / 183 ms', 'In the outbox', 'Gone', 'connection refused', 'partition orders-3 stopped at offset 4021'],
  events: ['events', 'Delivery failure', '2 messages were given up', 'Rebalance', 'members: 2, then 3'],
};

const says = (page) => page.locator('body').innerText().then((text) => text.replace(/\s+/g, ' '));

for (const [name, [hash, ...words]] of Object.entries(PAGES)) {
  test(`${name} shows what there is, wide and narrow, light and dark`, async () => {
    mock.show('busy');
    const opened = await open(mock.url);
    await opened.visit(hash);
    for (const form of FORMS) {
      await opened.take(form);
      const text = await says(opened.page);
      for (const word of words) assert.ok(text.includes(word), `${form.name} says ${word}: ${text}`);
      await shoot(opened.page, `${name}-${form.name}`);
      await sound(opened);
    }
    await opened.close();
  });
}

test('a dead broker is seen on every page, and stays listed', async () => {
  mock.show('degraded');
  const opened = await open(mock.url);
  for (const [name, [hash]] of Object.entries(PAGES)) {
    await opened.visit(hash);
    const status = await opened.page.getByRole('region', { name: 'Cluster status' }).innerText();
    assert.match(status, /Degraded[\s\S]*broker 2 has not been there for 14 s/, name);
  }
  await opened.visit('brokers');
  await opened.page.getByRole('row', { name: /Broker 2 Down for 1\d s/ }).waitFor();
  await opened.visit('topics/orders');
  await opened.page.getByText('2 down').first().waitFor();
  await shoot(opened.page, 'topic-degraded');
  await opened.visit('overview');
  await opened.page.getByText('Broker 2 down').waitFor();
  await shoot(opened.page, 'overview-degraded');
  await sound(opened);
  await opened.close();
});

test('a panel that is old says why, and how old it is by the server’s clock', async () => {
  mock.show('down');
  const opened = await open(mock.url);
  await opened.visit('overview');
  const panel = opened.page.getByRole('region', { name: 'Cluster', exact: true });
  await panel.getByText('timed out after 2 s: no broker answers').waitFor();
  await panel.getByText(/as of 4\d s ago/).waitFor();
  assert.ok(await panel.evaluate((section) => section.classList.contains('stale')));
  assert.ok(!await opened.page.getByRole('region', { name: 'kurier’s own clients' }).evaluate((section) => section.classList.contains('stale')));
  await opened.page.getByText('Down', { exact: true }).first().waitFor();
  await opened.page.getByRole('region', { name: 'Brokers' }).getByText('Broker 1 was up').waitFor();
  await shoot(opened.page, 'overview-down');
  await sound(opened);
  await opened.close();
});

test('where there is nothing, a page says what that means and what to do', async () => {
  mock.show('empty');
  const opened = await open(mock.url);
  for (const [hash, words] of [['overview', 'None is asked'], ['brokers', 'Not seen yet'], ['topics', 'There is no topic yet'], ['groups', 'There is no group yet'], ['messages', 'Which topic?'],
    ['messages/orders', 'holds no message'], ['dead-letters', 'None is known'], ['dead-letters/orders.dlq', 'There is no letter here'], ['clients', '--client HOST:PORT'], ['events', 'Nothing happened'],
    ['topics/none', 'topic none: never seen'], ['nowhere', 'There is no page nowhere']]) {
    await opened.visit(hash);
    await opened.page.getByText(words).first().waitFor();
  }
  await sound(opened, { except: /404/ });
  await opened.close();
});

test('2,000 topics and 500 groups are parts of a list, found by name and sorted by the server', async () => {
  mock.show('huge');
  const opened = await open(mock.url);
  const { page } = opened;
  await opened.visit('topics');
  await page.getByText('1 to 50 of 2,000').waitFor();
  await page.getByRole('link', { name: 'Next' }).click();
  await page.getByText('51 to 100 of 2,000').waitFor();
  await page.getByRole('columnheader', { name: 'Messages' }).getByRole('link').click();
  await page.getByRole('link', { name: 'topic-1999' }).waitFor();
  assert.equal(await page.getByRole('columnheader', { name: 'Messages' }).getAttribute('aria-sort'), 'descending');
  const field = page.getByRole('searchbox');
  await field.pressSequentially('-077', { delay: 20 });
  await page.getByText('1 to 10 of 10 that match, 2,000 in all').waitFor();
  assert.equal(await field.evaluate((input) => document.activeElement === input), true, 'typing goes on');
  assert.match(page.url(), /query=-077/);
  await field.fill('no such');
  await page.getByText('None of 2,000 topics has that in its name').waitFor();
  await opened.visit('groups?sort=-lag');
  await page.getByRole('link', { name: 'group-499' }).waitFor();
  await sound(opened);
  await opened.close();
});

test('what is drawn anew keeps focus, open rows and what was typed', async () => {
  mock.show('busy');
  const opened = await open(mock.url);
  const { page } = opened;
  await opened.visit('topics');
  const link = page.getByRole('link', { name: 'payments' });
  await link.focus();
  await page.evaluate(() => { document.activeElement.mine = true; });
  const asked = mock.asked.length;
  while (mock.asked.slice(asked).filter(({ path }) => path === 'topics').length < 3) await page.waitForTimeout(100);
  assert.equal(await page.evaluate(() => document.activeElement.mine && document.activeElement.textContent), 'payments');
  await opened.close();
});

test('charts tell in words what they draw, and have gaps where nothing was seen', async () => {
  mock.show('busy');
  const opened = await open(mock.url);
  await opened.visit('overview');
  const drawn = opened.page.getByRole('img', { name: /^Messages written over the last 15 min: [\d,]+ \/s now, between [\d,]+ \/s and [\d,]+ \/s, with 2 gaps$/ });
  await drawn.waitFor();
  assert.equal(await drawn.locator('path.line').count(), 2, 'two stretches, not joined');
  assert.equal(await drawn.locator('rect.gap').count(), 2);
  await drawn.hover();
  await opened.page.locator('.readout').waitFor();
  await opened.close();
});

test('the theme is kept', async () => {
  mock.show('busy');
  const opened = await open(mock.url, { theme: 'light' });
  await opened.visit('overview');
  const paper = () => opened.page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await paper();
  await opened.page.getByRole('button', { name: 'Theme: auto' }).click();
  await opened.page.getByRole('button', { name: 'Theme: light' }).click();
  const dark = await paper();
  assert.notEqual(light, dark);
  await opened.page.reload();
  await opened.page.getByRole('button', { name: 'Theme: dark' }).waitFor();
  assert.equal(await paper(), dark);
  await opened.close();
});
