"""The stock Python client, python3-socketio as Debian has it: unchanged, but for
in_order().

usage: client.py URL BURST TRANSPORT...

BURST messages are sent at once: this client takes at most 16 packets in one
answer to a poll, and the original sends more. Ends with status 0 when everything
was as it should be.
"""
import os
import queue
import sys
import threading
import traceback

import socketio

URL, BURST, TRANSPORTS = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
PATIENCE = 20


class Heard:
    """What comes as one event, and waiting for it."""

    def __init__(self, client, event, namespace=None):
        self.all = []
        self.changed = threading.Condition()
        client.on(event, self.take, namespace=namespace)

    def take(self, *args):
        with self.changed:
            self.all.append(args)
            self.changed.notify_all()

    def until(self, count):
        with self.changed:
            if not self.changed.wait_for(lambda: len(self.all) >= count,
                                         PATIENCE):
                raise AssertionError(f'{count} come; so far {self.all[-5:]}')
        return self.all


def in_order(client):
    """It hands each packet to a thread of its own (engineio.Client,
    _trigger_event with run_async), so that on a busy machine they overtake each
    other, an attachment even its event. Here they share one thread."""
    packets = queue.Queue()
    trigger = client.eio._trigger_event

    def put(event, *args, run_async=False):
        if not run_async:
            return trigger(event, *args)
        packets.put((event, args))
        return None

    def take():
        while True:
            event, args = packets.get()
            trigger(event, *args)

    client.eio._trigger_event = put
    threading.Thread(target=take, daemon=True).start()
    return client


def connected(**options):
    """A client in its namespaces, with what it hears."""
    client = in_order(socketio.Client(reconnection=False))
    client.heard = {event: Heard(client, event)
                    for event in ('message-back', 'asked', 'hi')}
    client.on('ask', lambda *args: (args[0] + '?', b'\x03'))
    client.custom = Heard(client, 'message-back', '/custom')
    client.connect(URL, transports=TRANSPORTS, wait_timeout=PATIENCE,
                   **options)
    return client


def speaks(client):
    back = client.heard['message-back']
    client.emit('message', ('€ \U0001f600', 1.5, [None, {'a': True}]))
    assert back.until(1)[0] == ('€ \U0001f600', 1.5, [None, {'a': True}])
    client.emit('message', (b'\x00\x01\xff', {'b': [b'\x07']}))
    assert back.until(2)[1] == (b'\x00\x01\xff', {'b': [b'\x07']})
    assert tuple(client.call('message-with-ack', ('a', b'\x02'),
                             timeout=PATIENCE)) == ('a', b'\x02')
    client.emit('server-ask', 'well')
    assert client.heard['asked'].until(1)[0] == ('well?', b'\x03')


def waits_no_longer(client):
    try:
        client.call('no-ack', timeout=0.2)
    except socketio.exceptions.TimeoutError:
        return
    raise AssertionError('an ack came')


def has_rooms(one, other):
    for client in (one, other):
        client.call('join', 'python', timeout=PATIENCE)
    one.emit('to-room', ('python', 'hi', 1))
    one.emit('in-room', ('python', 'hi', 2))
    assert other.heard['hi'].until(2) == [(1,), (2,)]
    assert one.heard['hi'].until(1) == [(2,)]


def has_a_burst(client):
    back = client.heard['message-back']
    before = len(back.all)
    for i in range(BURST):
        client.emit('message', i)
    assert back.until(before + BURST)[before:] == [(i,) for i in range(BURST)]


def is_refused():
    client = in_order(socketio.Client(reconnection=False))
    why = Heard(client, 'connect_error', '/admin')
    client.connect(URL, transports=TRANSPORTS, namespaces=['/admin'],
                   auth={'token': 'bad'}, wait=False)
    assert why.until(1) == [({
        'message': 'not authorized',
        'data': {'code': 401, 'content': 'retry later'}},)], why.all
    client.disconnect()


def main():
    one = connected(namespaces=['/', '/custom'], auth={'token': 'abc'})
    other = connected()
    speaks(one)
    waits_no_longer(one)
    has_rooms(one, other)
    one.emit('message', 'there', namespace='/custom')
    assert one.custom.until(1) == [('there',)]
    has_a_burst(one)
    is_refused()
    one.disconnect()
    other.disconnect()


try:
    main()
except Exception:
    traceback.print_exc()
    os._exit(1)  # its threads may wait for ever
os._exit(0)  # or until the next ping, which is no matter of ours
