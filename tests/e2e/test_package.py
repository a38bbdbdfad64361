"""The Debian package, on a machine that boots systemd: installed, enabled, reloaded, hung, upgraded, purged."""

import json
import re
import shutil
import signal
import socket
import pathlib

from support import programs, tls
from support.agent import EXIT_NOT_SERVED
from support.case import Case
from test_systemd import Machine, Service

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
NAME = "mydyn.example"
LIVE = pathlib.Path("/var/lib/acme-agent/live") / NAME
DROP_IN = "etc/systemd/system/acme-agent.service.d"
MOST_BYTES = 3_000_000


def privileged_port():
    """One that only who may bind port 80 can bind."""
    for port in range(1023, 600, -1):
        with socket.socket() as trial:
            try:
                trial.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass
    raise AssertionError("every port below 1024 is taken")


class Package(Case):
    def build(self):
        """From the release of the simulation where tests/run.sh has built that, else from where the agent under test is."""
        release = REPOSITORY / "build/sim"
        folder = release if (release / "acme-agent").exists() and self.build_folder.parent == release.parent else self.build_folder
        code, output = programs.run(["cpack", "-G", "DEB", "--config", folder / "CPackConfig.cmake", "-B", self.folder], 120)
        self.assertEqual(code, 0, output)
        return next(self.folder.glob("*.deb"))

    def test_lintian_has_nothing_to_say_and_it_is_small(self):
        package = self.build()
        code, output = programs.run(["lintian", "--allow-root", "--fail-on", "none", package], 120)
        self.assertEqual((code, output), (0, ""))
        self.figures.append(f"{package.name}: {package.stat().st_size} bytes")
        self.assertLess(package.stat().st_size, MOST_BYTES)

    # The machine, which all that follows shares

    def do(self, *words):
        code, output = self.machine.run(*words)
        self.assertEqual(code, 0, f"{words}: {output}")
        return output

    def show(self, what, unit="acme-agent.service"):
        return self.do("systemctl", "show", "--value", f"--property={what}", unit).strip()

    def write(self, path, text):
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def configure(self, **more):
        self.write("etc/acme-agent/conf.d/test.conf", "\n".join(
            f"{key.replace('_', '-')} = {value}" for key, value in {
                "server": self.ca.url, "ca_bundle": "/etc/acme-agent/ca.pem", "domain": NAME,
                "http_listen": f"127.0.0.1:{self.ca.http_port}", "probe": f"localhost:{self.mqtt.port}", "reuse_key": "no", **more}.items()))

    def status(self):
        _, output = self.machine.run("acme-agent", "status", "--json")
        return json.loads(output)["certificates"][0]

    def leaf(self):
        return tls.sha256_of(self.root / str(LIVE / "fullchain.pem").lstrip("/"))

    def assert_renewed(self):
        before = tls.served(self.mqtt.port)
        self.do("acme-agent", "renew", NAME, "--force")
        self.assertNotEqual(tls.served(self.mqtt.port), before)
        self.assertEqual(tls.served(self.mqtt.port), self.leaf())

    def capabilities(self):
        return int(re.search(r"CapEff:\s*(\w+)", self.do("cat", f"/proc/{self.show('MainPID')}/status")).group(1), 16)

    def journal(self):
        return self.do("journalctl", "--no-pager", "--output=cat", "--unit=acme-agent.service")

    def test_installed_enabled_reloaded_hung_upgraded_and_purged_it_behaves(self):
        package = self.build()
        self.machine = Machine(self)
        self.root = self.machine.podman.root
        for path in ("var/lib/man-db/auto-update", *(f"etc/systemd/system/{unit}" for unit in (
                "systemd-networkd-wait-online.service", "ifupdown-wait-online.service", "networking.service"))):
            (self.root / path).unlink(missing_ok=True)
            if path.startswith("etc"):
                (self.root / path).symlink_to("/dev/null")
        self.mqtt = Service(self, self.machine, LIVE)
        self.ca = self.pebble(http_port=privileged_port())
        (self.root / "usr/sbin/policy-rc.d").unlink(missing_ok=True)  # services may be started there
        self.machine.boot()
        self.addCleanup(self.keep_journal)
        self.install(package)
        self.issue()
        self.hazard()
        self.reload()
        self.secrets()
        self.watch()
        self.upgrade(package)
        self.once()
        self.without_privileges()
        self.purge()

    def keep_journal(self):
        (self.folder / "agent-journal.log").write_text(self.machine.run("journalctl", "--no-pager", "--lines=60")[1])
        (self.folder / "agent-status.log").write_text(self.machine.run("acme-agent", "status")[1] + self.machine.run("ls", "-lR", LIVE.parent)[1])

    def install(self, package):
        self.do("dpkg", "-i", package)
        for unit in ("acme-agent.service", "acme-agent.socket", "acme-agent.timer"):
            self.assertEqual(self.machine.run("systemctl", "is-enabled", unit)[1].strip(), "disabled")
            self.assertEqual(self.show("ActiveState", unit), "inactive")
        # without a domain: told, and left alone
        self.assertEqual(self.machine.run("acme-agent", "check")[0], 2)

    def issue(self):
        shutil.copy(self.ca.ca_bundle, self.root / "etc/acme-agent/ca.pem")
        self.configure()
        # what shall be run as the sanitizers want it
        self.write(f"{DROP_IN}/sanitizer.conf", "[Service]\nEnvironment=ASAN_OPTIONS=detect_leaks=0\n")
        self.write("etc/systemd/system/acme-agent-once.service.d/sanitizer.conf", "[Service]\nEnvironment=ASAN_OPTIONS=detect_leaks=0\n")
        self.do("systemctl", "daemon-reload")
        self.do("systemctl", "enable", "--now", "acme-agent")
        self.mqtt.start()  # on the placeholder, if need be
        self.eventually(lambda: self.status()["state"] == "valid" and self.status()["deploy"]["ok"], 30, "a certificate")
        self.eventually(lambda: tls.served(self.mqtt.port) == self.leaf(), 20, "the certificate at the broker")
        self.assertEqual(self.do("stat", "--format=%U:%G:%a", LIVE / "privkey.pem", "--dereference").strip(), "acme-agent:mosquitto:640")
        self.eventually(lambda: self.show("StatusText").startswith("1 certificate; next look at "), 20, "the status line")
        self.assert_renewed()

    def hazard(self):
        """E14, seen by the user of the unit; the container gives it no mount namespace, as test_deployment does."""
        passwords = self.root / "etc/mosquitto/passwords"
        passwords.write_text("")
        self.write("etc/mosquitto/test.conf", f"{self.mqtt.config.read_text()}password_file /etc/mosquitto/passwords\n")
        self.write("etc/systemd/system/mosquitto.service.d/test.conf",
                   "[Service]\nExecStart=\nExecStart=/usr/sbin/mosquitto -c /etc/mosquitto/test.conf\n")
        self.do("systemctl", "daemon-reload")
        self.do("systemctl", "restart", "mosquitto")
        self.eventually(lambda: programs.listens(self.mqtt.port), 10, "Mosquitto's port")
        before = tls.served(self.mqtt.port)
        passwords.unlink()
        code, output = self.machine.run("acme-agent", "renew", NAME, "--force")
        self.assertEqual(code, EXIT_NOT_SERVED, output)
        self.assert_one_sentence(output, "was not told to reload", "password_file /etc/mosquitto/passwords', and there is no such file")
        self.assertEqual(tls.served(self.mqtt.port), before)
        passwords.write_text("")
        self.assert_renewed()

    def reload(self):
        self.configure(key_typ="ec256")
        self.do("systemctl", "reload", "acme-agent")
        self.eventually(lambda: "did you mean 'key-type'" in self.journal() and "stays as it was" in self.journal(), 10, "a complaint")
        self.configure()
        self.do("systemctl", "reload", "acme-agent")
        self.eventually(lambda: "was read again" in self.journal(), 10, "the reload")

    def secrets(self):
        """A file that only root can read is passed in by systemd."""
        secret = "/etc/acme-agent/mqtt-password"
        self.write(secret.lstrip("/"), "secret")
        self.do("chmod", "600", secret)

        def restart(password_file):
            self.write(f"{DROP_IN}/mqtt.conf", f"[Service]\nLoadCredential=mqtt:{secret}\nRestart=no\nEnvironment="
                       f"ACME_AGENT_MQTT=mqtt://me@localhost:{self.mqtt.port} ACME_AGENT_MQTT_PASSWORD_FILE={password_file}\n")
            self.do("systemctl", "daemon-reload")
            return self.machine.run("systemctl", "restart", "acme-agent")[0]
        self.assertNotEqual(restart(secret), 0)
        self.assertIn(f"{secret}", self.journal())
        self.assertEqual(restart("%d/mqtt"), 0)
        (self.root / DROP_IN / "mqtt.conf").unlink()
        self.do("systemctl", "daemon-reload")
        self.do("systemctl", "restart", "acme-agent")

    def watch(self):
        self.write(f"{DROP_IN}/watch.conf", "[Service]\nWatchdogSec=1s\nRestartSec=100ms\n")
        self.do("systemctl", "daemon-reload")
        self.do("systemctl", "restart", "acme-agent")
        hung = self.show("MainPID")
        first = self.show("WatchdogTimestampMonotonic")
        self.eventually(lambda: int(self.show("WatchdogTimestampMonotonic")) > int(first) + 2_000_000, 20, "signs of life")
        self.assertEqual((self.show("MainPID"), self.show("NRestarts")), (hung, "0"))
        self.do("kill", f"-{signal.SIGSTOP.value}", hung)
        self.eventually(lambda: self.show("NRestarts") == "1" and self.show("ActiveState") == "active", 30, "another agent")
        (self.root / DROP_IN / "watch.conf").unlink()
        self.do("systemctl", "daemon-reload")
        self.do("systemctl", "restart", "acme-agent")

    def upgrade(self, package):
        parts = self.folder / "parts"
        programs.run(["dpkg-deb", "-R", package, parts])
        control = parts / "DEBIAN/control"
        control.write_text(re.sub(r"(?m)^Version: (.*)$", r"Version: \1+next", control.read_text()))
        code, output = programs.run(["dpkg-deb", "--root-owner-group", "-Zgzip", "-b", parts, self.folder / "next.deb"])
        self.assertEqual(code, 0, output)
        before, leaf, orders = self.show("MainPID"), self.leaf(), self.ca.orders()
        self.do("dpkg", "-i", self.folder / "next.deb")
        self.assertNotEqual(self.show("MainPID"), before)
        self.assertEqual(self.show("ActiveState"), "active")
        self.assertEqual(self.machine.run("systemctl", "is-enabled", "acme-agent")[1].strip(), "enabled")
        self.assertEqual((self.leaf(), self.ca.orders(), self.status()["state"]), (leaf, orders, "valid"))

    def once(self):
        self.do("systemctl", "disable", "--now", "acme-agent")
        self.do("systemctl", "enable", "--now", "acme-agent.timer")
        self.assertNotEqual(self.show("NextElapseUSecRealtime", "acme-agent.timer"), "")
        self.do("systemctl", "start", "acme-agent-once")
        self.assertEqual(self.show("Result", "acme-agent-once.service"), "success")
        self.do("systemctl", "disable", "--now", "acme-agent.timer")

    def without_privileges(self):
        self.write("etc/systemd/system/acme-agent.socket.d/test.conf",
                   f"[Socket]\nListenStream=\nListenStream=127.0.0.1:{self.ca.http_port}\n")
        shutil.copy(REPOSITORY / "systemd/unprivileged.conf", self.root / DROP_IN)
        self.configure(reload="systemd:mosquitto")
        self.do("systemctl", "daemon-reload")
        self.do("systemctl", "enable", "--now", "acme-agent.socket", "acme-agent.service")
        self.assertEqual(self.capabilities(), 0)
        self.assert_renewed()
        # nor even a word to systemd
        self.configure(reload="none")
        self.do("systemctl", "restart", "acme-agent")
        self.do("systemctl", "enable", "--now", f"acme-agent-reload@{NAME}.path")
        self.assert_renewed()
        self.do("systemctl", "disable", "--now", f"acme-agent-reload@{NAME}.path")

    def purge(self):
        for folder in self.root.glob("etc/systemd/system/acme-agent*.d"):
            shutil.rmtree(folder)
        self.do("systemctl", "stop", "mosquitto")
        self.do("dpkg", "-P", "acme-agent")
        self.assertEqual(self.show("LoadState"), "not-found")
        left = self.do("find", "/etc", "/usr", "/lib/", "/var/lib", "/run", "-xdev", "-name", "*acme-agent*",
                       "-not", "-path", "/usr/src/*", "-not", "-path", "/var/lib/containers/*").split()
        self.assertEqual(left, [])
