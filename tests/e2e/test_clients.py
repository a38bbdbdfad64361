"""What real TLS clients say of what the broker serves: a certificate is only good once the devices take it."""

import json
import pathlib

from support import le_chains, mqtt, node_red, programs, tls_files
from support.case import ServedCase
from support.clients import CLIENTS, SOURCES, TASMOTA
from support.skips import skip

ROOT = pathlib.Path(__file__).resolve().parents[2]


class ClientsCase(ServedCase):
    agent_options = {"key_type": "rsa2048"}

    def assert_refused(self, client, reason, port, root, **options):
        code, output = client.connect(self, port, root, **options)
        self.assertNotEqual(code, 0, f"{client.name} takes it: {output}")
        self.assertRegex(output.strip(), reason, f"{client.name} refuses it, for another reason")

    def assert_taken(self, client, port, root):
        code, output = client.connect(self, port, root)
        self.assertEqual(code, 0, f"{client.name} refuses it: {output}")


class Matrix(ClientsCase):
    """Every client, after the first certificate and after the next."""

    def assert_matrix(self, clients):
        self.serve()
        root = self.ca.root()
        foreign, _ = tls_files.self_signed(self.folder)
        for _ in range(2):
            for client in clients:
                self.assert_taken(client, self.mqtt.port, root)
                self.assert_refused(client, client.no_root, self.mqtt.port, foreign)
                self.assert_refused(client, client.no_name, self.mqtt.port, root, name="other.example")
            code, output = self.me.renew("--force")
            self.assertEqual(code, 0, output)
            self.assert_served()

    def test_every_client_takes_an_rsa_certificate_and_the_next_one(self):
        self.assert_matrix(CLIENTS)

    def test_every_client_but_tasmota_takes_an_elliptic_certificate_and_the_next_one(self):
        self.me.options["key_type"] = "ec256"
        self.assert_matrix([client for client in CLIENTS if not client.only_rsa])
        self.assert_refused(TASMOTA, "BearSSL error 296$", self.mqtt.port, self.ca.root())


class Fingerprint(ClientsCase):
    def fingerprint(self):
        code, output = self.me.run("tasmota", "fingerprint", "--json")
        self.assertEqual(code, 0, output)
        return "fingerprint:" + json.loads(output)["fingerprints"][0]["fingerprint"]

    def test_a_device_that_was_told_the_fingerprint_stays_with_it_over_a_renewal_and_not_over_a_change_of_keys(self):
        first = self.serve()
        told = self.fingerprint()
        self.assert_taken(TASMOTA, self.mqtt.port, told)
        code, output = self.me.renew("--force")
        self.assertEqual(code, 0, output)
        self.assertNotEqual(self.mqtt.served(), first)
        self.assert_taken(TASMOTA, self.mqtt.port, told)

        code, output = self.me.renew("--force", reuse_key="no")
        self.assertEqual(code, 0, output)
        self.assert_refused(TASMOTA, "BearSSL error 1$", self.mqtt.port, told)
        self.assert_taken(TASMOTA, self.mqtt.port, self.fingerprint())


class BuiltIn(ClientsCase):
    agent_options = {"key_type": "rsa2048"}

    def connect(self, root):
        """As firmware that was built with the headers for this root, in a folder of their own."""
        folder = self.folder / root.stem
        folder.mkdir()
        code, output = self.me.run("tasmota", "headers", root, folder)
        self.assertEqual(code, 0, output)
        code, output = programs.run(["cc", "-DINCLUDE_LOCAL_CERT", "-I", folder, "-o", folder / "client", SOURCES / "bearssl.c",
                                     "-lbearssl"])
        self.assertEqual(code, 0, output)
        return programs.run([folder / "client", "127.0.0.1", self.mqtt.port, "mydyn.example", "built-in"])

    def test_firmware_with_our_headers_trusts_that_root_and_no_other(self):
        self.serve()
        code, output = self.connect(self.ca.root())
        self.assertEqual(code, 0, output)
        other, _ = tls_files.self_signed(self.folder)
        code, output = self.connect(other)
        self.assertEqual((code, output.strip()), (1, "BearSSL error 62"))

    def test_what_is_no_root_is_refused(self):
        self.serve()
        for file, text in ((self.me.cert_dir / "cert.pem", "is none of an authority"),
                           (self.folder / "gone.pem", "there is no file")):
            code, output = self.me.run("tasmota", "headers", file, self.folder)
            self.assertEqual(code, 2, output)
            self.assert_one_sentence(output, text)


