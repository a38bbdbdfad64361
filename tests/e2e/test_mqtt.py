"""The state of the certificates at a broker: topics, the last will, and discovery for Home Assistant."""

import json
import os
import re
import shutil
import socket
from datetime import datetime

from support import programs
from support.case import ServedCase
from support.mosquitto import executable

# What Home Assistant's documentation of MQTT discovery requires and allows, as far as we use it (device discovery, 2024.11).
DEVICE_KEYS = {"ids", "name", "mf", "mdl", "sw"}
ROOT_KEYS = {"dev", "o", "cmps", "availability_topic", "state_topic", "qos"}
COMPONENT_KEYS = {"p", "unique_id", "name", "value_template", "device_class", "unit_of_measurement", "entity_category"}
DEVICE_CLASSES = {"sensor": {"timestamp", "duration"}, "binary_sensor": {"problem"}}


class Mqtt(ServedCase):
    agent_options = {"key_type": "ec256"}

    def setUp(self):
        super().setUp()
        self.instance = re.sub(r"[^A-Za-z0-9_-]", "_", socket.gethostname())
        self.base = f"acme-agent/{self.instance}"
        self.serve()

    def listen(self, *more, where=None):
        """All that the broker says, from now on, as lines of JSON."""
        return self.case_program("listener", ["mosquitto_sub", *(where or ["-p", str(self.mqtt.plain_port)]), "-t", "#", "-F", "%j", *more])

    def case_program(self, name, argv):
        self._count = getattr(self, "_count", 0) + 1
        return self.program(f"{name}-{self._count}", argv)

    @staticmethod
    def messages(listener):
        found = []
        for line in listener.output().splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                pass
        return found

    def last(self, listener, topic):
        return next((m for m in reversed(self.messages(listener)) if m["topic"] == topic), None)

    def heard(self, listener, topic, check=lambda payload: True, seconds=20):
        def found():
            message = self.last(listener, topic)
            return message if message and check(message["payload"]) else None
        return self.eventually(found, seconds, f"{topic} at the broker")

    def retained(self):
        return self.listen("--retained-only", "-W", "3")

    def start(self, **changes):
        return self.me.start(**{"mqtt": f"mqtt://127.0.0.1:{self.mqtt.plain_port}", **changes})

    def test_status_state_and_discovery_are_there_and_say_what_status_says(self):
        listener = self.listen()
        agent = self.start()
        self.heard(listener, f"{self.base}/status", lambda p: p == "online")
        state = json.loads(self.heard(listener, f"{self.base}/cert/mydyn.example/state")["payload"])
        status = self.me.status()
        for ours, theirs in (("not_after", "not_after"), ("serial", "serial"), ("sha256", "fingerprint_sha256"), ("key_type", "key_type"),
                             ("issuer", "issuer"), ("chain_top", "chain_top"), ("next_attempt", "next_attempt")):
            self.assertEqual(state[ours], status[theirs])
        self.assertEqual((state["state"], state["problem"], state["served_ok"], state["last_result"], state["last_error"]),
                         ("good", False, True, "ok", None))
        kept = self.retained()
        self.eventually(lambda: not kept.running, 10, "the end of listening")
        self.assertEqual({m["topic"].split("/")[0] for m in self.messages(kept)}, {"acme-agent", "homeassistant"})
        self.assertEqual(len(self.messages(kept)), 3)
        agent.stop()
        self.heard(listener, f"{self.base}/status", lambda p: p == "offline")

    def test_discovery_is_what_home_assistant_documents(self):
        listener = self.listen()
        self.start()
        self.heard(listener, f"{self.base}/cert/mydyn.example/state")
        topic = self.eventually(lambda: next((m["topic"] for m in self.messages(listener) if m["topic"].startswith("homeassistant/")), None), 10, "discovery")
        self.assertRegex(topic, r"^homeassistant/device/[A-Za-z0-9_-]+/config$")
        payload = json.loads(self.last(listener, topic)["payload"])
        self.assertLessEqual(set(payload), ROOT_KEYS)
        self.assertEqual(set(payload["dev"]), DEVICE_KEYS)
        self.assertTrue(payload["dev"]["ids"] and payload["o"]["name"])  # both are required in device discovery
        self.assertEqual(payload["availability_topic"], f"{self.base}/status")  # "online" and "offline" are the defaults
        state = json.loads(self.heard(listener, payload["state_topic"])["payload"])
        ids = [component["unique_id"] for component in payload["cmps"].values()]
        self.assertEqual(len(set(ids)), len(ids))
        for key, component in payload["cmps"].items():
            with self.subTest(key):
                self.assertLessEqual(set(component), COMPONENT_KEYS)
                self.assertIn(component["p"], DEVICE_CLASSES)  # `p` is required for each component
                self.assertIn(component.get("device_class"), DEVICE_CLASSES[component["p"]] | {None})
                self.assertIn(component.get("entity_category"), {None, "diagnostic"})
                for field in re.findall(r"value_json\.(\w+)", component["value_template"]):
                    self.assertIn(field, state)
                if component.get("device_class") == "timestamp":
                    field = re.search(r"value_json\.(\w+)", component["value_template"]).group(1)
                    self.assertIsNotNone(datetime.fromisoformat(state[field].replace("Z", "+00:00")).tzinfo)
                if component.get("device_class") == "duration":
                    self.assertEqual(component["unit_of_measurement"], "d")

    def test_what_is_no_longer_looked_after_when_the_agent_starts_is_taken_back(self):
        config = self.folder / "agent.conf"
        config.write_text("[mydyn.example]\n[goes.example]\nreload = none\nprobe = none\n")
        options = {"config": config, "domain": None, "cert_dir": None, "probe": None}
        listener = self.listen()
        agent = self.start(**options)
        topic = f"{self.base}/cert/goes.example/state"
        self.heard(listener, topic)
        agent.stop()
        config.write_text("[mydyn.example]\n")
        self.start(**options)
        self.heard(listener, topic, lambda payload: not payload)
        kept = self.retained()
        self.eventually(lambda: not kept.running, 10, "the end of listening")
        self.assertFalse([m["topic"] for m in self.messages(kept) if "goes" in m["topic"]])

    def test_a_renewal_is_an_event_and_a_new_state(self):
        listener = self.listen()
        self.start()
        topic = f"{self.base}/cert/mydyn.example"
        before = json.loads(self.heard(listener, f"{topic}/state")["payload"])["sha256"]
        self.assertEqual(self.me.renew("--force")[0], 0)
        self.heard(listener, f"{topic}/state", lambda p: json.loads(p)["sha256"] != before)
        event = self.heard(listener, f"{topic}/event")
        self.assertEqual((json.loads(event["payload"])["event"], event["retain"]), ("renewed", 0))

    def test_an_agent_that_is_killed_is_offline_by_its_last_will(self):
        listener = self.listen()
        agent = self.start()
        self.heard(listener, f"{self.base}/status", lambda p: p == "online")
        agent.process.kill()
        self.heard(listener, f"{self.base}/status", lambda p: p == "offline")

    def test_a_broker_that_is_away_is_no_error_and_is_told_everything_when_it_is_back(self):
        port = programs.free_port()
        agent = self.start(mqtt=f"mqtt://127.0.0.1:{port}")
        self.me.wait_until_valid()
        self.eventually(lambda: f"cannot publish to mqtt://127.0.0.1:{port}" in agent.output(), 10, "a warning")
        self.assertEqual(self.me.renew("--force")[0], 0)
        config = self.folder / "other.conf"
        config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
        self.case_program("other-broker", ["mosquitto", "-c", config])
        self.eventually(lambda: programs.listens(port), 10, "the broker")
        listener = self.listen(where=["-p", str(port)])
        self.heard(listener, f"{self.base}/cert/mydyn.example/state", seconds=30)
        self.assertEqual(agent.output().count("cannot publish"), 1)

    def test_a_broker_that_wants_to_hear_of_its_clients_more_often_is_told_what_to_change(self):
        port = programs.free_port()
        config = self.folder / "other.conf"
        config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_keepalive 60\n")
        self.case_program("other-broker", [executable("newest"), "-c", config])  # 2.0 of Debian is content
        self.eventually(lambda: programs.listens(port), 10, "the broker")
        agent = self.start(mqtt=f"mqtt://127.0.0.1:{port}")
        self.eventually(lambda: "is its max_keepalive below 300" in agent.output(), 10, "a warning")

    def test_a_broker_that_is_started_anew_is_told_everything_at_once(self):
        port = programs.free_port()
        config = self.folder / "other.conf"
        config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
        agent = self.start(mqtt=f"mqtt://127.0.0.1:{port}")
        for times in (1, 2):
            broker = self.case_program("other-broker", ["mosquitto", "-c", config])
            self.eventually(lambda: agent.output().count("publishes to") == times, 10, "a connection")
            listener = self.listen(where=["-p", str(port)])
            self.heard(listener, f"{self.base}/cert/mydyn.example/state")
            broker.process.kill()
            self.eventually(lambda: agent.output().count("lost the connection") == times, 5, "word of the loss")

    def test_home_assistant_that_starts_hears_discovery_again(self):
        listener = self.listen()
        self.start()
        self.heard(listener, f"{self.base}/cert/mydyn.example/state")

        def discoveries():
            return [m for m in self.messages(listener) if m["topic"].startswith("homeassistant/device/")]
        before = len(self.eventually(discoveries, 10, "discovery"))
        code, output = programs.run(["mosquitto_pub", "-p", str(self.mqtt.plain_port), "-t", "homeassistant/status", "-m", "online"])
        self.assertEqual(code, 0, output)
        self.eventually(lambda: len(discoveries()) > before, 10, "discovery once more")

    def test_tls_with_a_password_is_spoken_to_the_broker_that_it_is_and_to_no_other(self):
        other = self.folder / "other"
        other.mkdir()
        shutil.chown(other, "mosquitto", "mosquitto")
        secret = self.folder / "password"
        secret.write_text("correct horse\n")
        secret.chmod(0o600)
        passwords = self.folder / "passwords"
        programs.run(["mosquitto_passwd", "-c", "-b", passwords, "agent", "correct horse"])
        passwords.chmod(0o644)
        root = self.folder / "root.pem"
        key, certificate = other / "key.pem", other / "cert.pem"
        programs.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out",
                      certificate, "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2"])
        for file in (key, certificate):
            shutil.chown(file, "mosquitto", "mosquitto")
        port, plain = programs.free_port(), programs.free_port()
        root.write_text(certificate.read_text())
        config = self.folder / "tls.conf"
        config.write_text(f"user mosquitto\nper_listener_settings true\nlistener {port} 127.0.0.1\ncertfile {certificate}\nkeyfile {key}\n"
                          f"allow_anonymous false\npassword_file {passwords}\nlistener {plain} 127.0.0.1\nallow_anonymous true\n")
        os.chmod(self.folder, 0o755)
        broker = self.case_program("tls-broker", ["mosquitto", "-c", config])
        self.eventually(lambda: (programs.listens(port) and programs.listens(plain)) or not broker.running, 10, "the broker")
        listener = self.listen(where=["-p", str(plain)])
        both = self.folder / "both.pem"  # the server's HTTPS and the broker
        both.write_text(root.read_text() + self.ca.ca_bundle.read_text())

        stranger = self.start(mqtt=f"mqtts://agent@127.0.0.1:{port}", mqtt_password_file=secret, ca_bundle=both)
        self.eventually(lambda: "cannot publish to mqtts://127.0.0.1" in stranger.output(), 10, "a refusal of the wrong name")
        stranger.stop()
        self.assertEqual(self.messages(listener), [])

        untrusted = self.start(mqtt=f"mqtts://agent@localhost:{port}", mqtt_password_file=secret)
        self.eventually(lambda: "cannot publish to mqtts://localhost" in untrusted.output(), 10, "a refusal of the unknown root")
        untrusted.stop()
        self.assertEqual(self.messages(listener), [])

        self.start(mqtt=f"mqtts://agent@localhost:{port}", mqtt_password_file=secret, ca_bundle=both)
        self.heard(listener, f"{self.base}/status", lambda p: p == "online")

    def test_a_broker_in_the_file_system_hears_it_even_when_its_tls_is_broken(self):
        path = self.folder / "mosquitto.sock"
        config = self.folder / "socket.conf"
        port = programs.free_port()
        config.write_text(f"user root\nlistener 0 {path}\nallow_anonymous true\nlistener {port} 127.0.0.1\nallow_anonymous true\n")
        self.case_program("socket-broker", ["mosquitto", "-c", config])
        self.eventually(lambda: programs.listens(port), 10, "the broker")
        listener = self.listen(where=["-p", str(port)])
        self.start(mqtt=f"unix:{path}")
        self.heard(listener, f"{self.base}/cert/mydyn.example/state")

    def test_check_finds_a_password_that_cannot_be_read_and_one_without_a_user(self):
        code, output = self.me.run("check", mqtt="mqtts://agent@localhost", mqtt_password_file=self.folder / "none")
        self.assertEqual(code, 2)
        self.assert_one_sentence(output, "mqtt-password-file", "there is no such file")
        code, output = self.me.run("check", mqtt="mqtts://localhost", mqtt_password_file=self.folder / "none")
        self.assertEqual(code, 2)
        self.assert_one_sentence(output, "mqtt-password-file", "without a user")

    def test_without_it_libmosquitto_is_not_even_loaded(self):
        agent = self.me.start()
        self.me.wait_until_valid()
        with open(f"/proc/{agent.pid}/maps") as maps:
            self.assertNotIn("libmosquitto", maps.read())
