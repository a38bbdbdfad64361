"""Mosquitto as a service of a real systemd, in a container that boots one: reloads over D-Bus."""

import pathlib

from support import programs, tls
from support.agent import agent_environment, span_of_day
from support.case import Case
from support.container import Podman
from support.mosquitto import Mosquitto

RULES = pathlib.Path(__file__).resolve().parents[2] / "systemd/50-acme-agent.rules"
UNITS = {
    "test.target": "[Unit]\nRequires=basic.target dbus.socket\nAfter=basic.target dbus.socket\n",
    "deaf.service": "[Service]\nExecStart=/bin/sleep infinity\n",
    "failing.service": "[Service]\nExecStart=/bin/sleep infinity\nExecReload=/bin/false\n",
}


class Service(Mosquitto):
    """The unit of Debian's package, with a configuration of the test's."""

    def __init__(self, case, machine, cert_dir):
        super().__init__(case, cert_dir)
        self.machine = machine
        (machine.podman.root / "etc/systemd/system/mosquitto.service.d").mkdir()
        (machine.podman.root / "etc/systemd/system/mosquitto.service.d/test.conf").write_text(
            f"[Service]\nExecStart=\nExecStart=/usr/sbin/mosquitto -c {self.config}\n")

    def start(self):
        self.machine.run("systemctl", "start", "mosquitto")
        programs.eventually(lambda: programs.listens(self.port), 10, "Mosquitto's port")


class Machine:
    """Boots within two seconds, as no more is started than the bus and what is asked for."""

    def __init__(self, case):
        self.podman = Podman(case)
        self.name = self.podman.full_name("machine")
        for unit, text in UNITS.items():
            (self.podman.root / "etc/systemd/system" / unit).write_text(text)

    def boot(self):
        self.program = self.podman.start("machine", "/lib/systemd/systemd", "--unit=test.target", options=["--systemd=always"])
        programs.eventually(lambda: self.podman.run("exec", self.name, "busctl", "status")[0] == 0, 30, "the system bus")

    def words(self, *words, user="root"):
        return ["podman", "exec", "--user", user, *[f"--env={k}={v}" for k, v in agent_environment().items()], self.name, *words]

    def run(self, *words, **options):
        return programs.run(self.words(*words, **options))


class Systemd(Case):
    def setUp(self):
        super().setUp()
        self.machine = Machine(self)
        self.mqtt = Service(self, self.machine, self.folder / "certs")
        self.machine.boot()
        self.ca = self.pebble()
        self.me = self.agent(self.ca, self.mqtt.port, reload="systemd:mosquitto", probe_timeout="5s", reuse_key="no")

    def renew(self, user="root", **options):
        return self.machine.run(self.agent_path, "renew", self.me.name, "--force", *self.me.arguments(**options), user=user)

    def assert_renewed(self, **options):
        before = tls.served(self.mqtt.port)
        code, output = self.renew(**options)
        self.assertEqual(code, 0, output)
        self.assertNotEqual(tls.served(self.mqtt.port), before)
        self.assertEqual(tls.served(self.mqtt.port), self.me.leaf())

    def assert_untold(self, *needles, **options):
        code, output = self.renew(**options)
        self.assertEqual(code, 3, output)
        self.assert_one_sentence(output, *needles)

    def test_a_service_is_reloaded_by_root_and_by_whom_polkit_permits_and_what_hinders_it_is_told(self):
        # the broker is not there yet: nothing that somebody has to mend
        code, output = self.renew(owner="root:mosquitto")
        self.assertEqual(code, 3, output)
        self.assert_one_sentence(output, "mosquitto.service is inactive", "looking again")
        self.mqtt.start()
        self.assert_renewed()
        # whom systemd tells is who must be able to read
        self.assert_untold("(pid ", "cannot read", "nothing was changed", owner="root:root", mode="0600")
        self.assert_renewed()

        self.assert_untold("there is no mosquito.service", reload="systemd:mosquito")
        self.machine.run("systemctl", "start", "deaf", "failing")
        self.assert_untold("deaf.service has no way to reload", "ExecReload", reload="systemd:deaf")
        self.assert_untold("failing.service failed to reload", "journalctl", reload="systemd:failing")

        # another kind of key: the broker is restarted where that is allowed, and only there
        main_pid = lambda: self.machine.run("systemctl", "show", "--property", "MainPID", "mosquitto")[1]  # noqa: E731
        before = main_pid()
        self.assert_untold("it is restarted at", key_type="ec256", restart_window=span_of_day(2, 3))
        self.assertEqual(main_pid(), before)
        self.assert_renewed(key_type="ec256", restart_window=span_of_day(-1, 1))
        after = main_pid()
        self.assertNotEqual(after, before)
        self.assert_renewed(key_type="ec256", restart_window=span_of_day(-1, 1))
        self.assertEqual(main_pid(), after)
        self.me.options.update(key_type="ec256")

        # an agent without privileges
        for folder in (self.me.state, self.me.cert_dir):
            programs.run(["chown", "-R", "mosquitto:mosquitto", folder])
        self.assert_untold("user ", "may not reload mosquitto.service", "polkit rule", user="mosquitto")
        rules = self.machine.podman.root / "etc/polkit-1/rules.d/50-acme-agent.rules"
        rules.parent.mkdir(parents=True, exist_ok=True)
        rules.write_text(RULES.read_text().replace('"acme-agent"', '"mosquitto"'))
        self.assert_renewed(user="mosquitto")
        before = main_pid()
        self.assert_renewed(user="mosquitto", key_type="rsa2048", restart_window=span_of_day(-1, 1))
        self.assertNotEqual(main_pid(), before)
        for verb, unit in (("stop", "mosquitto"), ("start", "mosquitto"), ("restart", "deaf"), ("reload", "failing")):
            code, output = self.machine.run("systemctl", "--no-ask-password", verb, unit, user="mosquitto")
            self.assertNotEqual(code, 0, f"{verb} {unit}")
            self.assertRegex(output, "Interactive authentication required|Access denied")
