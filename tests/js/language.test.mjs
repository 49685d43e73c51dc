// Whatever the pages say in English, they can say in Chinese.

import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { zh } from '../../web/app/chinese.js';
import { t } from '../../web/app/language.js';

const web = new URL('../../web/', import.meta.url);

async function sources(...folders) {
  const names = (await Promise.all(folders.map(async (folder) =>
    (await readdir(new URL(folder, web))).filter((name) => name.endsWith('.js')).map((name) => folder + name)))).flat();
  return Promise.all([...names, 'app.js', 'stage.js'].map(async (name) => [name, await readFile(new URL(name, web), 'utf8')]));
}

const entities = (text) => text.replace(/&amp;/g, '&').replace(/&lt;/g, '<');

/* The texts of [data-t] elements and what attributes say. */
async function saidInPages() {
  const said = new Set();
  for (const page of ['index.html', 'chat.html']) {
    const html = await readFile(new URL(page, web), 'utf8');
    for (const [, text] of html.matchAll(/<\w+(?=[^<>]*\sdata-t[\s>])[^<>]*>([^<]*)</g)) said.add(entities(text.trim()));
    for (const [, text] of html.matchAll(/\b(?:aria-label|title|placeholder)="([^"]*)"/g)) said.add(entities(text));
  }
  return said;
}

async function saidInScripts() {
  const said = new Set();
  const quoted = /'((?:[^'\\]|\\.)*)'/g;
  for (const [, source] of await sources('app/', 'stage/'))
    for (const [, first] of source.matchAll(/\bt\(([^)]*)/g))
      for (const [, text] of first.split('{ ')[0].matchAll(quoted)) said.add(text);
  return said;
}

/* Names and examples, not sentences; and words that a condition compares with. */
const PLAIN = /^(alice|bob|bob, carol|news|letters, digits.*|ws|sse|blocked|buffered|channel)$/;

test('every sentence of the pages has its Chinese', async () => {
  const said = [...await saidInPages()].filter((text) => !PLAIN.test(text));
  assert.ok(said.length > 60, 'the pages are read');
  assert.deepEqual(said.filter((text) => !(text in zh)), []);
});

test('every sentence of the scripts has its Chinese', async () => {
  const said = [...await saidInScripts()].filter((text) => !PLAIN.test(text));
  assert.ok(said.length > 60, 'the scripts are read');
  assert.deepEqual(said.filter((text) => !(text in zh)), []);
});

test('a translation fills in the same names', () => {
  const names = (text) => [...text.matchAll(/\{(\w+)\}/g)].map(([, name]) => name).sort();
  for (const [english, chinese] of Object.entries(zh)) assert.deepEqual(names(chinese), names(english), english);
});

test('English says itself, with what is filled in', () => {
  assert.equal(t('{user} walks', { user: 'alice' }), 'alice walks');
  assert.equal(t('{user} {what}', { user: '{what}', what: 'x' }), '{what} x');
});
