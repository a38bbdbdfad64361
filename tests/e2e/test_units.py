"""The units of systemd/ are ones that systemd takes, and hardened."""

import pathlib
import re

from support import programs
from support.case import Case

UNITS = pathlib.Path(__file__).resolve().parents[2] / "systemd"
SERVICES = ("acme-agent.service", "acme-agent-once.service")


class Units(Case):
    def setUp(self):
        super().setUp()
        for unit in UNITS.iterdir():
            # `verify` wants the program to be installed
            (self.folder / unit.name).write_text(unit.read_text().replace("ExecStart=acme-agent", f"ExecStart={self.agent_path}"))

    def test_systemd_accepts_them_without_a_word(self):
        units = sorted(self.folder.glob("acme-agent*"))
        self.assertEqual(len(units), 4)
        code, output = programs.run(["systemd-analyze", "verify", "--recursive-errors=no", *units])
        self.assertEqual((code, output), (0, ""))

    def test_their_exposure_is_low(self):
        for service in SERVICES:
            code, output = programs.run(["systemd-analyze", "security", "--offline=true", "--no-pager", self.folder / service])
            score = float(re.search(r"Overall exposure level for \S+: ([0-9.]+)", output).group(1))
            self.assertLessEqual(score, 4.0, output)

    def test_both_services_are_hardened_alike(self):
        def hardening(service):
            text = (UNITS / service).read_text()
            return [line for line in text[text.index("CapabilityBoundingSet"):text.index("SystemCallErrorNumber")].splitlines()
                    if not line.startswith("#")]
        self.assertEqual(*map(hardening, SERVICES))

    def test_the_words_of_the_command_line_exist(self):
        for service in SERVICES:
            words = re.search(r"^ExecStart=acme-agent *(.*)$", (UNITS / service).read_text(), re.M).group(1).split()
            code, output = programs.run([self.agent_path, "check", *[w for w in words if w != "--once"], "--domain",
                                         "mydyn.example", "--state-dir", self.folder / "state"])
            self.assertEqual(code, 0, output)
