"""The way of somebody new, on a machine with systemd, Debian's Mosquitto and our package: `acme-agent init`, yes, and what it says then."""

import shutil

import test_package
from support import network, programs, tls
from support.case import Case
from test_systemd import Machine

NAME = "mydyn.example"
FILES = ("etc/acme-agent/conf.d/mydyn.example.conf", "etc/mosquitto/conf.d/acme-agent.conf")
NOT_SANITIZED = "[Service]\nEnvironment=ASAN_OPTIONS=detect_leaks=0\n"


class Init(Case):
    def do(self, *words):
        code, output = self.machine.run(*words)
        self.assertEqual(code, 0, f"{words}: {output}")
        return output

    def init(self, answer):
        words = self.machine.words("acme-agent", "init", "--domain", NAME)
        return programs.run_on_terminal([*words[:2], "-it", *words[2:]], "[y/N] ", answer)

    def boot(self):
        """Ports as in life, in a network of the test's own."""
        network.enter(self)
        package = test_package.Package.build(self)
        self.ca = self.pebble(http_port=80)
        self.machine = Machine(self)
        self.root = self.machine.podman.root
        (self.root / "usr/sbin/policy-rc.d").unlink(missing_ok=True)  # services may be started there
        (self.root / "var/lib/man-db/auto-update").unlink(missing_ok=True)
        for unit in ("systemd-networkd-wait-online.service", "ifupdown-wait-online.service", "networking.service"):
            (self.root / "etc/systemd/system" / unit).unlink(missing_ok=True)
            (self.root / "etc/systemd/system" / unit).symlink_to("/dev/null")
        self.machine.boot()
        self.do("dpkg", "-i", package)
        shutil.copy(self.ca.ca_bundle, self.root / "etc/acme-agent/ca.pem")
        (self.root / "etc/acme-agent/conf.d").mkdir(exist_ok=True)
        (self.root / "etc/acme-agent/conf.d/test.conf").write_text(
            f"server = {self.ca.url}\nca-bundle = /etc/acme-agent/ca.pem\n")
        drop_in = self.root / test_package.DROP_IN
        drop_in.mkdir(parents=True)
        (drop_in / "sanitizer.conf").write_text(NOT_SANITIZED)
        self.do("systemctl", "daemon-reload")
        self.do("systemctl", "start", "mosquitto")

    def test_after_a_yes_the_files_lie_there_and_the_services_start_with_them(self):
        self.boot()
        code, output = self.init(b"n\n")
        self.assertEqual(code, 0, output)
        for path in FILES:
            self.assertIn(f"To write: /{path}", output)
            self.assertFalse((self.root / path).exists(), path)

        code, output = self.init(b"y\n")
        self.assertEqual(code, 0, output)
        for path in FILES:
            self.assertIn(f"written: /{path}", output)
            self.assertTrue((self.root / path).exists(), path)
        commands = [line.strip().removeprefix("sudo ").split() for line in output[output.index("\nThen"):].splitlines()
                    if line.strip().startswith("sudo systemctl")]
        self.assertEqual([words[-1] for words in commands], ["acme-agent", "mosquitto"], output)
        for words in commands:
            self.do(*words)
        self.eventually(lambda: self.machine.run("acme-agent", "status")[0] == 0, 60, "a certificate at the broker")
        leaf = self.root / f"var/lib/acme-agent/live/{NAME}/fullchain.pem"
        self.assertEqual(tls.verify(8883, self.ca.root()), tls.sha256_of(leaf))
