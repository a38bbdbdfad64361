#!/usr/bin/env python3
"""hostile_clients.py PORT EACH SECONDS: EACH clients of five kinds against 127.0.0.1:PORT, from addresses of their own.

They begin once somebody listens there, come again as soon as they have been shown out, and end after SECONDS. Ten times a
second a line of JSON says how they fare. One thread, so that what is measured beside it is the server.
"""

import json
import random
import secrets
import selectors
import socket
import sys
import time

COME_AGAIN_AFTER = 0.25
TOKEN = "/.well-known/acme-challenge/"


def request(token):
    return f"GET {TOKEN}{token} HTTP/1.1\r\nHost: mydyn.example\r\n\r\n".encode()


# What each kind sends, and how many seconds later the next thing; None: no more.
def silent():
    return b"", None


def a_byte_a_second():
    return b"G", 1.0


def endless_headers():
    return f"X-{secrets.token_hex(4)}: {'a' * 1000}\r\n".encode(), 0.1


def pipelining():
    return request("a") * 100, None


def unknown_tokens():
    return request(secrets.token_urlsafe(32)), None


KINDS = (silent, a_byte_a_second, endless_headers, pipelining, unknown_tokens)


class Client:
    def __init__(self, number, kind, port):
        self.kind = kind
        self.connects = self.answers = 0
        self.foreign_answers = []  # whatever was not "404"
        self._from = f"127.0.{1 + number // 250}.{1 + number % 250}"
        self._port = port
        self.socket = None
        self.is_connected = False
        self._send_at = None
        self._come_at = 0.0

    @property
    def wants(self):
        return selectors.EVENT_READ if self.is_connected else selectors.EVENT_WRITE

    def come(self, selector):
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.bind((self._from, 0))
        self.socket.connect_ex(("127.0.0.1", self._port))
        self.is_connected = False
        selector.register(self.socket, self.wants, self)

    def go(self, selector, now):
        selector.unregister(self.socket)
        self.socket.close()
        self.socket = None
        self.is_connected = False
        self._come_at = now + random.uniform(0.5, 1) * COME_AGAIN_AFTER

    def ready(self, selector, now):
        if not self.is_connected:
            if self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                self.go(selector, now)
                return
            self.is_connected = True
            self.connects += 1
            self._send_at = now
            selector.modify(self.socket, self.wants, self)
            return
        try:
            received = self.socket.recv(4096)
        except OSError:
            received = b""
        if not received:
            self.go(selector, now)
            return
        self.answers += 1
        if not received.startswith(b"HTTP/1.1 404"):
            self.foreign_answers.append(received[:200].decode(errors="replace"))

    def work(self, selector, now):
        if self.socket is None:
            if now >= self._come_at:
                self.come(selector)
        elif self.is_connected and self._send_at is not None and now >= self._send_at:
            data, pause = self.kind()
            try:
                self.socket.send(data)
            except OSError:
                pass  # shown out: seen at the next read
            self._send_at = now + pause if pause else None


def tell(clients):
    fare = {}
    for kind in KINDS:
        of_kind = [client for client in clients if client.kind is kind]
        fare[kind.__name__] = {
            "came": sum(client.connects > 0 for client in of_kind), "there": sum(client.is_connected for client in of_kind),
            "connects": sum(client.connects for client in of_kind), "answers": sum(client.answers for client in of_kind)}
    fare["foreign_answers"] = [answer for client in clients for answer in client.foreign_answers][:5]
    print(json.dumps(fare), flush=True)


def main():
    port, each, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    clients = [Client(kind_number * each + i, kind, port) for kind_number, kind in enumerate(KINDS) for i in range(each)]
    selector = selectors.DefaultSelector()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with socket.socket() as scout:
            if scout.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.005)
    tell_at = 0.0
    while (now := time.monotonic()) < end:
        for key, _ in selector.select(0.01):
            key.data.ready(selector, now)
        for client in clients:
            client.work(selector, now)
        if now >= tell_at:
            tell(clients)
            tell_at = now + 0.1


if __name__ == "__main__":
    main()
