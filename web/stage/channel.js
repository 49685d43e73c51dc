// A channel that a scene plays on: made when there is none, its newest entries, then
// what comes.

const KEPT = 500;

async function describe(client, id) {
  const conversation = `0:3:${id}`;
  try {
    return await client.getConversation(conversation);
  } catch (error) {
    if (error.code !== 'not_found') throw error;
  }
  try {
    await client.createConversation({ type: 'channel', id, name: id, settings: { open: true, retention: { max_count: KEPT } } });
  } catch (error) {
    if (error.code !== 'conflict') throw error; // another visitor was faster
  }
  return client.getConversation(conversation);
}

/**
 * @param {import('./person.js').Person} person who listens
 * @param {string} id of the channel
 * @param {{newest: number, message: (message: any, live: boolean) => void, people: any[]}} how
 * @returns {Promise<() => void>} to stop listening
 */
export async function listen(person, id, { newest, message, people }) {
  const { conversation, last_seq: last } = await describe(person.client, id);
  if (newest > 0 && last > 0) {
    const page = await person.client.history({ conversation, before: last + 1, limit: newest });
    for (const entry of page.messages) if (entry.event === 'message') message(entry, false);
  }
  const follower = person.client.follow(conversation, last);
  person.watch(follower, people);
  follower.on('message', (entry) => message(entry, true));
  follower.start();
  return () => follower.close();
}
