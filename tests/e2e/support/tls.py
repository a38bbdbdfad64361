"""What a listener shows to a client: a look, like a device's."""

import hashlib
import re
import socket
import ssl
import threading
import time

from support import programs


def sha256_of(certificate):
    """Of the first certificate in a PEM file."""
    pem = re.search(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", certificate.read_text(), re.S).group(0)
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()


def served(port, rsa_only=False, name="mydyn.example", host="127.0.0.1"):
    """SHA-256 of the leaf that a new handshake gets, whoever issued it. OSError if it fails."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if rsa_only:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("aRSA")
    with socket.create_connection((host, port), timeout=5) as connection:
        with context.wrap_socket(connection, server_hostname=name) as tls:
            return hashlib.sha256(tls.getpeercert(binary_form=True)).hexdigest()


def verify(port, root, name="mydyn.example", host="127.0.0.1"):
    """A handshake that trusts only `root` and checks the name: succeeds only if the whole chain is served."""
    context = ssl.create_default_context(cafile=str(root))
    with socket.create_connection((host, port), timeout=5) as connection:
        with context.wrap_socket(connection, server_hostname=name) as tls:
            return hashlib.sha256(tls.getpeercert(binary_form=True)).hexdigest()


def handshake(certificate, key, root, name="mydyn.example"):
    """The serial number of what a broker that starts on these files would show, judged by a device that trusts `root`;
    ssl.SSLError if it would not start (the key is another's), or if the device would not like it."""
    broker = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    broker.load_cert_chain(certificate, key)
    to_broker, to_device = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [ssl.create_default_context(cafile=str(root)).wrap_bio(to_device, to_broker, server_hostname=name),
             broker.wrap_bio(to_broker, to_device, server_side=True)]
    for _ in range(3):
        for side in sides:
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                pass
    return int(sides[0].getpeercert()["serialNumber"], 16)


def shakes_hands(port):
    try:
        return bool(served(port))
    except OSError:
        return False


class HandshakeWatch:
    """Shakes hands all the time, like many devices that come and go, and remembers for how long that failed. `look` is how, and
    returns the leaf that it saw; between two of them there are `pause` seconds."""

    def __init__(self, port, look=None, pause=0.005):
        self._look = look or (lambda: served(port))
        self._pause = pause
        self._end = threading.Event()
        self._failing_since = None
        self.longest_failure = 0.0
        self.handshakes = 0
        self.failures = 0
        self.leaves = []  # in the order of their first appearance
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self):
        self._thread.start()
        programs.eventually(lambda: self.handshakes, 5, "a first handshake")
        return self

    def __exit__(self, *_):
        self._end.set()
        self._thread.join()

    def _watch(self):
        while not self._end.is_set():
            began = time.monotonic()
            try:
                leaf = self._look()
                self.handshakes += 1
                self._failing_since = None
                if leaf not in self.leaves:
                    self.leaves.append(leaf)
            except (OSError, AssertionError):
                self.failures += 1
                self._failing_since = self._failing_since or began
                self.longest_failure = max(self.longest_failure, time.monotonic() - self._failing_since)
            time.sleep(self._pause)
