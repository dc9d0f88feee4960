# SPDX-License-Identifier: Apache-2.0
"""Somebody with a user and groups of his own, who does what a test asks him to do: a process that was forked, and whose rights were taken."""
import os
import pickle
import signal
import struct
import traceback


class Person:
    """done(function, *arguments): what the function returned there, or the errno of the OSError that it raised, as an Errno"""

    def __init__(self, uid, gid, groups=()):
        self.uid = uid
        ask, self._ask = os.pipe()
        self._answer, answer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.close(self._ask)
                os.close(self._answer)
                os.setgroups(list(groups))
                os.setresgid(gid, gid, gid)
                os.setresuid(uid, uid, uid)
                os.chdir("/")
                serve(ask, answer)
            finally:
                os._exit(0)
        os.close(ask)
        os.close(answer)

    def done(self, function, *arguments):
        put(self._ask, (function, arguments))
        good, result = take(self._answer)
        assert good, result
        return result

    def leave(self):
        os.close(self._ask)
        os.close(self._answer)
        # Whoever was forked later holds his pipe, too, so it does not end by being closed.
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def gathering(gid):
    """for a fixture to yield from: make(uid) is somebody, and all of them leave at its end"""
    made = []

    def make(uid, gid=gid, groups=()):
        made.append(Person(uid, gid, groups))
        return made[-1]

    yield make
    for person in made:
        person.leave()


class Errno(int):
    """what failed"""


def put(fd, value):
    data = pickle.dumps(value)
    data = struct.pack("<Q", len(data)) + data
    while data:
        data = data[os.write(fd, data):]


def take(fd):
    def exactly(size):
        data = b""
        while len(data) < size:
            piece = os.read(fd, size - len(data))
            if not piece:
                raise EOFError
            data += piece
        return data

    (size,) = struct.unpack("<Q", exactly(8))
    return pickle.loads(exactly(size))


def serve(ask, answer):
    while True:
        try:
            function, arguments = take(ask)
        except EOFError:
            return
        try:
            result = True, function(*arguments)
        except OSError as error:
            result = True, Errno(error.errno)
        except Exception:
            result = False, traceback.format_exc()
        put(answer, result)
