// Messages: asked for by a form, opened in three views, gone on with, and followed as they come.

import { after, before, beforeEach, test } from 'node:test';
import assert from 'node:assert/strict';

import { open, quit, shoot, sound } from '../support/browser.mjs';
import { usualMessage } from '../support/fixtures.mjs';
import { Mock } from '../support/mock.mjs';

let mock;
before(async () => { mock = await new Mock().start(); });
beforeEach(() => { mock.show('busy'); });
after(async () => { await quit(); await mock.stop(); });

test('the form says what is asked for, and the address keeps it', async () => {
  const opened = await open(mock.url);
  const { page } = opened;
  await opened.visit('messages');
  assert.equal(mock.asked.some(({ path }) => path.startsWith('messages')), false, 'nothing is read unasked');
  await page.getByLabel('Topic').fill('orders');
  await page.getByLabel('Key has').fill('order-7');
  await page.getByLabel('At most').fill('5');
  await page.getByRole('button', { name: 'Look' }).click();
  await page.getByText(/5 messages · scanned \d+ of 993 in 42 ms, stopped: limit/).waitFor();
  assert.match(page.url(), /#\/messages\/orders\?from=end&key=order-7&limit=5/);
  await page.getByRole('button', { name: 'Go on from there' }).click();
  await page.getByText(/10 messages · scanned \d+ of 993/).waitFor();
  assert.ok(mock.asked.some(({ params }) => /^0:\d+$/.test(params.at ?? '')), 'from where the first look ended');
  await page.getByLabel('From').selectOption('A time');
  await page.getByLabel('Time', { exact: true }).fill('yesterday');
  await page.getByRole('button', { name: 'Look' }).click();
  await page.getByRole('alert').getByText('yesterday is no time').waitFor();
  await page.getByLabel('From').selectOption('An offset');
  await page.getByLabel('Offset', { exact: true }).fill('17');
  await page.getByRole('button', { name: 'Look' }).click();
  await page.waitForURL(/from=offset%3A17/);
  assert.equal(await page.getByRole('alert').count(), 0);
  await sound(opened, { except: /400/ });
  await opened.close();
});

test('a message opens as text, JSON and hex, and no digit is lost', async () => {
  const opened = await open(mock.url);
  const { page } = opened;
  await opened.visit('messages/orders');
  const rows = page.locator('.messages > li');
  const open_ = async (i) => {
    await rows.nth(i).locator('summary').click();
    return rows.nth(i);
  };
  const json = await open_(3);
  assert.match(await json.locator('pre').innerText(), /"total": 9007199254740993,\n\s+"items": \[\],\n\s+"tags": \[\n\s+"a",/);
  await json.getByRole('button', { name: 'hex' }).click();
  assert.match(await json.locator('pre').innerText(), /^0000 {2}7b 22 69 64 22 3a .* {2}\{"id":/);
  const plain = await open_(0);
  assert.equal(await plain.locator('pre').innerText(), 'plain text, and not JSON');
  assert.equal(await plain.getByRole('button', { name: 'JSON' }).isDisabled(), true);
  const binary = await open_(1);
  assert.match(await binary.locator('pre').innerText(), /^0000 {2}00 01 02/);
  await (await open_(2)).getByText('No value: a tombstone').waitFor();
  await shoot(page, 'messages-opened');
  await sound(opened);
  await opened.close();
});

test('what comes is followed, held back while paused, and counted when left out', async () => {
  const opened = await open(mock.url);
  const { page } = opened;
  await opened.visit('messages/orders');
  await page.getByRole('button', { name: 'Follow', exact: true }).click();
  await page.getByText('Nothing came yet').waitFor();
  mock.tell('message', usualMessage(2_001));
  mock.tell('message', usualMessage(2_002));
  await page.getByText('Following · 2 messages since then, 0 left out').waitFor();
  assert.match(await page.locator('.messages > li').first().innerText(), /2002/);
  await page.getByRole('button', { name: 'Pause' }).click();
  mock.tell('message', usualMessage(2_003));
  mock.tell('left-out', { messages: 1_200 });
  await page.getByText('3 messages since then, 1,200 left out, 1 held back').waitFor();
  assert.equal(await page.locator('.messages > li').count(), 2);
  await page.getByRole('button', { name: 'Go on' }).click();
  await page.waitForFunction(() => document.querySelectorAll('.messages > li').length === 3);
  for (let i = 0; i < 300; i += 1) mock.tell('message', usualMessage(3_000 + i));
  await page.getByText('The newest 200 are kept here').waitFor();
  await page.waitForFunction(() => document.querySelectorAll('.messages > li').length === 200);
  mock.tell('ended', { error: 'the topic was deleted' });
  await page.getByText('Ended: the topic was deleted').waitFor();
  await page.getByRole('button', { name: 'Stop following' }).click();
  await page.getByText('stopped: limit').waitFor();
  await page.getByRole('link', { name: 'Overview' }).click();
  await page.getByRole('heading', { name: 'Overview' }).waitFor();
  assert.equal(mock.tails.size, 0, 'no stream is left open');
  await sound(opened);
  await opened.close();
});
