// Compiled, not run, by package.test.mjs: what an application writes, and, by
// "ts-expect-error", what the types must refuse.

import { RungClient, RungError } from 'rung';
import type { MessageEvent, Options, Rung, Status, StoredMessage } from 'rung';

const options: Options = { url: 'https://chat.example', getToken: async () => 'token', transport: 'auto', tabs: false };
const client = new RungClient(options);

const off: () => void = client.on('message', (message) => {
  const seq: number = message.seq;
  // @ts-expect-error a message has no such field
  message.sequence;
  return seq;
});
client.on('transport', ({ rung, state, why, live, tried }) => {
  const lines: string[] = tried.map((one) => `${one.rung} ${one.state} ${one.why}`);
  if (state === 'live' && live !== null) lines.push(rung, why);
});
client.on('ConversationChange', ({ conversation, reason }) => conversation + reason);
client.on('status', (status: Status) => status.retryAt);
client.on('something.new', (value) => value);

export async function talk(): Promise<StoredMessage> {
  client.start();
  await client.ready;
  const message = client.createMessage({ to: 'bob', body: { text: 'hi', tags: ['a', 1, null] } });
  const stored = await client.sendMessage(message);
  await client.markConversationRead(stored.conversation);
  for await (const entry of client.messagesBefore(stored.conversation))
    if (entry.event === 'message') entry.body;
    else entry.change;
  for await (const entry of client.messagesAfter(stored.conversation, 3)) entry.seq;
  await client.sendMessage(await client.createFileMessage({ to: 'bob', file: new Blob(['x']), name: 'x.txt' }));
  const best: Rung | undefined = client.rungs[0];
  client.blockRung('ws');
  client.blockRung(best?.name === 'sse' ? 'sse' : 'poll', false);
  await client.setTransport('longpoll');
  // @ts-expect-error not a rung
  await client.setTransport('pigeon');
  // @ts-expect-error a body is JSON
  client.createMessage({ to: 'bob', body: () => 1 });
  off();
  return stored;
}

export function retry(error: unknown, event: MessageEvent): boolean {
  return error instanceof RungError && error.retryable && event.seq > 0;
}
