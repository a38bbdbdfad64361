"""`acme-agent tasmota`: what a device has to know of the broker."""

import configparser
import hashlib
import json
import pathlib
import re
import struct
import subprocess

from support import programs
from support.case import Case, ServedCase

EXAMPLE = pathlib.Path(__file__).resolve().parents[2] / "examples/tasmota"


def fingerprint_of(certificate):
    """As Tasmota's documentation has it, from what OpenSSL says of the key."""
    text = subprocess.run(["openssl", "x509", "-in", certificate, "-noout", "-modulus"], check=True, capture_output=True,
                          text=True).stdout
    digest = hashlib.sha1()
    for field in (b"ssh-rsa", b"\1\0\1", bytes.fromhex(text.strip().split("=")[1])):
        digest.update(struct.pack(">I", len(field)) + field)
    return " ".join(f"{octet:02X}" for octet in digest.digest())


class Fingerprint(ServedCase):
    agent_options = {"key_type": "rsa2048"}

    def fingerprint(self, *what):
        code, output = self.me.run("tasmota", "fingerprint", *what, "--json")
        self.assertEqual(code, 0, output)
        return json.loads(output)["fingerprints"][0]

    def test_it_is_the_same_of_what_is_held_served_and_filed_and_over_renewals(self):
        self.serve()
        expected = fingerprint_of(self.me.cert_dir / "cert.pem")
        for _ in range(2):
            for what in ((), (self.me.name,), (f"localhost:{self.mqtt.port}",), (self.me.cert_dir / "combined.pem",)):
                self.assertEqual(self.fingerprint(*what)["fingerprint"], expected, what)
            code, output = self.me.renew("--force")
            self.assertEqual(code, 0, output)
        code, output = self.me.run("tasmota", "fingerprint")
        self.assertEqual(code, 0, output)
        line = f"Backlog SetOption132 1; MqttFingerprint1 {expected}\n"
        self.assertIn(line, output)
        octets = r"([0-9A-F]{2} ){19}[0-9A-F]{2}"
        self.assertIn(re.sub(octets, "", line), re.sub(octets, "", (EXAMPLE / "README.md").read_text()), "the example says another")

    def test_a_key_that_no_device_takes_is_told(self):
        self.me.options["key_type"] = "ec256"
        self.serve()
        found = self.fingerprint()
        self.assertFalse(found["usable"])
        code, output = self.me.run("tasmota", "fingerprint")
        self.assertIn("order with --key-type rsa2048", output)
        code, output = self.me.run("renew", self.me.name, "--force", key_type="ec384")
        self.assertEqual(self.fingerprint() | {"where": ""}, {"where": "", "fingerprint": None, "command": None, "usable": False})
        code, output = self.me.run("tasmota", "fingerprint")
        self.assertEqual(code, 0, output)
        self.assertNotIn("Backlog", output)

    def test_what_is_not_there_is_told_in_one_sentence(self):
        for what, code, needles in (("nowhere.example", 2, ["no certificate named 'nowhere.example'"]),
                                    ("localhost:1", 1, ["localhost:1 shows no certificate", "connection refused"]),
                                    ("./nothing.pem", 2, ["there is no file ./nothing.pem"])):
            found, output = self.me.run("tasmota", "fingerprint", what)
            self.assertEqual(found, code, output)
            self.assert_one_sentence(output, *needles)
        found, output = self.me.run("tasmota", "fingerprints")
        self.assertEqual(found, 2, output)
        self.assert_one_sentence(output, "'tasmota fingerprints' is not known")


