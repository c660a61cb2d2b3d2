// A headless Chromium, and pages in it that hold the dashboard to what must always be true.

import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

import { chromium } from 'playwright-core';

import { REAL } from './clusters.mjs';

const REPOSITORY = new URL('../../../', import.meta.url);
/** Where screenshots are kept; those at nodes of Apache Kafka apart from the others, which have the same names. */
const ARTEFACTS = process.env.KURIER_BROWSER_ARTEFACTS
  ?? fileURLToPath(new URL(REAL ? 'target/browser/apache-kafka' : 'target/browser', REPOSITORY));
mkdirSync(ARTEFACTS, { recursive: true });
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

export const WIDE = { width: 1280, height: 800 };
export const NARROW = { width: 390, height: 844 };

/** How a page may be looked at. */
export const FORMS = [
  { name: 'wide-light', size: WIDE, theme: 'light' }, { name: 'wide-dark', size: WIDE, theme: 'dark' },
  { name: 'narrow-dark', size: NARROW, theme: 'dark' }, { name: 'narrow-light', size: NARROW, theme: 'light' },
];

let browser = null;

export async function open(url, { theme = 'light', size = WIDE } = {}) {
  browser ??= await chromium.launch({ executablePath: process.env.KURIER_CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] });
  const context = await browser.newContext({ viewport: size, colorScheme: theme, reducedMotion: 'reduce', timezoneId: 'UTC' });
  const page = await context.newPage();
  const complaints = [];
  page.on('console', (message) => { if (['error', 'warning'].includes(message.type())) complaints.push(message.text()); });
  page.on('pageerror', (error) => complaints.push(String(error)));
  const visit = async (hash) => {
    await page.goto(`${url}#/${hash}`);
    await page.waitForFunction(() => document.querySelector('main h1') && !/Asking …|Looking …/.test(document.querySelector('main').textContent));
  };
  const take = async (form) => {
    await page.setViewportSize(form.size);
    await page.emulateMedia({ colorScheme: form.theme });
  };
  return { page, visit, take, complaints, close: () => context.close() };
}

export const quit = async () => {
  await browser?.close();
  browser = null;
};

/** Nothing was complained about, nothing of a message ran, the page itself does not scroll sideways, and no figure lies over the next. */
export async function sound({ page, complaints }, { except = /$^/ } = {}) {
  assert.deepEqual(complaints.filter((complaint) => !except.test(complaint)), [], 'the console is quiet');
  assert.equal(await page.evaluate(() => window.hostile), undefined, 'no content runs');
  const [has, needs] = await page.evaluate(() => [document.documentElement.clientWidth, document.documentElement.scrollWidth]);
  assert.ok(needs <= has, `the page is ${needs} px wide, and has ${has}`);
  const broad = await page.evaluate(() => [...document.querySelectorAll('.figures > div')].filter((cell) => cell.scrollWidth > cell.clientWidth).map((cell) => cell.innerText));
  assert.deepEqual(broad, [], 'figures are no wider than their cells');
}

/** What axe-core has against the page; `rules`: only these. */
export async function faults(page, rules = null) {
  if (!await page.evaluate(() => window.axe)) await page.evaluate(AXE);
  const { violations } = await page.evaluate((runOnly) => window.axe.run({ resultTypes: ['violations'], preload: false, ...(runOnly && { runOnly }) }), rules);
  return violations.map(({ id, impact, nodes }) => `${id} (${impact}): ${nodes.slice(0, 3).map(({ html, failureSummary }) => `${html} ${failureSummary}`).join(' | ')}`);
}

/** The page as it is, in every form or some: nothing is wrong with it. `picture`: the name of its screenshots, if it has any. */
export async function seenByAll(opened, what, { picture = null, forms = FORMS, except } = {}) {
  for (const form of forms) {
    await opened.take(form);
    // What is dark differs from what is light in its colours alone.
    assert.deepEqual(await faults(opened.page, form.theme === 'dark' ? ['color-contrast'] : null), [], `${what}, ${form.name}`);
    if (picture) await shoot(opened.page, `${picture}-${form.name}`);
    await sound(opened, { except });
  }
}

export async function shoot(page, name) {
  await page.screenshot({ path: `${ARTEFACTS}/${name}.png`, fullPage: true });
}
