"""The compose files of examples/, started as they stand: first start, renewals, restarts of the broker, a second `up`.

The images are not those of a registry: each container's root is this machine's, with the user of Mosquitto's image, or what our
Dockerfile takes of it."""

import json
import pathlib
import re
import shutil

from support import compose, network, tls
from support.agent import Agent, agent_environment
from support.case import Case
from support.container import Podman
from support.programs import RUN, eventually, run

EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "examples"
BROKER = ["/usr/sbin/mosquitto", "-c", "/mosquitto/config/mosquitto.conf"]

# Stands for the entrypoint that IOTstack builds into its image: it ends where it may not change an owner.
IOTSTACK_ENTRYPOINT = """#!/bin/sh
set -e
chown -Rc mosquitto:mosquitto /mosquitto
exec "$@"
"""

# Stands for what IOTstack's menu writes.
IOTSTACK = """
services:
  mosquitto:
    image: iotstack-mosquitto
    restart: unless-stopped
    ports:
      - "1883:1883"
    volumes:
      - ./volumes/mosquitto/config:/mosquitto/config
      - ./volumes/mosquitto/data:/mosquitto/data
"""


class ComposeCase(Case):
    def setUp(self):
        super().setUp()
        network.enter(self)
        self.podman = Podman(self)
        self.use_the_user_of_the_image()
        shutil.copy(self.agent_path, self.podman.root / "usr/local/bin/acme-agent")
        self.stack_folder = self.folder / "stack"
        settings = self.lay_out(self.stack_folder)
        for name in ("certs", "state"):
            folder = self.stack_folder / "volumes/acme-agent" / name
            folder.mkdir(parents=True)
        code, output = run(["chown", "-R", "1883:1883", self.stack_folder / "volumes/acme-agent"])
        self.assertEqual(code, 0, output)

        self.ca = self.pebble(http_port=80)
        self.me = Agent(self, self.ca)
        self.me.state, self.me.cert_dir = (self.stack_folder / "volumes/acme-agent" / one for one in ("state", "certs"))
        self.me.options.update(state_dir=self.me.state, cert_dir=self.me.cert_dir)
        environment = {**agent_environment(), "ACME_AGENT_SERVER": self.ca.url, "ACME_AGENT_CA_BUNDLE": self.ca.ca_bundle}
        del environment["PATH"], environment[RUN]
        image = {"entrypoint": self.words_of_our_image("ENTRYPOINT"), "command": [], "root": self.root_of_our_image()}
        self.stack = compose.Stack(self, self.podman, self.stack_folder, settings, {
            "acme-agent": image,
            "eclipse-mosquitto:2": {"entrypoint": [], "command": BROKER},
            "iotstack-mosquitto": {"entrypoint": ["/iotstack-entrypoint.sh"], "command": BROKER},
        }, options=[f"--env={key}={value}" for key, value in environment.items()])
        for host, container in self.stack.published("acme-agent"):
            network.forward(host, container)

    def use_the_user_of_the_image(self):
        for file in ("passwd", "group"):
            path = self.podman.root / "etc" / file
            path.write_text(re.sub(r"(?m)^mosquitto:x:\d+:(\d+:)?",
                                   "mosquitto:x:1883:" + ("1883:" if file == "passwd" else ""), path.read_text()))

    def words_of_our_image(self, instruction):
        found = re.search(rf"^{instruction} (\[.*\])$", (EXAMPLES / "container/Dockerfile").read_text(), re.M)
        return json.loads(found.group(1))

    def root_of_our_image(self):
        return None

    def ask_agent(self, *words):
        code, output = self.podman.run("exec", self.podman.full_name("acme-agent"), *words)
        self.assertEqual(code, 0, output)
        return output

    def renew(self):
        self.ask_agent("acme-agent", "renew", "mydyn.example", "--force")

    def assert_served(self):
        leaf = self.me.leaf()
        eventually(lambda: self.served() == leaf, 20, "the new certificate on the wire")
        tls.verify(8883, self.ca.root())

    def served(self):
        try:
            return tls.served(8883)
        except OSError:
            return None

    def wait_until_issued(self, count):
        eventually(lambda: self.ca.count("Issued certificate") >= count, 30, "a certificate")

    def pid_of_broker(self):
        return self.podman.run("inspect", "--format", "{{.State.Pid}}", self.podman.full_name("mosquitto"))[1].strip()

    def reloads(self):
        return self.stack.programs["mosquitto"].output().count("Reloading config.")

    def tell_its_story(self):
        self.stack.up()
        self.wait_until_issued(1)
        self.me.wait_until_valid()
        self.assert_served()

        broker, before, reloads = self.pid_of_broker(), self.me.leaf(), self.reloads()
        self.renew()
        self.assertNotEqual(self.me.leaf(), before)
        self.assert_served()
        self.assertEqual(self.pid_of_broker(), broker)
        self.assertEqual(self.reloads(), reloads + 1)

        orders = self.ca.orders()
        self.stack.up()  # once more, while the agent works
        placeholder = next(program for name, program in self.stack.programs.items() if "placeholder" in name)
        self.assertEqual(placeholder.wait(), 0, placeholder.output())
        self.stack.restart("mosquitto")
        eventually(self.me.is_running, 20, "the agent's control socket")
        self.assertNotEqual(self.pid_of_broker(), broker)
        self.assert_served()
        self.assertEqual(self.ca.orders(), orders)
        self.renew()
        self.assert_served()
        self.assertEqual(self.ask_agent(*self.words_of_our_image("HEALTHCHECK .* CMD")), "ok\n")


