"""A peer that vanishes: it sends a request, and at a word its kernel drops
whatever comes for it, acknowledgements and all, as when a cable is cut. A
socket filter that accepts nothing does that, and needs no privileges.

    python3 black_hole.py PORT

reads lines: the request, as hexadecimal digits; then any line: vanish, and say
"dark"; and ends with its input.
"""
import ctypes
import socket
import struct
import sys

SO_ATTACH_FILTER = 26  # socket(7); the program is linux/filter.h's
KEEP_NOTHING = struct.pack("HBBI", 0x06, 0, 0, 0)


def go_dark(peer):
    code = ctypes.create_string_buffer(KEEP_NOTHING)
    program = struct.pack("HP", 1, ctypes.addressof(code))
    peer.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)


def main():
    peer = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    peer.sendall(bytes.fromhex(sys.stdin.readline()))
    sys.stdin.readline()
    go_dark(peer)
    print("dark", flush=True)
    sys.stdin.readline()


main()
