"""Broker and agent side by side in real containers: each way to tell the broker, and what happens when it is restarted."""

import http.client
import pathlib

from support import programs
from support.agent import agent_environment, span_of_day
from support.case import Case
from support.container import ContainedMosquitto, Podman

PROXY = pathlib.Path(__file__).resolve().parents[2] / "examples/container/socket-proxy.cfg"


class ContainerCase(Case):
    before = ""

    def setUp(self):
        super().setUp()
        self.podman = Podman(self)
        self.ca = self.pebble()
        self.mqtt = ContainedMosquitto(self, self.podman, self.folder / "certs", before=self.before.format(self))
        self.me = self.agent(self.ca, self.mqtt.port, probe_timeout="5s")
        code, output = self.me.once(probe="none", owner="mosquitto:mosquitto")
        self.assertEqual(code, 0, output)
        self.mqtt.start()

    def assert_served(self):
        self.assertEqual(self.mqtt.served(), self.me.leaf())


class ByTheApi(ContainerCase):
    def setUp(self):
        super().setUp()
        self.me.options.update(reload=f"container:{self.mqtt.name}@{self.podman.serve()}", reuse_key="no", owner="mosquitto")

    def test_a_renewal_is_told_through_the_socket_and_served(self):
        before = self.mqtt.served()
        code, output = self.me.renew("--force")
        self.assertEqual(code, 0, output)
        self.assertNotEqual(self.mqtt.served(), before)
        self.assert_served()

    def test_a_broker_that_is_down_is_waited_for_and_serves_what_came_meanwhile(self):
        daemon = self.me.start()
        self.me.wait_until_valid()
        self.mqtt.stop()
        code, output = self.me.renew("--force")
        self.assertEqual(code, 3, output)
        self.mqtt.start()
        self.me.wait_until_valid()
        self.assert_served()
        self.assertTrue(daemon.running)

    def started_at(self):
        return self.podman.run("inspect", "--format", "{{.State.StartedAt}}", self.mqtt.name)[1]

    def test_another_kind_of_key_is_served_after_a_restart_within_its_window_and_before_it_nothing_happens(self):
        began, before = self.started_at(), self.mqtt.served()
        code, output = self.me.renew("--force", key_type="ec256", restart_window=span_of_day(2, 3))
        self.assertEqual(code, 3, output)
        self.assert_one_sentence(output, "serves an RSA key and ours is an EC key", "it is restarted at")
        self.assertIn(self.me.record()["deploy"]["next_attempt"], output)
        self.assertEqual((self.started_at(), self.mqtt.served()), (began, before))

        now = {"key_type": "ec256", "restart_window": span_of_day(-1, 1)}
        code, output = self.me.renew(**now)
        self.assertEqual(code, 0, output)
        self.assert_served()
        restarted = self.started_at()
        self.assertNotEqual(restarted, began)

        # what a reload does is done by a reload
        code, output = self.me.renew("--force", **now)
        self.assertEqual(code, 0, output)
        self.assert_served()
        self.assertEqual(self.started_at(), restarted)

    def test_a_name_that_is_wrong_is_told_with_what_to_do(self):
        code, output = self.me.renew("--force", reload=f"container:nobody@{self.podman.socket}")
        self.assertEqual(code, 3, output)
        self.assert_one_sentence(output, f"{self.podman.socket} knows no container called nobody", "correct the name")


