// The same page at a real server: real traffic, a broker that is killed, a cluster that goes and comes back. The cluster is
// an embedded one, or three nodes of Apache Kafka if this runs beside those.
// KURIER: the binary. KURIER_DASHBOARD_URL: a dashboard that runs already, to be walked through only.

import { after, before, describe, test } from 'node:test';
import assert from 'node:assert/strict';

import { FORMS, open, quit, seenByAll, shoot, sound } from '../support/browser.mjs';
import { REAL } from '../support/clusters.mjs';
import { HOSTILE } from '../support/fixtures.mjs';
import { KURIER } from '../support/processes.mjs';
import { Scene, TOKEN, answer, pagesOf, until } from '../support/real.mjs';

/** Once wide and once narrow, where every form would be too much. */
const TWO_FORMS = FORMS.filter(({ name }) => name === 'wide-light' || name === 'narrow-dark');
/** What can be seen of real traffic in more forms is seen at the embedded cluster. */
const USUAL_FORMS = REAL ? TWO_FORMS : FORMS;

/** How long a page may take until it is drawn with what was answered. */
const DRAWN_WITHIN = 1_000;

async function walk(url, picture, options = {}) {
  const opened = await open(url);
  for (const { name, hash } of await pagesOf(url)) {
    await opened.visit(hash);
    await seenByAll(opened, hash, { picture: `${picture}-${name}`, ...options });
  }
  await opened.close();
}

test('a dashboard that runs already', { skip: !process.env.KURIER_DASHBOARD_URL && 'KURIER_DASHBOARD_URL is not set' }, async () => {
  await walk(process.env.KURIER_DASHBOARD_URL, 'given');
});

