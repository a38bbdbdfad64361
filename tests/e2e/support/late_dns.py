"""A name server whose every name is this machine, and which answers when the test says so: a validation that waits for us."""

import socket
import threading
import time


class LateDns:
    def __init__(self, case):
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._open = threading.Event()
        self._open.set()
        self._asked_at = None
        self._thread = threading.Thread(target=self._answer)
        self._thread.start()
        case.addCleanup(self._end)

    def hold(self):
        self._asked_at = None
        self._open.clear()

    @property
    def is_asked(self):
        return self._asked_at is not None

    def release(self):
        """Answers; returns for how many seconds somebody has waited."""
        self._open.set()
        return time.monotonic() - self._asked_at

    def _answer(self):
        while True:
            query, sender = self._socket.recvfrom(4096)
            if not query:
                return
            self._asked_at = self._asked_at or time.monotonic()
            self._open.wait()
            self._socket.sendto(_reply(query), sender)

    def _end(self):
        self._open.set()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", ("127.0.0.1", self.port))
        self._thread.join()
        self._socket.close()


def _reply(query):
    """127.0.0.1 to who asks for an A record, nothing to all others (RFC 1035 4.1)."""
    end_of_name = query.index(b"\0", 12) + 1
    question = query[12:end_of_name + 4]
    is_a = question[-4:] == b"\0\1\0\1"
    answer = b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4\x7f\0\0\1" if is_a else b""
    return query[:2] + b"\x81\x80\0\1" + (b"\0\1" if is_a else b"\0\0") + b"\0\0\0\0" + question + answer
