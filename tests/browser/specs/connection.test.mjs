// The dashboard's process goes and comes back; what is newer is shown without being asked for.

import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';

import { open, quit, shoot, sound } from '../support/browser.mjs';
import { Mock } from '../support/mock.mjs';

let mock;
before(async () => { mock = await new Mock().start(); });
after(async () => { await quit(); await mock.stop(); });

test('a change is shown at once, and said to who listens', async () => {
  mock.show('busy');
  const opened = await open(mock.url);
  await opened.visit('brokers');
  await opened.page.getByText('Healthy', { exact: true }).waitFor();
  mock.show('degraded');
  await opened.page.getByText('Down for').waitFor({ timeout: 3_000 });
  await opened.page.locator('#announcer').getByText('The cluster is degraded: broker 2 has not been there').waitFor({ state: 'attached' });
  mock.show('busy');
  await opened.page.getByText('Healthy', { exact: true }).waitFor({ timeout: 3_000 });
  await sound(opened);
  await opened.close();
});

test('a server that is gone is told, what was shown stays usable, and it is found again', async () => {
  mock.show('degraded');
  const opened = await open(mock.url);
  const { page } = opened;
  await opened.visit('topics');
  await page.getByText('Live', { exact: true }).waitFor();
  await mock.stop();
  await page.getByText('The dashboard does not answer').first().waitFor({ timeout: 5_000 });
  await page.getByRole('link', { name: 'orders', exact: true }).waitFor();
  await shoot(page, 'no-answer');
  await page.getByRole('link', { name: 'Events' }).click();
  await page.getByRole('heading', { name: 'Events' }).waitFor();
  await page.getByRole('link', { name: 'Brokers' }).click();
  mock.show('busy');
  await mock.start();
  await page.getByRole('button', { name: 'Ask now' }).click();
  await page.getByText('Live', { exact: true }).waitFor();
  await page.getByText('Healthy', { exact: true }).waitFor();
  await page.getByRole('cell', { name: '127.0.0.1:9093' }).waitFor();
  assert.equal(await page.locator('#banner').isVisible(), false);
  await sound(opened, { except: /ERR_|Failed to load/ });
  await opened.close();
});

test('it is found again without anybody asking', async () => {
  const opened = await open(mock.url);
  await opened.visit('overview');
  await mock.stop();
  await opened.page.getByText('No answer', { exact: true }).waitFor();
  await mock.start();
  await opened.page.getByText('Live', { exact: true }).waitFor({ timeout: 12_000 });
  await opened.close();
});

test('a page that was opened before the server is there waits for it', async () => {
  const opened = await open(mock.url);
  await opened.visit('overview');
  await opened.page.route('**/api/**', (route) => route.abort());
  await opened.page.goto(`${mock.url}#/topics`);
  await opened.page.reload();
  await opened.page.getByText('The dashboard does not answer').first().waitFor();
  await opened.page.unroute('**/api/**');
  await opened.page.getByRole('link', { name: 'payments' }).waitFor({ timeout: 12_000 });
  await opened.close();
});
