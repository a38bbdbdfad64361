"""The units of systemd/ are ones that systemd takes, and hardened."""

import pathlib
import re
import shutil

from support import programs
from support.case import Case

UNITS = pathlib.Path(__file__).resolve().parents[2] / "systemd"
SERVICES = ("acme-agent.service", "acme-agent-once.service")


class Units(Case):
    def setUp(self):
        super().setUp()
        for unit in UNITS.glob("acme-agent*"):
            # `verify` wants the program to be installed, and a name in a template
            name = unit.name.replace("@.", "@a.")
            (self.folder / name).write_text(unit.read_text().replace("ExecStart=acme-agent", f"ExecStart={self.agent_path}"))
        (self.folder / "acme-agent.sysusers").unlink()

    def test_systemd_accepts_them_without_a_word(self):
        units = sorted(self.folder.glob("acme-agent*"))
        self.assertEqual(len(units), 6)
        code, output = programs.run(["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", *units])
        self.assertEqual((code, output), (0, ""))

    def exposure(self, service):
        code, output = programs.run(["systemd-analyze", "security", "--offline=true", "--no-pager", self.folder / service])
        self.assertEqual(code, 0, output)
        score = float(re.search(r"Overall exposure level for \S+: ([0-9.]+)", output).group(1))
        self.figures.append(f"{service}: {score}")
        return score

    def test_their_exposure_is_low_and_without_privileges_lower(self):
        for service in SERVICES:
            self.assertLessEqual(self.exposure(service), 2.3)
            (self.folder / f"{service}.d").mkdir()
            shutil.copy(UNITS / "unprivileged.conf", self.folder / f"{service}.d")
            self.assertLessEqual(self.exposure(service), 1.5)

    def test_both_services_are_hardened_alike(self):
        def hardening(service):
            text = (UNITS / service).read_text()
            return [line for line in text[text.index("AmbientCapabilities"):text.index("SystemCallErrorNumber")].splitlines()
                    if line and not line.startswith("#")]
        self.assertEqual(*map(hardening, SERVICES))

    def test_the_words_of_the_command_line_exist(self):
        for service in SERVICES:
            words = re.search(r"^ExecStart=acme-agent *(.*)$", (UNITS / service).read_text(), re.M).group(1).split()
            code, output = programs.run([self.agent_path, "check", *[w for w in words if w != "--once"], "--domain",
                                         "mydyn.example", "--state-dir", self.folder / "state"])
            self.assertEqual(code, 0, output)
