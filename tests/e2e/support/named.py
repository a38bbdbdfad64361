"""BIND as the primary of mydyn.example, and its secondaries, which have addresses of loopback of their own, as the servers
of a zone are asked at port 53."""

import random
import signal
import socket
import threading
import time

from support import programs

SECRET = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U="


def bound_to_port_53():
    """A UDP and a TCP socket at port 53 of some address of loopback, and that address."""
    while True:
        address = f"127.{random.randrange(64, 127)}.{random.randrange(1, 255)}.{random.randrange(1, 255)}"
        udp, tcp = socket.socket(type=socket.SOCK_DGRAM), socket.socket()
        try:
            udp.bind((address, 53))
            tcp.bind((address, 53))
            tcp.listen()
            return udp, tcp, address
        except OSError:
            udp.close()
            tcp.close()


class Named:
    def __init__(self, case, records=(), lag=0, updates=True, address="127.0.0.1"):
        """The zone's names have `address`; `records` are further lines for the zone. It has two servers, and the second one lags by so many seconds. Without
        `updates` the zone is changed by hand."""
        self.port = programs.free_port()
        self.secondaries = [Secondary(case, self.port, 0), Secondary(case, self.port, lag)]
        self.folder = case.folder / "named"
        self.folder.mkdir()
        servers = [line for number, secondary in enumerate(self.secondaries, 1)
                   for line in (f"@ NS ns{number}", f"ns{number} A {secondary.address}")]
        self.lines = [*servers, f"@ A {address}", f"www A {address}", *records]
        self._write(1)
        keys = "".join(f'key "{name}" {{ algorithm hmac-sha256; secret "{SECRET}"; }};\n' for name in ("acme-key", "other-key"))
        (self.folder / "named.conf").write_text(
            f'options {{ directory "{self.folder}"; pid-file none; session-keyfile none; '
            f"listen-on port {self.port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; recursion no; dnssec-validation no; "
            "empty-zones-enable no; notify no; };\ncontrols { };\n" + keys +
            'zone "mydyn.example" { type primary; file "mydyn.zone"; ' +
            ("allow-update { key acme-key; }; };\n" if updates else "};\n"))
        self.program = case.program("named", ["/usr/sbin/named", "-g", "-n", "1", "-c", self.folder / "named.conf"])
        self.program.wait_for_output(" running\n", 20)

    @property
    def endpoint(self):
        return f"127.0.0.1:{self.port}"

    def _write(self, serial):
        lines = ["$TTL 1", f"@ SOA ns1 hostmaster {serial} 3600 600 86400 1", *self.lines]
        (self.folder / "mydyn.zone").write_text("\n".join(lines) + "\n")

    def add_by_hand(self, line):
        """What the operator does: a line in the zone's file, and a reload."""
        self.lines.append(line)
        self._write(100)
        self.program.send(signal.SIGHUP)
        self.program.wait_for_output("loaded serial 100")

    def key_file(self, name="acme-key", secret=SECRET):
        path = self.folder / f"{name}-{len(list(self.folder.glob('*.key')))}.key"
        path.write_text(f'key "{name}" {{\n\talgorithm hmac-sha256;\n\tsecret "{secret}";\n}};\n')
        path.chmod(0o600)
        return path

    def log(self):
        return self.program.output()


class Secondary:
    """Says that there is no TXT record, until `lag` seconds after the first question for one; then what the primary says,
    as it does to all other questions from the beginning."""

    def __init__(self, case, primary_port, lag):
        self._udp, self._tcp, self.address = bound_to_port_53()
        self._primary_port = primary_port
        self._lag = lag
        self._first_asked = None
        self.lagged = 0  # answers
        self._ended = False
        self._threads = [threading.Thread(target=self._serve_udp), threading.Thread(target=self._serve_tcp)]
        for thread in self._threads:
            thread.start()
        case.addCleanup(self._end)

    def _serve_udp(self):
        while not self._ended:
            query, sender = self._udp.recvfrom(4096)
            if query:
                self._udp.sendto(self._answer(query), sender)

    def _serve_tcp(self):
        while not self._ended:
            connection, _ = self._tcp.accept()
            with connection:
                connection.settimeout(5)
                query = connection.recv(4096)[2:]
                if query:
                    answer = self._answer(query)
                    connection.sendall(len(answer).to_bytes(2, "big") + answer)

    def _answer(self, query):
        end_of_name = query.index(b"\0", 12) + 1
        if query[end_of_name:end_of_name + 2] == b"\0\x10" and self._lags():
            self.lagged += 1
            return query[:2] + b"\x84\x03\0\1" + bytes(6) + query[12:end_of_name + 4]  # no such name
        with socket.socket(type=socket.SOCK_DGRAM) as asking:
            asking.settimeout(5)
            asking.sendto(query, ("127.0.0.1", self._primary_port))
            return asking.recv(65535)

    def _lags(self):
        self._first_asked = self._first_asked or time.monotonic()
        return time.monotonic() < self._first_asked + self._lag

    def _end(self):
        self._ended = True
        with socket.socket(type=socket.SOCK_DGRAM) as last:
            last.sendto(b"", (self.address, 53))
        socket.create_connection((self.address, 53)).close()
        for thread in self._threads:
            thread.join()
        self._udp.close()
        self._tcp.close()