describe('a real server', { skip: !KURIER && 'KURIER is not set: the path of the binary' }, () => {
  const scene = new Scene();
  let url;

  before(async () => {
    await scene.start();
    url = await scene.dashboard();
    await until('traffic is seen', async () => {
      const { body } = await answer(url, 'overview');
      const [letters, group] = await Promise.all([answer(url, 'dead-letters'), answer(url, 'groups')]);
      return (body.status.state === 'healthy' && body.traffic.data?.messages_per_second > 50
        && letters.body.data?.[0]?.messages >= 2 && group.body.data?.rows[0]?.members === 1) || body;
    }, 60_000);
  });
  after(async () => {
    await quit();
    await scene.stop();
  });

  const status = (opened) => opened.page.getByRole('region', { name: 'Cluster status' });

  /** How long it takes from the click to the drawing. */
  const drawnIn = (opened, hash) => opened.page.evaluate((target) => new Promise((resolve) => {
    const begun = performance.now();
    location.hash = `#/${target}`;
    const look = () => {
      const main = document.querySelector('main').textContent;
      const there = document.querySelector('main h1') && !/Asking …|Looking …/.test(main) && location.hash === `#/${target}`;
      if (there || performance.now() - begun > 10_000) resolve(performance.now() - begun);
      else setTimeout(look, 20);
    };
    setTimeout(look, 20);
  }), hash);

  /** Every page in time. A browser on a busy machine may be late once; the server may not, nor a page twice. */
  async function eachInTime(opened) {
    const slow = [];
    for (const { hash, asksKafka } of await pagesOf(url)) {
      // A look into a topic is at Kafka itself, and may take as long as a leader is away.
      if (asksKafka) continue;
      const { took } = await answer(url, hash);
      if (took > DRAWN_WITHIN) slow.push(`${hash}: answered in ${Math.round(took)} ms`);
      if (await drawnIn(opened, hash) < DRAWN_WITHIN) continue;
      await drawnIn(opened, 'nowhere');
      const again = await drawnIn(opened, hash);
      if (again > DRAWN_WITHIN) slow.push(`${hash}: drawn in ${Math.round(again)} ms`);
    }
    assert.deepEqual(slow, [], `within ${DRAWN_WITHIN} ms`);
  }

  test('each page shows real traffic, in each form', async () => {
    await walk(url, 'real', { forms: USUAL_FORMS });
    const opened = await open(url);
    const { page } = opened;
    const has = async (hash, ...words) => {
      await opened.visit(hash);
      for (const word of words) await page.locator('main').getByText(word).first().waitFor();
    };
    await has('overview', '3 of 3', /\d+ \/s/);
    await has('brokers', 'Broker 3', 'Controller');
    await has('topics', 'orders.dlq', 'In sync');
    await has('topics/orders', 'Broker 1', 'single_message_group_1');
    await has('groups', 'single_message_group_1', /^(Keeps up|Falls behind|Not known)$/);
    await has('groups/single_message_group_1', 'orders-5', 'cooperative-sticky');
    await has('messages/orders', /50 messages · scanned/);
    await has('dead-letters/orders.dlq', 'unreadable', /2 letters/);
    await has('events', 'Listing');
    await eachInTime(opened);
    await sound(opened);
    await opened.close();
  });

  test('its own clients are shown', async () => {
    await until('both are asked', async () => {
      const { body: { clients } } = await answer(url, 'overview');
      return (clients.data?.there === 2 && clients.data.handled > 0) || clients;
    }, 20_000);
    const opened = await open(url);
    await opened.visit('clients');
    for (const words of ['Producer', 'Consumer', 'Ready', 'In flight', 'End to end']) await opened.page.locator('main').getByText(words).first().waitFor();
    await seenByAll(opened, 'clients', { picture: 'real-clients', forms: USUAL_FORMS });
    await opened.close();
  });

  test('a message that means ill is text in each view', async () => {
    const opened = await open(url);
    const { page } = opened;
    await opened.visit('messages/hostile');
    await page.locator('summary').first().click();
    await page.locator('pre').getByText(HOSTILE).waitFor();
    await page.getByRole('button', { name: 'hex' }).click();
    await page.locator('pre').getByText('3c 73 63 72 69 70 74 3e').waitFor();
    await sound(opened);
    await opened.close();
  });

  test('messages are followed as they come', async () => {
    const opened = await open(url);
    const { page } = opened;
    await opened.visit('messages/orders');
    await page.getByRole('button', { name: 'Follow', exact: true }).click();
    await page.locator('.messages > li').nth(20).waitFor();
    await page.getByRole('button', { name: 'Pause' }).click();
    await page.getByText('held back').waitFor();
    await sound(opened);
    await opened.close();
  });

  test('letters are replayed with the token, and not with another', async () => {
    const opened = await open(url);
    const { page } = opened;
    await opened.visit('dead-letters/orders.dlq');
    await page.getByRole('button', { name: 'Replay …', exact: true }).first().click();
    const dialog = page.getByRole('dialog');
    await dialog.getByRole('button', { name: 'Show what would happen' }).click();
    await dialog.getByText('2 letters would be sent again').waitFor();
    await dialog.getByLabel('Token').fill('another one of sixteen');
    await dialog.getByRole('button', { name: 'Replay 2 letters' }).click();
    await dialog.getByText('that is not the token').waitFor();
    await dialog.getByLabel('Token').fill(TOKEN);
    await dialog.getByRole('button', { name: 'Replay 2 letters' }).click();
    await dialog.getByText('2 letters sent again').waitFor();
    await shoot(page, 'real-replayed');
    await sound(opened, { except: /401/ });
    await opened.close();
  });

  test('one broker is killed: every page answers within a second and shows it within 15', async () => {
    const opened = await open(url);
    await opened.visit('overview');
    await scene.cluster.kill(2);
    const took = await until('the page shows the dead broker', async () => {
      const words = await status(opened).innerText();
      return /Degraded/.test(words) && /broker 2/i.test(words) ? true : words;
    }, 15_000);
    console.log(`the dead broker is shown after ${took} s`);
    await eachInTime(opened);
    await opened.visit('brokers');
    await opened.page.getByRole('row', { name: /Broker 2 Down/ }).waitFor();
    await walk(url, 'real-one-dead', { forms: TWO_FORMS });
    await scene.cluster.revive(2);
    await status(opened).getByText('Healthy').waitFor({ timeout: 40_000 });
    await sound(opened);
    await opened.close();
  });

  test('the first bootstrap address is dead', async () => {
    const other = await scene.dashboard(`127.0.0.1:1,${scene.bootstrap}`);
    const opened = await open(other);
    await opened.visit('overview');
    await status(opened).getByText('Healthy').waitFor({ timeout: 20_000 });
    await opened.visit('topics');
    await opened.page.getByRole('link', { name: 'orders', exact: true }).waitFor();
    await sound(opened);
    await opened.close();
  });

  test('the cluster is wholly away, and comes back', async () => {
    const opened = await open(url);
    await opened.visit('overview');
    await scene.cluster.goAway();
    const took = await until('the page says that it is down', async () => {
      const words = await status(opened).innerText();
      return /^Down/.test(words) ? true : words;
    }, 30_000);
    console.log(`that the cluster is away is shown after ${took} s`);
    await eachInTime(opened);
    // A look into a topic is refused meanwhile, and the console tells of it.
    await walk(url, 'real-away', { forms: TWO_FORMS, except: /50[234]/ });
    await scene.cluster.comeBack();
    await status(opened).getByText('Healthy').waitFor({ timeout: 60_000 });
    await opened.visit('brokers');
    await opened.page.getByRole('row', { name: /Broker 1 Up/ }).waitFor();
    await sound(opened, { except: /50[234]/ });
    await opened.close();
  });
});