class LetsEncrypt(ClientsCase):
    """Chains of its sizes and depth, as devices meet them that know ISRG Root X1 only."""

    def test_devices_that_know_the_oldest_root_only_need_the_whole_chain_and_doctor_says_so_of_tasmota(self):
        # What the broker serves, what most clients make of it, and Tasmota.
        rows = [("leaf rsa2048, YR1, YR by X1", None, None),
                ("leaf rsa2048, YR1", "no_root", "BearSSL error 62$"),
                ("leaf P-256, YE1, YE by X2, X2 by X1", None, "BearSSL error 296$")]
        chains = le_chains.Chains(self.run_folder)
        ports = self.mqtt.serve_more([chains.files(row) for row, _, _ in rows])
        self.serve()
        for port, (row, others, tasmota) in zip(ports, rows):
            for client in CLIENTS:
                with self.subTest(served=row, by=client.name):
                    reason = tasmota if client is TASMOTA else others and getattr(client, others)
                    if reason:
                        self.assert_refused(client, reason, port, chains.root)
                    else:
                        self.assert_taken(client, port, chains.root)
            code, output = self.me.run("doctor", "--as", "tasmota", "--json", probe=f"localhost:{port}", device_trust=chains.root)
            verdicts = {one["verdict"] for one in json.loads(output)["certificates"][0]["findings"] if one["about"] == "tasmota"}
            self.assertEqual(verdicts, {"bad" if tasmota else "good"}, f"{row}: {output}")


class CommandLine(ServedCase):
    def test_the_lines_of_the_example_run_as_they_stand(self):
        """But for the port, and the folder of roots, which has the one of the test's authority."""
        self.serve()
        roots, hosts = self.folder / "roots", self.folder / "hosts"
        roots.mkdir()
        (roots / "root.pem").write_text(self.ca.root().read_text())
        tls_files.openssl("rehash", roots)
        hosts.write_text("127.0.0.1 mydyn.example\n")
        lines = (ROOT / "examples/clients/README.md").read_text().split("```sh\n")[1].split("```")[0]
        lines = lines.replace("8883", str(self.mqtt.port)).replace("/etc/ssl/certs", str(roots))
        code, output = programs.run(["sh", "-ec", lines], env=programs.environment(
            LD_PRELOAD="libnss_wrapper.so", NSS_WRAPPER_HOSTS=hosts))
        self.assertEqual((code, output), (0, "hello\n"))


class NodeRed(ServedCase):
    """The flow of examples/node-red in the real one."""

    def assert_read(self, reader, payload):
        device = mqtt.Client(self.mqtt.plain_port, "sensor", tls=False)
        device.publish("tele/sensor/STATE", payload)
        device.close()
        reader.wait_for_output(payload)

    def test_the_example_flow_reads_messages_before_and_after_a_renewal_and_verifies_the_broker(self):
        if not node_red.is_here():
            skip("no-node-red")
        example = node_red.flow()["mqtt-broker"]
        self.assertEqual((example["broker"], example["port"]), (self.me.name, "8883"))
        self.serve()
        trusted = {"NODE_EXTRA_CA_CERTS": self.ca.root()}
        reader = node_red.start(self, "node-red", self.me.name, self.mqtt.port, **trusted)
        no_root = node_red.start(self, "node-red-without-root", self.me.name, self.mqtt.port)
        no_name = node_red.start(self, "node-red-with-another-name", "other.example", self.mqtt.port, **trusted)
        connected = f"Connected to broker: mqtts://{self.me.name}:{self.mqtt.port}"
        reader.wait_for_output(connected, seconds=30)
        self.assert_read(reader, "before the renewal")

        code, output = self.me.renew("--force")
        self.assertEqual(code, 0, output)
        self.assert_served()
        self.assert_read(reader, "after the renewal")
        self.assertEqual(reader.output().count(connected), 1, "it was disconnected")
        del self.device
        self.mqtt.restart()
        reader.wait_for_output(connected, count=2)
        self.assert_read(reader, "with the new certificate")

        for stranger in (no_root, no_name):
            stranger.wait_for_output("Connection failed to broker", seconds=30)
            self.assertNotIn("Connected to broker", stranger.output())
