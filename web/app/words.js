// How things are said: names, times, entries of the log that are not messages.

import { locale, t } from './language.js';

export function timeOf(ts) {
  return new Date(ts).toLocaleTimeString(locale, { hour: '2-digit', minute: '2-digit' });
}

export function dayKey(ts) {
  const day = new Date(ts);
  return `${day.getFullYear()}-${day.getMonth() + 1}-${day.getDate()}`;
}

export function dayOf(ts, now = Date.now()) {
  if (dayKey(ts) === dayKey(now)) return t('Today');
  if (dayKey(ts) === dayKey(now - 86_400_000)) return t('Yesterday');
  const sameYear = new Date(ts).getFullYear() === new Date(now).getFullYear();
  return new Date(ts).toLocaleDateString(locale, { weekday: 'long', day: 'numeric', month: 'long', year: sameYear ? undefined : 'numeric' });
}

/** For the list: the time today, else the day. */
export function whenOf(ts, now = Date.now()) {
  if (!ts) return '';
  if (dayKey(ts) === dayKey(now)) return timeOf(ts);
  return new Date(ts).toLocaleDateString(locale, { day: 'numeric', month: 'short' });
}

export function joinNames(names, me) {
  const said = names.map((name) => (name === me ? t('you') : name));
  if (said.length < 2) return said.join('');
  return t('{names} and {last}', { names: said.slice(0, -1).join(t(', ')), last: said.at(-1) });
}

export function textOf(message) {
  if (typeof message.body?.text === 'string') return message.body.text;
  return `[${message.type ?? 'message'}]`;
}

const starting = (words) => words.charAt(0).toUpperCase() + words.slice(1);

/** A `conversation` entry as a sentence. */
export function changeOf({ change, users = [], by }, me) {
  const others = users.filter((user) => user !== by); // who creates is in it, which goes without saying
  const who = joinNames(change === 'created' ? others : users, me);
  const actor = by === me ? t('You') : by ?? t('Somebody');
  const whoStarts = users.length > 0 ? starting(who) : actor;
  switch (change) {
    case 'created':
      return who ? t('{actor} created the conversation with {who}', { actor, who }) : t('{actor} created the conversation', { actor });
    case 'invited':
      return t('{actor} added {who}', { actor, who });
    case 'joined':
      return t('{who} joined', { who: users.length > 0 && users[0] !== me ? users.join(t(', ')) : whoStarts });
    case 'left':
      return t('{who} left', { who: whoStarts });
    default:
      return t('{actor} changed the conversation ({change})', { actor, change });
  }
}

export function previewOf(entry, conversation, me) {
  if (!entry) return '';
  if (entry.event === 'conversation') return changeOf(entry, me);
  if (entry.from === me) return t('You: {text}', { text: textOf(entry) });
  return conversation.type === 'p2p' ? textOf(entry) : `${entry.from}: ${textOf(entry)}`;
}