class ByAProxy(ContainerCase):
    """A real HAProxy before the socket, set up as examples/container has it."""

    def setUp(self):
        super().setUp()
        self.address = f"127.0.0.1:{programs.free_port()}"
        proxy = self.program("haproxy", ["/usr/sbin/haproxy", "-f", PROXY], env=programs.environment(
            CONTAINER=self.mqtt.name, SOCKET=self.podman.serve(), LISTEN=self.address))
        proxy.wait_for_port(int(self.address.rpartition(":")[2]))
        self.me.options.update(reload=f"container:{self.mqtt.name}@{self.address}", reuse_key="no", owner="mosquitto")

    def answer_to(self, method, path):
        connection = http.client.HTTPConnection(self.address, timeout=10)
        self.addCleanup(connection.close)
        connection.request(method, path)
        return connection.getresponse().status

    def test_a_renewal_is_told_through_it_and_nothing_else_gets_through(self):
        before = self.mqtt.served()
        code, output = self.me.renew("--force")
        self.assertEqual(code, 0, output)
        self.assertNotEqual(self.mqtt.served(), before)
        self.assert_served()

        name = self.mqtt.name
        for method, path in (("GET", "/containers/json"), ("POST", f"/containers/{name}/kill?signal=KILL"),
                             ("POST", f"/containers/{name}/kill"), ("POST", f"/containers/{name}/exec"),
                             ("GET", f"/containers/{name}/kill?signal=HUP"), ("POST", f"/containers/{name}/restart"),
                             ("POST", "/containers/another/kill?signal=HUP"), ("POST", "/containers/create"),
                             ("POST", f"/containers/{name}/kill?signal=HUP&signal=KILL")):
            self.assertEqual(self.answer_to(method, path), 403, f"{method} {path}")
        self.assert_served()

        code, output = self.me.renew("--force", key_type="ec256", restart_window=span_of_day(-1, 1))
        self.assertEqual(code, 3, output)
        self.assert_one_sentence(output, f"{self.address} forbids it", f"POST /containers/{name}/restart")


class InTheNamespaceOfTheBroker(ContainerCase):
    """As examples/container has it: the same user, no capability, no socket, one PID namespace."""

    def start_agent(self):
        self.me.allow("mosquitto")
        environment = [f"--env={key}={value}" for key, value in agent_environment().items() if key != "PATH"]
        agent = self.podman.start("agent", self.agent_path, *self.me.arguments(reload="process:mosquitto", reuse_key="no"),
                                  options=["--user", "mosquitto", "--cap-drop", "all", "--security-opt", "no-new-privileges",
                                           "--pid", f"container:{self.mqtt.name}", *environment])
        self.eventually(self.me.is_running, 20, "the agent's control socket")
        return agent

    def setUp(self):
        super().setUp()
        for folder in (self.me.state, self.me.cert_dir):
            code, output = programs.run(["chown", "-R", "mosquitto:mosquitto", folder])
            self.assertEqual(code, 0, output)

    def test_a_signal_is_enough_and_both_come_back_after_a_restart_of_the_broker(self):
        agent = self.start_agent()
        self.me.wait_until_valid()
        code, output = self.me.renew("--force")
        self.assertEqual(code, 0, output)
        self.assert_served()

        self.mqtt.stop()
        agent.wait()  # its PID namespace is gone
        self.podman.remove("agent")
        self.mqtt.start()
        self.start_agent()
        self.me.wait_until_valid()
        code, output = self.me.renew("--force")
        self.assertEqual(code, 0, output)
        self.assert_served()


class ByWatch(ContainerCase):
    before = "{0.agent_path} watch {0.folder}/certs -- kill -HUP 1 &"

    def test_a_watch_beside_the_broker_tells_it_and_the_agent_sees_it_served(self):
        for _ in range(2):
            before = self.mqtt.served()
            code, output = self.me.renew("--force", reload="none", reuse_key="no", owner="mosquitto")
            self.assertEqual(code, 0, output)
            self.assertNotEqual(self.mqtt.served(), before)
            self.assert_served()
            self.mqtt.restart()  # the watch with it


class ByWatchWithoutKill(ContainerCase):
    before = "{0.agent_path} watch {0.folder}/certs &"

    def test_a_watch_needs_no_program_to_tell_the_broker(self):
        code, output = self.me.renew("--force", reload="none", reuse_key="no", owner="mosquitto")
        self.assertEqual(code, 0, output)
        self.assert_served()
