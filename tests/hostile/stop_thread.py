"""Stops one thread of a process, as a disk that hangs would: ptrace(2) stops
single threads, signals only all of them.

    python3 stop_thread.py PID NAME     (NAME as in /proc/PID/task/TID/comm)

prints "stopped"; the thread goes on when the input ends. Exits with 77 where
ptrace is not allowed.
"""
import ctypes
import os
import sys

PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH = 0x4206, 0x4207, 17
WALL = 0x40000000  # __WALL: threads, too

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long] * 4


def thread_of(pid, name):
    for tid in os.listdir("/proc/%s/task" % pid):
        with open("/proc/%s/task/%s/comm" % (pid, tid)) as comm:
            if comm.read().strip() == name:
                return int(tid)
    sys.exit("no thread is named " + name)


def main():
    tid = thread_of(sys.argv[1], sys.argv[2])
    if libc.ptrace(PTRACE_SEIZE, tid, 0, 0):
        print("ptrace: " + os.strerror(ctypes.get_errno()), file=sys.stderr)
        sys.exit(77)
    libc.ptrace(PTRACE_INTERRUPT, tid, 0, 0)
    os.waitpid(tid, WALL)
    print("stopped", flush=True)
    sys.stdin.read()
    libc.ptrace(PTRACE_DETACH, tid, 0, 0)


main()
