// What the browser stories start from: a server of their own, a Chromium, pages
// that are logged in. Everything ends with the test that asked for it.

import { existsSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { RUNG_BIN, Server } from '../lib/server.mjs';

const CHROMIUM = process.env.RUNG_CHROMIUM ?? '/usr/bin/chromium';
export const PATIENCE_MS = 30_000;

/** Why the browser tests cannot run here, or false. */
export function missing() {
  if (!existsSync(RUNG_BIN)) return `${RUNG_BIN} is not built`;
  if (!existsSync(CHROMIUM)) return `${CHROMIUM} is not installed`;
  try {
    createRequire(import.meta.url).resolve('playwright-core');
  } catch {
    return 'playwright-core is not installed';
  }
  return false;
}

/** A server with an empty log. */
export async function givenServer(after) {
  const server = await Server.start();
  after(() => server.finish());
  return server;
}

/** Whatever the killed server knew is gone; the next start makes another log. */
export async function wipe(server) {
  await rm(server.dir, { recursive: true });
  await mkdir(server.dir);
}

export async function givenBrowser(after) {
  const { chromium } = await import('playwright-core');
  const browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
  after(() => browser.close());
  return browser;
}

/** A page in a browser context of its own; what goes wrong in it is in `complaints`. */
export async function givenPage(browser, url, context = {}) {
  const page = await (await browser.newContext({ locale: 'en-US', ...context })).newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  page.complaints = [];
  page.on('pageerror', (error) => page.complaints.push(String(error)));
  page.on('console', (message) => {
    if (/Content Security Policy|listener of/.test(message.text())) page.complaints.push(message.text());
  });
  await page.goto(url);
  return page;
}

/** A chat in which `user` has logged in. */
export async function givenUser(browser, server, user, context = {}) {
  const page = await givenPage(browser, `${server.url}/chat.html`, context);
  await page.fill('#login-name', user);
  await page.click('#login-button');
  await online(page);
  return page;
}

export function online(page, transport = '') {
  const live = transport ? `[data-transport="${transport}"]` : '';
  return page.waitForSelector(`#status[data-state="online"][data-switching="false"]${live}`);
}

export async function openPerson(page, name) {
  await page.click('#new-chat');
  await page.fill('#new-person', name);
  await page.click('#new-create');
  await page.waitForSelector('#composer:not([hidden])');
}

export async function openListed(page, id) {
  await page.click(`[data-conversation="${id}"]`);
  await page.waitForSelector(`#chat[data-conversation="${id}"]`);
}

export async function say(page, text) {
  await page.fill('#composer-text', text);
  await page.press('#composer-text', 'Enter');
}

export function sees(page, text) {
  return page.waitForSelector(`.message[data-seq] .text:text-is(${JSON.stringify(text)})`);
}

/** The stage, with both people on a rung. */
export async function givenStage(browser, server, context = {}, query = '') {
  const page = await givenPage(browser, `${server.url}/${query}`, { viewport: { width: 1440, height: 960 }, ...context });
  await standsOn(page, 'a', 'ws');
  await standsOn(page, 'b', 'ws');
  return page;
}

/** Until the one on this side stands on `rung` (or on another, with a "!" before it). */
export function standsOn(page, side, rung) {
  return page.waitForSelector(rung.startsWith('!')
    ? `.climber.${side}:not([data-live="${rung.slice(1)}"]):not([data-live=""])`
    : `.climber.${side}[data-live="${rung}"]`, { state: 'attached' });
}

/** The chat of one of the two. */
export function paneOf(page, side) {
  return page.frameLocator(`#pane-${side} iframe`);
}

/** The open conversation as [seq, from, text], in the order on screen. */
export function transcript(page) {
  return page.$$eval('#timeline .message', (rows) => rows.map((row) =>
    [Number(row.dataset.seq), row.dataset.from, row.querySelector('.text').textContent]));
}
