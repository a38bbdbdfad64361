"""What the devices behind the broker can take: a chain that they would refuse does not get there."""

import ssl

from support import tls
from support.case import Case, ServedCase


class Alternates(Case):
    def test_of_the_chains_that_the_server_offers_the_one_that_the_devices_verify_is_deployed(self):
        ca = self.pebble(version="newest", alternate_roots=2)
        me = self.agent(ca)
        root = self.folder / "devices.pem"
        for number in (2, 0, 1):
            root.write_text(ca.fetch(f"/roots/{number}"))
            code, output = me.run("renew", me.name, "--force", device_trust=root)
            self.assertEqual(code, 0, output)
            tls.handshake(me.cert_dir / "fullchain.pem", me.cert_dir / "privkey.pem", root)

    def test_a_trial_tells_what_is_wrong_with_the_file_of_roots(self):
        roots = self.folder / "roots.pem"
        roots.write_text("no certificate")
        code, output = self.agent(self.pebble()).run("check", device_trust=roots)
        self.assertEqual(code, 2, output)
        self.assert_one_sentence(output, "device-trust", "roots.pem", "holds no certificate in PEM")


class Refused(ServedCase):
    agent_options = {"key_type": "rsa2048"}

    def test_what_tasmota_would_refuse_is_held_and_the_broker_goes_on_with_what_it_has(self):
        first = self.serve()
        options = {"for": "tasmota"}
        code, output = self.me.run("renew", self.me.name, "--force", **options)
        self.assertEqual(code, 3, output)
        self.assertIn("Tasmota devices would refuse this chain", output)
        self.assertIn("ISRG Root X1", output)
        self.assertIn("and 'acme-agent renew mydyn.example --force' orders another chain", output)
        self.assertEqual(self.mqtt.served(), first)
        self.assertEqual(self.me.leaf(), first)

        orders = self.ca.orders()
        code, output = self.me.once(**options)
        self.assertEqual((code, self.ca.orders()), (3, orders), output)
        self.assertIn("they know only ISRG Root X1", self.me.status()["deploy"]["last_error"])

        code, output = self.me.once(device_trust=self.ca.root(), **options)
        self.assertEqual((code, self.ca.orders()), (0, orders), output)
        self.assert_served()
        self.assertNotEqual(self.me.leaf(), first)

    def test_devices_that_look_at_the_fingerprint_only_get_any_chain(self):
        self.serve()
        code, output = self.me.run("renew", self.me.name, "--force", device_trust="none", **{"for": "tasmota"})
        self.assertEqual(code, 0, output)
        self.assert_served()

    def test_a_chain_that_is_too_long_for_the_devices_is_refused_with_both_lengths(self):
        code, output = self.me.once(max_chain_bytes=1000)
        self.assertEqual(code, 3, output)
        length = sum(len(ssl.PEM_cert_to_DER_cert("-----BEGIN CERTIFICATE-----" + one)) for one in
                     (self.me.state / "certificates" / self.me.name / "held/..data/fullchain.pem").read_text().split(
                         "-----BEGIN CERTIFICATE-----")[1:])
        self.assertIn(f"its certificates take {length} bytes, and the devices have room for 1000", output)