class Rekey(ServedCase):
    agent_options = {"key_type": "rsa2048"}

    def line_of(self, output):
        return next(line.split("MqttFingerprint")[1] for line in output.splitlines() if "Backlog" in line)

    def rekey(self, *words):
        code, output = self.me.run("tasmota", "rekey", self.me.name, *words)
        self.assertEqual(code, 0, output)
        return self.line_of(output)

    def test_the_devices_know_the_next_key_before_the_broker_has_it(self):
        self.serve()
        old = fingerprint_of(self.me.cert_dir / "cert.pem")
        slot, next_one = self.rekey().split(" ", 1)
        self.assertEqual(slot, "2")
        self.assertNotEqual(next_one, old)
        self.assertEqual(self.rekey(), f"2 {next_one}", "it is another one when somebody asks again")
        code, output = self.me.renew("--force")
        self.assertEqual(code, 0, output)
        self.assertEqual(fingerprint_of(self.me.cert_dir / "cert.pem"), old, "a renewal takes it without being told to")

        self.assertEqual(self.rekey("--switch"), f"1 {next_one}")
        self.assert_served()
        self.assertEqual(fingerprint_of(self.me.cert_dir / "cert.pem"), next_one)
        code, output = self.me.renew("--force")
        self.assertEqual(fingerprint_of(self.me.cert_dir / "cert.pem"), next_one)

    def test_the_agent_that_runs_does_the_switch(self):
        self.serve()
        self.me.start()
        self.rekey()
        slot, new = self.rekey("--switch").split(" ", 1)
        self.assertEqual(fingerprint_of(self.me.cert_dir / "cert.pem"), new)
        self.assert_served()

    def test_what_makes_no_sense_is_refused_in_one_sentence(self):
        code, output = self.me.run("tasmota", "rekey", self.me.name)
        self.assertEqual(code, 2, output)
        self.assert_one_sentence(output, "there is no certificate named 'mydyn.example'")
        self.serve()
        for words, changes, text in (
                ((), {}, "whose key?"),
                ((self.me.name, "--switch"), {}, "there is no next key of mydyn.example"),
                ((self.me.name, "--switch"), {"domain": "other.example"},
                 "neither a running agent nor the configuration looks after 'mydyn.example', so that nothing was done"),
                ((self.me.name,), {"reuse_key": "no"}, "as reuse-key is no")):
            code, output = self.me.run("tasmota", "rekey", *words, **changes)
            self.assertEqual(code, 2, output)
            self.assert_one_sentence(output, text)

    def test_a_switch_that_the_server_does_not_serve_is_made_up_for_by_the_next_renewal(self):
        self.serve()
        next_one = self.rekey().split(" ", 1)[1]
        self.ca.stop()
        code, output = self.me.run("tasmota", "rekey", self.me.name, "--switch")
        self.assertEqual(code, 1, output)
        self.assertIn("the key is not changed yet", output)
        self.ca.start()
        code, output = self.me.renew("--force")
        self.assertEqual(code, 0, output)
        self.assertEqual(fingerprint_of(self.me.cert_dir / "cert.pem"), next_one)


class Example(Case):
    """examples/tasmota, as far as it can be shown without a compiler for these devices."""

    def test_the_header_goes_over_the_settings_that_are_there_without_a_warning(self):
        defaults = self.folder / "my_user_config.h"  # as Tasmota has them
        defaults.write_text("".join(f"#define {line}\n" for line in (
            'MQTT_HOST ""', "MQTT_PORT 1883", "MQTT_TLS_ENABLED false", "MQTT_TLS_FINGERPRINT true")))
        code, output = programs.run(["cc", "-E", "-dM", "-Werror", "-include", defaults, "-include",
                                     EXAMPLE / "user_config_override.h", "-x", "c++", "/dev/null"])
        self.assertEqual(code, 0, output)
        for line in ('MQTT_HOST "mydyn.example"', "MQTT_PORT 8883", "MQTT_TLS_ENABLED true", "MQTT_TLS_FINGERPRINT false",
                     "USE_MQTT_TLS ", "USE_MQTT_TLS_CA_CERT "):
            self.assertIn(f"#define {line}\n", output)

    def test_what_is_built_has_tls_and_room_for_the_keys_of_the_root(self):
        ini = configparser.ConfigParser(interpolation=None)
        ini.read(EXAMPLE / "platformio_override.ini")
        built = ini["env:" + ini["platformio"]["default_envs"]]
        self.assertEqual(built["build_flags"].split(), ["${env.build_flags}", "-DUSE_4K_RSA"])
        self.assertIn("lib/lib_ssl", built["lib_extra_dirs"])