class Container(ComposeCase):
    def lay_out(self, folder):
        shutil.copytree(EXAMPLES / "container", folder)
        (folder / "volumes/mosquitto/data").mkdir(parents=True)
        return compose.read((folder / "compose.yml").read_text(), {"DOMAIN": "mydyn.example"})

    def root_of_our_image(self):
        """What the Dockerfile takes of a Debian, of this machine's."""
        script, folder = self.podman.root / "usr/local/bin/run-time.sh", self.folder / "image"
        shutil.copy(EXAMPLES / "container/run-time.sh", script)
        code, output = self.podman.run("run", "--rm", *self.podman.options("copying"), "--rootfs", self.podman.root, script.name, folder)
        self.assertEqual(code, 0, output)
        self.assertEqual([file.name for file in folder.rglob("bin/*")], ["acme-agent"])
        return folder

    def test_broker_and_agent_start_renew_and_come_back_as_the_file_says(self):
        self.tell_its_story()


class IotstackCase(ComposeCase):
    def lay_out(self, folder):
        folder.mkdir()
        config = folder / "volumes/mosquitto/config/mosquitto.conf"
        config.parent.mkdir(parents=True)
        readme = (EXAMPLES / "iotstack/README.md").read_text()
        lines = re.search(r"```\n( +listener 8883\n.*?) +```", readme, re.S).group(1)
        config.write_text("listener 1883\nallow_anonymous true\n" + lines)
        entrypoint = self.podman.root / "iotstack-entrypoint.sh"
        entrypoint.write_text(IOTSTACK_ENTRYPOINT)
        entrypoint.chmod(0o755)
        variables = {"DOMAIN": "mydyn.example"}
        return compose.merge(compose.read(IOTSTACK, variables), compose.read(self.override(folder), variables))


class Iotstack(IotstackCase):
    """With the override file as `acme-agent init` writes it, which is that of the example."""

    def override(self, folder):
        (folder / "docker-compose.yml").write_text(IOTSTACK)
        code, output = run([self.agent_path, "init", "--force", "--domain", "mydyn.example"], cwd=folder,
                           env=agent_environment())
        self.assertEqual(code, 0, output)
        return (folder / "docker-compose.override.yml").read_text()

    def test_the_override_file_lies_over_what_the_menu_wrote(self):
        self.tell_its_story()
        self.assertEqual(self.stack.published("mosquitto"), [(1883, 1883), (8883, 8883)])


class IotstackTrap(IotstackCase):
    def override(self, folder):
        del folder
        override = (EXAMPLES / "iotstack/docker-compose.override.yml").read_text()
        return override.replace("certs:/certs:ro", "certs:/mosquitto/certs:ro")

    def test_a_read_only_folder_below_that_of_mosquitto_keeps_the_broker_of_iotstack_from_starting(self):
        self.stack.start("acme-agent-placeholder").wait()
        broker = self.stack.start("mosquitto")
        self.assertNotEqual(broker.wait(), 0)
        self.assertIn("'/mosquitto/certs': Read-only file system", broker.output())
