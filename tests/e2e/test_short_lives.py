"""Certificates that live for seconds: what a year does to a broker, in minutes. Nobody asks for a renewal here; they are due."""

import hashlib
import re
import socket
import ssl
import statistics
import threading
import time

from support.case import Case
from support.programs import eventually


class Beside:
    """Does `step` again and again in a thread of its own, as long as it is entered."""

    every = 0.05  # seconds

    def __init__(self):
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        self._thread.join()

    def _run(self):
        due = time.monotonic()
        while not self._end.wait(max(due - time.monotonic(), 0)):
            self.step()
            due = max(due + self.every, time.monotonic())


class StrictClients(Beside):
    """Devices that come every 50 ms, believe nothing but `root`, and check name and dates."""

    def __init__(self, port, root, name):
        super().__init__()
        self._port, self._name = port, name
        self._context = ssl.create_default_context(cafile=str(root))
        self.handshakes = 0
        self.failures = []  # sentences
        self.first_seen = {}  # leaf → when
        self.least_left = float("inf")  # seconds that a certificate had to live when it was shown

    def step(self):
        try:
            self._connect()
        except OSError as failure:
            self.failures.append(f"{time.strftime('%H:%M:%S')}: {failure}")

    def _connect(self):
        with socket.create_connection(("127.0.0.1", self._port), timeout=5) as connection:
            with self._context.wrap_socket(connection, server_hostname=self._name) as tls:
                now = time.time()
                leaf = hashlib.sha256(tls.getpeercert(binary_form=True)).hexdigest()
                self.least_left = min(self.least_left, ssl.cert_time_to_seconds(tls.getpeercert()["notAfter"]) - now)
                self.first_seen.setdefault(leaf, now)
                self.handshakes += 1


class Sessions(Beside):
    """Devices that stay: each says something twice a second, and hears all the others."""

    every = 0.5

    def __init__(self, mqtt, count):
        super().__init__()
        self._devices = [mqtt.hold_session(f"device-{i}") for i in range(count)]
        for device in self._devices:
            device.subscribe("talk")
        self.messages = 0
        self.failures = []

    def step(self):
        try:
            for speaker in self._devices:
                speaker.publish("talk", str(self.messages))
                for listener in self._devices:
                    heard = listener.next_message()
                    if heard != ("talk", str(self.messages)):
                        self.failures.append(f"message {self.messages} was heard as {heard}")
                self.messages += 1
            for device in self._devices:
                device.ping()
        except (OSError, AssertionError) as failure:
            self.failures.append(f"{time.strftime('%H:%M:%S')}: {failure}")
            self._end.set()  # a session that is lost stays lost


class HeldPairs(Beside):
    """When each certificate came to lie in the state folder: what was issued, as soon as the agent has it."""

    every = 0.02

    def __init__(self, agent):
        super().__init__()
        self._agent = agent
        self.since = {}  # leaf → when

    def step(self):
        try:
            for chain in (self._agent.certificate_state / "held").glob("*chain*"):
                written = chain.stat().st_mtime
                pem = re.search(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", chain.read_text(), re.S)
                leaf = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem.group(0))).hexdigest()
                self.since.setdefault(leaf, written)
        except (OSError, AttributeError):
            pass  # replaced while we looked


class ShortLives(Case):
    in_memory = True  # a disk that hangs for seconds would be longer than these lives

    def renew(self, lifetime, renewals, version="debian", **options):
        ca = self.pebble(version=version, lifetime=lifetime, authz_reuse=0)
        mqtt = self.broker(self.folder / "certs")
        me = self.agent(ca, mqtt.port, reload=f"process:{mqtt.comm}", owner="root:mosquitto", **options)
        code, output = me.once(probe="none", reload="none")
        self.assertEqual(code, 0, output)
        mqtt.start()
        agent = me.start()
        with Sessions(mqtt, 3) as sessions, StrictClients(mqtt.port, ca.root(), me.name) as clients, HeldPairs(me) as held:
            began = time.monotonic()
            at_start = ca.count("Issued certificate serial")

            def over():
                return len(clients.first_seen) > renewals or clients.failures or sessions.failures or not agent.running
            try:
                eventually(over, renewals * lifetime, f"{renewals} renewals of certificates that live {lifetime} s")
            finally:
                took = time.monotonic() - began
                delays = [seen - held.since[leaf] for leaf, seen in clients.first_seen.items() if leaf in held.since][1:]
                done = len(clients.first_seen) - 1
                self.figures.append(
                    f"{lifetime} s to live: {done} renewals in {took:.0f} s, {clients.handshakes} strict handshakes, "
                    f"{sessions.messages} messages; never less than {clients.least_left:.1f} s left to live; from issued to "
                    f"served {statistics.median(delays or [0]):.2f} s, at most {max(delays or [0]):.2f} s; {ca.orders()} orders")
                self.figures += [line for line in agent.output().splitlines() if re.match(r"\S+ (warning|error)", line)]
        self.assertEqual(clients.failures, [], "clients that verify were refused")
        self.assertEqual(sessions.failures, [], "sessions were lost")
        self.assertTrue(agent.running, "the agent ended")
        self.assertGreaterEqual(ca.count("Issued certificate serial") - at_start, renewals)

    def test_certificates_of_6_seconds_are_renewed_without_a_client_noticing(self):
        self.renew(6, 100 if self.long else 12)

    def test_certificates_of_12_seconds_with_a_new_key_each_are_renewed_without_a_client_noticing(self):
        self.renew(12, 100 if self.long else 4, version="newest", reuse_key="no")
