"""A proxy in front of an ACME server that does one thing wrong, once: what a bad line or a tired server does to a client."""

import dataclasses
import email.utils
import http.client
import json
import socket
import ssl
import struct
import threading
import time
import urllib.parse

RETRY_AFTER = 200  # seconds that a server under maintenance wants to be left alone
LATE = 1.2  # seconds


@dataclasses.dataclass
class Answer:
    status: int
    reason: str
    headers: list
    body: bytes

    def head(self):
        lines = [f"HTTP/1.1 {self.status} {self.reason}"] + [f"{name}: {value}" for name, value in self.headers]
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"

    def whole(self):
        return self.head() + self.body

    def with_headers(self, change):
        return dataclasses.replace(self, headers=[change(name, value) for name, value in self.headers])


class HungUp(Exception):
    """The connection of the client ends here."""


class Exchange:
    """A request of the client. `name` is what the directory calls its URL, else the first part of its path; further requests
    of that name say after what they came. Polls that follow each other are one."""

    def __init__(self, proxy, connection, server, method, target, headers, body):
        self.proxy = proxy
        self.method = method
        self.target = target
        self.name = proxy.name_of(target)
        self._connection = connection
        self._server = server
        self._headers = headers
        self._body = body

    def deliver(self):
        """Hands the request on, as it is."""
        self._server.putrequest(self.method, self.target, skip_host=True, skip_accept_encoding=True)
        for name, value in self._headers:
            self._server.putheader(name, value)
        self._server.endheaders(self._body)
        response = self._server.getresponse()
        body = response.read()
        headers = [(name, value) for name, value in response.getheaders() if name.lower() != "transfer-encoding"]
        if self.method != "HEAD" and all(name.lower() != "content-length" for name, _ in headers):
            headers.append(("Content-Length", str(len(body))))
        answer = Answer(response.status, response.reason, headers, body)
        self.proxy.delivered(self, answer)
        return answer

    def write(self, data):
        self._connection.sendall(data)

    def reply(self, answer):
        self.write(answer.whole())

    def hang_up(self, after=b""):
        if after:
            self.write(after)
        raise HungUp

    def reset(self):
        """Ends the connection as a router does that lost its tables."""
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise HungUp

    def refuse(self, status, reason, *headers):
        body = f"<html><body><h1>{status} {reason}</h1></body></html>".encode()
        self.reply(Answer(status, reason, [("Content-Type", "text/html"), ("Content-Length", str(len(body))), *headers], body))


# What goes wrong. Each has its name from what is done.

def request_dropped(exchange):
    exchange.hang_up()


def request_dropped_by_a_reset(exchange):
    exchange.reset()


def request_dropped_and_the_line_down(exchange):
    exchange.proxy.down = True
    exchange.hang_up()


def answer_dropped(exchange):
    exchange.deliver()
    exchange.hang_up()


def answer_dropped_and_the_line_down(exchange):
    exchange.deliver()
    exchange.proxy.down = True
    exchange.hang_up()


def answer_late(exchange):
    answer = exchange.deliver()
    time.sleep(LATE)
    exchange.reply(answer)


def answer_in_drops(exchange):
    whole = exchange.deliver().whole()
    for at in range(0, len(whole), 16):
        exchange.write(whole[at:at + 16])
        time.sleep(0.002)


