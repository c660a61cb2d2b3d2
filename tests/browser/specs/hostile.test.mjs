// Whatever names, messages and errors hold, they are text.

import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';

import { NARROW, open, quit, shoot, sound } from '../support/browser.mjs';
import { ENDLESS, HOSTILE, TURNED } from '../support/fixtures.mjs';
import { Mock } from '../support/mock.mjs';

let mock;
before(async () => { mock = await new Mock('hostile').start(); });
after(async () => { await quit(); await mock.stop(); });

const named = (where, name) => `${where}/${encodeURIComponent(name)}`;

for (const [form, size] of [['wide', undefined], ['narrow', NARROW]]) {
  test(`names and errors are text on every page, ${form}`, async () => {
    const opened = await open(mock.url, { size });
    const pages = ['overview', 'topics', 'groups', 'dead-letters', 'clients', 'events', ...[HOSTILE, ENDLESS, TURNED].flatMap((name) => [named('topics', name), named('groups', name), named('messages', name)]),
      named('dead-letters', HOSTILE), 'nowhere/%3Cscript%3E', 'topics/%E0%A4%A'];
    for (const hash of pages) {
      await opened.visit(hash);
      assert.equal(await opened.page.locator('main script, main img:not([role])').count(), 0, hash);
      await sound(opened, { except: /404/ });
    }
    await opened.visit('groups');
    await opened.page.getByText(HOSTILE).first().waitFor();
    await shoot(opened.page, `groups-hostile-${form}`);
    await opened.close();
  });

  test(`a message is text in every view, ${form}`, async () => {
    const opened = await open(mock.url, { size });
    const { page } = opened;
    await opened.visit(named('messages', HOSTILE));
    const rows = page.locator('.messages > li');
    assert.equal(await rows.count(), 4);
    for (let i = 0; i < 4; i += 1) {
      const row = rows.nth(i);
      await row.locator('summary').click();
      await row.locator('pre').waitFor();
      for (const view of ['text', 'JSON', 'hex']) {
        const button = row.getByRole('button', { name: view });
        if (await button.isDisabled()) continue;
        await button.click();
        await row.getByRole('button', { name: view, pressed: true }).waitFor();
        assert.equal(await row.locator('script, img').count(), 0, view);
        await sound(opened);
      }
    }
    await shoot(page, `messages-hostile-${form}`);
    await opened.visit(named('dead-letters', HOSTILE));
    await page.locator('.messages summary').first().click();
    await page.locator('.opened').getByText(HOSTILE).first().waitFor();
    await sound(opened);
    await opened.close();
  });
}

test('the control: what is read as HTML does run, and is seen', async () => {
  const opened = await open(mock.url);
  await opened.visit('overview');
  await opened.page.evaluate(() => { document.querySelector('main').innerHTML = '<img src="x" onerror="window.hostile = true">'; });
  await assert.rejects(sound(opened), /quiet/, 'the policy refuses it, which the console tells');
  await opened.close();
});
