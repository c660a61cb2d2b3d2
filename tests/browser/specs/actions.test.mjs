// What changes something: first only told, then done with the token, which is kept nowhere.

import { after, before, beforeEach, test } from 'node:test';
import assert from 'node:assert/strict';

import { open, quit, shoot, sound } from '../support/browser.mjs';
import { Mock, TOKEN } from '../support/mock.mjs';

let mock;
before(async () => { mock = await new Mock().start(); });
beforeEach(() => { mock.show('busy'); mock.asked = []; });
after(async () => { await quit(); await mock.stop(); });

const posted = () => mock.asked.filter(({ posted: body }) => body).map(({ posted: body }) => body);

test('letters are replayed in two steps, and a wrong token is asked for again', async () => {
  const opened = await open(mock.url);
  const { page } = opened;
  await opened.visit('dead-letters/orders.dlq');
  await page.getByRole('button', { name: 'Replay: total is negative' }).click();
  const dialog = page.getByRole('dialog', { name: 'Replay orders.dlq' });
  assert.equal(await dialog.getByLabel('Cause').inputValue(), 'rejected');
  await shoot(page, 'replay-asked');
  await dialog.getByRole('button', { name: 'Show what would happen' }).click();
  await dialog.getByText('1 letter would be sent again to orders').waitFor();
  await dialog.getByText('6 passed over').waitFor();
  assert.deepEqual(posted(), [{ cause: 'rejected', error: 'total is negative', to: null, max: null, dry_run: true }]);
  await shoot(page, 'replay-plan');
  await dialog.getByLabel('Token').fill('a wrong one, long enough');
  await dialog.getByRole('button', { name: 'Replay 1 letter' }).click();
  await dialog.getByText('that is not the token').waitFor();
  await dialog.getByLabel('Token').fill(TOKEN);
  await dialog.getByRole('button', { name: 'Replay 1 letter' }).click();
  await dialog.getByText('1 letter sent again').waitFor();
  assert.equal(posted().at(-1).dry_run, false);
  await dialog.getByRole('button', { name: 'Close' }).click();
  assert.equal(await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie])), '[{},{},""]');
  assert.ok(!(await page.content()).includes(TOKEN), 'nor is it left in the page');
  await sound(opened, { except: /401/ });
  await opened.close();
});

test('what is no number is not taken for all', async () => {
  const opened = await open(mock.url);
  const { page } = opened;
  await opened.visit('dead-letters/orders.dlq');
  await page.getByRole('button', { name: 'Replay: total is negative' }).click();
  const dialog = page.getByRole('dialog', { name: 'Replay orders.dlq' });
  for (const typed of ['5k', 'x5', '-1', '1.5']) {
    await dialog.getByLabel('At most').fill(typed);
    await dialog.getByRole('button', { name: 'Show what would happen' }).click();
    await dialog.getByText(`“${typed}” is no whole number`).waitFor();
  }
  assert.deepEqual(posted(), []);
  await dialog.getByLabel('At most').fill('5');
  await dialog.getByRole('button', { name: 'Show what would happen' }).click();
  await dialog.getByText('would be sent again').waitFor();
  assert.equal(posted()[0].max, 5);
  await sound(opened);
  await opened.close();
});

test('positions are reset in two steps', async () => {
  const opened = await open(mock.url);
  const { page } = opened;
  await opened.visit('groups/reports');
  await page.getByRole('button', { name: 'Reset positions' }).click();
  const dialog = page.getByRole('dialog', { name: 'Reset the positions of reports' });
  await dialog.getByRole('button', { name: 'Show what would happen' }).click();
  await dialog.getByText('4 positions would be set').waitFor();
  await dialog.getByText('132,467 again').first().waitFor();
  await shoot(page, 'reset-plan');
  await dialog.getByRole('button', { name: 'Back' }).click();
  await dialog.getByLabel('To', { exact: true }).fill('latest');
  await dialog.getByRole('button', { name: 'Show what would happen' }).click();
  await dialog.getByLabel('Token').fill(TOKEN);
  await dialog.getByRole('button', { name: 'Set 4 positions' }).click();
  await dialog.getByText('4 of 4 positions set').waitFor();
  assert.deepEqual(posted().map(({ to, dry_run: dry }) => [to, dry]), [['earliest', true], ['latest', true], ['latest', false]]);
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'hidden' });
  await sound(opened);
  await opened.close();
});

test('without a token on the server nothing that writes is offered', async () => {
  mock.scene.writable = false;
  mock.scene.overview = ((before) => () => ({ ...before(), writable: false }))(mock.scene.overview);
  const opened = await open(mock.url);
  await opened.visit('dead-letters/orders.dlq');
  await opened.page.getByText('Reading only').first().waitFor();
  assert.equal(await opened.page.getByRole('button', { name: /Replay/ }).count(), 0);
  await opened.visit('groups/reports');
  assert.equal(await opened.page.getByRole('button', { name: /Reset/ }).count(), 0);
  await opened.close();
});
