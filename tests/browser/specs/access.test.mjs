// For whoever does not see it, does not point, or has little room.

import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';

import { faults, open, quit, seenByAll, sound } from '../support/browser.mjs';
import { Mock } from '../support/mock.mjs';

const PAGES = ['overview', 'brokers', 'topics', 'topics/orders', 'groups', 'groups/mail', 'messages', 'messages/orders?limit=5', 'dead-letters', 'dead-letters/orders.dlq', 'clients', 'events', 'nowhere'];

let mock;
before(async () => { mock = await new Mock().start(); });
after(async () => { await quit(); await mock.stop(); });

for (const [scene, pages] of [['degraded', PAGES], ['down', ['overview', 'brokers', 'topics']]]) {
  test(`axe finds nothing on any page, light and dark, wide and narrow: ${scene}`, async () => {
    mock.show(scene);
    const opened = await open(mock.url);
    for (const hash of pages) {
      await opened.visit(hash);
      if (hash.startsWith('messages/')) {
        await opened.page.locator('summary').nth(1).click();
        await opened.page.locator('pre').waitFor();
      }
      await seenByAll(opened, hash);
    }
    await opened.close();
  });
}

test('axe finds nothing in a dialog, nor in the banner', async () => {
  mock.show('busy');
  for (const theme of ['light', 'dark']) {
    const opened = await open(mock.url, { theme });
    const { page } = opened;
    await opened.visit('dead-letters/orders.dlq');
    await page.getByRole('button', { name: 'Replay …', exact: true }).first().click();
    assert.deepEqual(await faults(page), [], 'asked');
    await page.getByRole('button', { name: 'Show what would happen' }).click();
    await page.getByLabel('Token').waitFor();
    assert.deepEqual(await faults(page), [], 'plan');
    await page.keyboard.press('Escape');
    await mock.stop();
    await page.getByText('The dashboard does not answer').first().waitFor();
    assert.deepEqual(await faults(page), [], 'banner');
    await mock.start();
    await opened.close();
  }
});

test('the control: a fault is found', async () => {
  const opened = await open(mock.url);
  await opened.visit('overview');
  await opened.page.evaluate(() => document.body.append(document.createElement('button')));
  assert.match((await faults(opened.page)).join(), /button-name/);
  await opened.close();
});

test('everything is reached and done with the keyboard', async () => {
  mock.show('busy');
  const opened = await open(mock.url);
  const { page } = opened;
  const focused = () => page.evaluate(() => (document.activeElement === document.body ? '' : document.activeElement.innerText || document.activeElement.id));
  const tabTo = async (words) => {
    for (let i = 0; i < 60; i += 1) {
      await page.keyboard.press('Tab');
      if ((await focused()).includes(words)) return;
    }
    assert.fail(`${words} is not reached with Tab`);
  };
  await opened.visit('overview');
  await page.keyboard.press('Tab');
  assert.equal(await focused(), 'Skip to the content');
  const ring = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
  assert.equal(ring, 'solid', 'focus is seen');
  await page.keyboard.press('Enter');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'main');
  assert.match(page.url(), /#\/overview/, 'and the page stays');
  await page.evaluate(() => document.activeElement.blur());
  await tabTo('Topics');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Topics', exact: true }).waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.id), 'main', 'focus is where the new page begins');
  assert.equal(await page.title(), 'Topics · kurier');
  await tabTo('Written');
  await page.keyboard.press('Enter');
  await page.getByRole('columnheader', { name: 'Written' }).and(page.locator('[aria-sort=descending]')).waitFor();
  await tabTo('orders');
  await page.keyboard.press('Enter');
  await tabTo('Browse messages');
  await page.keyboard.press('Enter');
  await page.locator('summary').first().waitFor();
  await tabTo('plain text');
  await page.keyboard.press('Enter');
  await page.locator('pre').waitFor();
  await tabTo('hex');
  await page.keyboard.press('Space');
  await page.getByText('0000  70 6c').waitFor();
  await sound(opened);
  await opened.close();
});

test('there are landmarks, one heading of the first level, and the page that is shown is marked', async () => {
  mock.show('busy');
  const opened = await open(mock.url);
  const { page } = opened;
  for (const hash of PAGES) {
    await opened.visit(hash);
    assert.equal(await page.getByRole('heading', { level: 1 }).count(), 1, hash);
    assert.equal(await page.getByRole('main').count(), 1);
    assert.equal(await page.getByRole('navigation', { name: 'Pages' }).count(), 1);
    if (hash !== 'nowhere') assert.equal(await page.locator('[aria-current=page]').count(), 1, hash);
  }
  await opened.close();
});
