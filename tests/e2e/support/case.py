"""What every end-to-end test stands on: a folder of its own, programs that end with it, and one sentence for each test."""

import os
import pathlib
import shutil
import tempfile
import unittest

from support.agent import Agent, refuse_sanitizer_reports
from support.mosquitto import Mosquitto
from support.pebble import Pebble
from support.programs import Program, eventually


class Case(unittest.TestCase):
    agent_path = None  # set by run.py, with the three below
    long = False  # the load tests at their full size
    figures = ()
    build_folder = None
    run_folder = None
    conformance_server = "newest Pebble"  # whom the rows among its tests speak with
    broker_version = "debian"
    in_memory = False  # where the disk is not to be measured

    def setUp(self):
        parent = "/dev/shm" if self.in_memory and os.access("/dev/shm", os.W_OK) else self.run_folder
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="acme-agent-t-", dir=parent))
        self.folder.chmod(0o755)
        self.programs = []
        self.figures = []  # lines for the report, whatever comes out
        self.addCleanup(self._end_programs)

    def program(self, name, argv, **options):
        started = Program(argv, self.folder / f"{name}.log", **options)
        self.programs.append(started)
        return started

    def _end_programs(self):
        for program in reversed(self.programs):
            program.stop()
        for log in sorted(self.folder.glob("agent*.log")):
            refuse_sanitizer_reports(log.read_text(errors="replace"))

    def tell(self):
        """The ends of all logs, for the report of a failure; then the folder goes."""
        parts = []
        for log in sorted(self.folder.glob("*.log")):
            lines = log.read_text(errors="replace").splitlines()
            parts.append(f"--- {log.name}\n" + "\n".join(lines[-40 if log.name.startswith("agent") else -12:]))
        return "\n".join(parts)

    def pebble(self, **options):
        return Pebble(self, **options)

    def agent(self, *arguments, **options):
        return Agent(self, *arguments, **options)

    def broker(self, cert_dir, **options):
        return Mosquitto(self, cert_dir, version=self.broker_version, **options)

    def eventually(self, check, seconds=10, what="it"):
        return eventually(check, seconds, what)

    def assert_one_sentence(self, output, *needles):
        """The trouble is told: every needle in one and the same line (case does not matter)."""
        lines = [line for line in output.splitlines() if all(n.lower() in line.lower() for n in needles)]
        if not lines:
            self.fail(f"no line names all of {needles}; the output is: {output}")
        for line in lines:
            self.assertLess(len(line), 700, f"that is no sentence: {line}")

    def require_root(self):
        self.assertEqual(os.geteuid(), 0, "the end-to-end tests run as root: they start Mosquitto as its own user")

    def remove_folder(self):
        shutil.rmtree(self.folder, ignore_errors=True)


class ServedCase(Case):
    """A certificate from Pebble, served by Mosquitto, and a device that stays connected: where most stories begin."""

    ca_options = {}
    broker_options = {}
    agent_options = {}

    def setUp(self):
        super().setUp()
        self.ca = self.pebble(**self.ca_options)
        self.mqtt = self.broker(self.folder / "certs", **self.broker_options)
        self.me = self.agent(self.ca, self.mqtt.port, reload=f"process:{self.mqtt.comm}", probe_timeout="5s",
                             **self.agent_options)

    def serve(self):
        """The first certificate, with the broker started on it."""
        code, output = self.me.once(probe="none", reload="none", owner="root:mosquitto")
        self.assertEqual(code, 0, output)
        self.mqtt.start()
        code, output = self.me.once()
        self.assertEqual(code, 0, output)
        self.assertEqual(self.mqtt.served(), self.me.leaf())
        self.device = self.mqtt.hold_session()
        return self.me.leaf()

    def assert_served(self):
        """New handshakes get what is held, from a chain that a device can verify; the connected device stayed so."""
        self.assertEqual(self.mqtt.served(), self.me.held_leaf())
        self.assertEqual(self.me.leaf(), self.me.held_leaf())
        from support import tls
        tls.verify(self.mqtt.port, self.ca.root())
        if hasattr(self, "device"):
            self.device.ping()