def answer_stalls_in_its_body(exchange):
    answer = exchange.deliver()
    exchange.write(answer.head() + answer.body[:len(answer.body) // 2])
    exchange.proxy.closing.wait(60)
    exchange.hang_up()


def answer_never_comes(exchange):
    exchange.deliver()
    exchange.proxy.closing.wait(60)
    exchange.hang_up()


def body_truncated(exchange):
    answer = exchange.deliver()
    exchange.hang_up(answer.head() + answer.body[:len(answer.body) // 2])


def body_truncated_and_said_to_be_whole(exchange):
    answer = exchange.deliver()
    half = answer.body[:len(answer.body) // 2]
    exchange.reply(dataclasses.replace(answer.with_headers(
        lambda name, value: (name, str(len(half)) if name.lower() == "content-length" and half else value)), body=half))
    if answer.body and not half:
        exchange.hang_up()


def headers_truncated(exchange):
    head = exchange.deliver().head()
    exchange.hang_up(head[:len(head) * 2 // 3])


def body_garbled(exchange):
    """One byte in sixteen."""
    answer = exchange.deliver()
    body = bytearray(answer.body)
    for at in range(8, len(body), 16):
        body[at] ^= 0x15
    exchange.reply(dataclasses.replace(answer, body=bytes(body)))


def one_bit_of_the_body_garbled(exchange):
    """In its first third: of a chain that is in the first certificate."""
    answer = exchange.deliver()
    body = bytearray(answer.body)
    if body:
        body[len(body) // 3] ^= 0x01
    exchange.reply(dataclasses.replace(answer, body=bytes(body)))


def header_names_garbled(exchange):
    """Location, Replay-Nonce, Link and so on are not found."""
    kept = ("content-length",)
    exchange.reply(exchange.deliver().with_headers(
        lambda name, value: (name if name.lower() in kept else "x" + name[1:], value)))


def header_values_garbled(exchange):
    """Locations lead elsewhere, nonces are none that the server gave."""
    def change(name, value):
        if name.lower() == "content-length":
            return name, value
        at = len(value) * 2 // 3
        return name, value[:at] + chr(ord(value[at]) ^ 0x01) + value[at + 1:]
    exchange.reply(exchange.deliver().with_headers(change))


def status_line_garbled(exchange):
    exchange.hang_up(b"XTTP" + exchange.deliver().whole()[4:])


def request_delivered_twice_and_answered_by_the_first(exchange):
    answer = exchange.deliver()
    exchange.deliver()
    exchange.reply(answer)


def request_delivered_twice_and_answered_by_the_second(exchange):
    exchange.deliver()
    exchange.reply(exchange.deliver())


def answer_twice(exchange):
    answer = exchange.deliver()
    exchange.write(answer.whole() + answer.whole())


def answer_given_to_the_next_request_too(exchange):
    answer = exchange.deliver()
    exchange.reply(answer)
    if exchange.method == "HEAD":  # without a length it would be one that never ends
        answer.headers.append(("Content-Length", "0"))
    exchange.proxy.left_over = answer.whole()


def error_500_instead_of_the_answer(exchange):
    exchange.deliver()
    exchange.reply(Answer(500, "Internal Server Error", [("Content-Length", "0")], b""))


def error_503_for_a_while(exchange):
    exchange.proxy.left_alone_until = time.time() + RETRY_AFTER
    exchange.refuse(503, "Service Unavailable", ("Retry-After", str(RETRY_AFTER)))


def error_503_until_a_date(exchange):
    # A date has no fractions: a client that asks in its second asks soon enough.
    exchange.proxy.left_alone_until = float(int(time.time()) + RETRY_AFTER)
    exchange.refuse(503, "Service Unavailable",
                    ("Retry-After", email.utils.formatdate(exchange.proxy.left_alone_until, usegmt=True)))


class FaultyProxy:
    """Stands between a client and a server at 127.0.0.1, both with TLS. Hands on the Host of each request, so that the URLs
    that the server makes of it lead here."""

    def __init__(self, files, server_port, path="/dir"):
        ca_bundle, certificate, key = files
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, key)
        self._trust = ssl.create_default_context(cafile=str(ca_bundle))
        self._server_port = server_port
        self._directory_path = path
        self._directory = {}
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://localhost:{self._listener.getsockname()[1]}{path}"
        self.closing = threading.Event()
        self.mend()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.closing.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def mend(self, fault=None, where=None):
        """From now on everything is handed on, but for `fault`, which happens at the first exchange of the name `where`."""
        self._fault, self._where = fault, where
        self.down = False
        self.left_over = b""
        self.left_alone_until = None
        self.struck = None  # when the fault happened, by the clock
        self.names = []  # of the exchanges so far, without repetitions
        self.requests = 0
        self.statuses = []  # (name, target, status) of everything that reached the server
        self._last = None

    def name_of(self, target):
        path = urllib.parse.urlsplit(target).path
        if path == self._directory_path:
            return "directory"
        known = next((name for url_path, name in self._directory.items()
                      if path == url_path or path.startswith(url_path + "/")), None)
        label = known or path.strip("/").split("/")[0]
        if self._last and self._last[0] == label:
            return self._last[1]
        name = label if label not in self.names else f"{label} after {self._last[0]}"
        self._last = (label, name)
        return name

    def delivered(self, exchange, answer):
        self.statuses.append((exchange.name, exchange.target, answer.status))
        if exchange.name == "directory" and not self._directory:
            self._directory = {urllib.parse.urlsplit(url).path.rstrip("/"): name
                               for name, url in json.loads(answer.body).items() if isinstance(url, str)}

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        connection.settimeout(90)
        try:
            if self.down:
                return
            with self._context.wrap_socket(connection, server_side=True) as client:
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                server = http.client.HTTPSConnection("127.0.0.1", self._server_port, context=self._trust, timeout=30)
                try:
                    with client.makefile("rb") as requests:
                        self._relay(requests, client, server)
                finally:
                    server.close()
        except (OSError, HungUp):
            pass  # the client ended the connection, or a fault did
        finally:
            connection.close()

    def _relay(self, requests, client, server):
        while True:
            first = requests.readline(65536).split()
            if len(first) != 3:
                return
            headers = []
            for line in iter(lambda: requests.readline(65536).strip(), b""):
                name, _, value = line.decode("latin-1").partition(":")
                headers.append((name, value.strip()))
            length = next((int(value) for name, value in headers if name.lower() == "content-length"), 0)
            body = requests.read(length)
            with self._lock:
                exchange = Exchange(self, client, server, first[0].decode(), first[1].decode(), headers, body)
                self.requests += 1
                if exchange.name not in self.names:
                    self.names.append(exchange.name)
                left_over, self.left_over = self.left_over, b""
                strikes = self._fault is not None and self.struck is None and exchange.name == self._where
                if strikes:
                    self.struck = time.time()
            if self.down:
                return
            client.sendall(left_over)
            if strikes:
                self._fault(exchange)
            else:
                exchange.reply(exchange.deliver())
