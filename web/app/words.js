// How things are said: names, times, entries of the log that are not messages.

export function timeOf(ts) {
  return new Date(ts).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
}

export function dayKey(ts) {
  const day = new Date(ts);
  return `${day.getFullYear()}-${day.getMonth() + 1}-${day.getDate()}`;
}

export function dayOf(ts, now = Date.now()) {
  if (dayKey(ts) === dayKey(now)) return 'Today';
  if (dayKey(ts) === dayKey(now - 86_400_000)) return 'Yesterday';
  const sameYear = new Date(ts).getFullYear() === new Date(now).getFullYear();
  return new Date(ts).toLocaleDateString([], { weekday: 'long', day: 'numeric', month: 'long', year: sameYear ? undefined : 'numeric' });
}

/** For the list: the time today, else the day. */
export function whenOf(ts, now = Date.now()) {
  if (!ts) return '';
  if (dayKey(ts) === dayKey(now)) return timeOf(ts);
  return new Date(ts).toLocaleDateString([], { day: 'numeric', month: 'short' });
}

export function joinNames(names, me) {
  const said = names.map((name) => (name === me ? 'you' : name));
  if (said.length < 2) return said.join('');
  return `${said.slice(0, -1).join(', ')} and ${said.at(-1)}`;
}

export function textOf(message) {
  if (typeof message.body?.text === 'string') return message.body.text;
  return `[${message.type ?? 'message'}]`;
}

/** A `conversation` entry as a sentence. */
export function changeOf({ change, users = [], by }, me) {
  const others = users.filter((user) => user !== by); // who creates is in it, which goes without saying
  const who = joinNames(change === 'created' ? others : users, me);
  const actor = by === me ? 'You' : by ?? 'Somebody';
  const whoStarts = who.charAt(0).toUpperCase() + who.slice(1);
  switch (change) {
    case 'created':
      return `${actor} created the conversation${who && ` with ${who}`}`;
    case 'invited':
      return `${actor} added ${who}`;
    case 'joined':
      return `${users.length > 0 ? (users[0] === me ? 'You' : users.join(', ')) : actor} joined`;
    case 'left':
      return `${users.length > 0 ? whoStarts : actor} left`;
    default:
      return `${actor} changed the conversation (${change})`;
  }
}

export function previewOf(entry, conversation, me) {
  if (!entry) return '';
  if (entry.event === 'conversation') return changeOf(entry, me);
  if (entry.from === me) return `You: ${textOf(entry)}`;
  return conversation.type === 'p2p' ? textOf(entry) : `${entry.from}: ${textOf(entry)}`;
}
