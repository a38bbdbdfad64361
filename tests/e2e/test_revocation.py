"""A certificate is revoked, replaced and, when nobody wants it any more, removed."""

import os
import signal

from support import agent as the_agent
from support.case import Case


class Revocation(Case):
    def setUp(self):
        super().setUp()
        self.ca = self.pebble(version="newest")
        self.me = self.agent(self.ca)
        code, output = self.me.once()
        self.assertEqual(code, 0, output)
        self.leaf, self.key = self.me.leaf(), the_agent.public_key(self.me.cert_dir / "cert.pem")
        self.serial = self.me.status()["serial"]

    def revoke(self, *words, **more):
        return self.me.run("revoke", self.me.name, *words, **more)

    def revoked(self, serial=None):
        """Whether Pebble has it so."""
        return "Revoked" in self.ca.fetch(f"/cert-status-by-serial/{(serial or self.serial).lstrip('0')}")

    def test_a_compromised_key_is_replaced_at_once_and_never_used_again(self):
        code, output = self.revoke("--reason", "key-compromise")
        self.assertEqual(code, 0, output)
        self.assertTrue(self.revoked())
        self.assertNotEqual(self.me.leaf(), self.leaf)
        fresh = the_agent.public_key(self.me.cert_dir / "cert.pem")
        self.assertNotEqual(fresh, self.key)
        code, output = self.me.renew("--force")
        self.assertEqual(code, 0, output)
        self.assertEqual(the_agent.public_key(self.me.cert_dir / "cert.pem"), fresh)

    def test_the_running_agent_replaces_it_and_keeps_the_key_where_that_is_good(self):
        daemon = self.me.start()
        code, output = self.revoke("--reason", "superseded")
        self.assertEqual(code, 0, output)
        self.assertTrue(self.revoked())
        self.assertNotEqual(self.me.leaf(), self.leaf)
        self.assertEqual(the_agent.public_key(self.me.cert_dir / "cert.pem"), self.key)
        self.assertTrue(daemon.running)

    def test_where_the_account_is_gone_the_certificates_own_key_signs(self):
        for file in (self.me.state / "accounts").rglob("*.*"):
            file.unlink()
        code, output = self.revoke()
        self.assertEqual(code, 0, output)
        self.assertTrue(self.revoked())

    def test_a_server_that_cannot_be_reached_leaves_all_as_it_was_unless_the_key_is_compromised(self):
        self.ca.stop()
        code, output = self.revoke("--reason", "superseded")
        self.assertEqual(code, 1, output)
        self.assert_one_sentence(output, "the server has not revoked it", "cannot reach")
        self.assertEqual(self.me.leaf(), self.leaf)
        code, output = self.me.once()
        self.assertEqual(code, 0, output)  # nothing is due
        code, output = self.revoke("--reason", "key-compromise")
        self.assertEqual(code, 1, output)
        self.assert_one_sentence(output, "its key is replaced all the same")
        self.assertEqual(self.me.leaf(), self.leaf, "there is none to replace it with yet")
        self.ca.start()
        code, output = self.me.renew()
        self.assertEqual(code, 0, output)
        self.assertNotEqual(the_agent.public_key(self.me.cert_dir / "cert.pem"), self.key)

    def test_a_revocation_that_did_not_come_to_its_end_is_gone_on_with(self):
        code, output = self.revoke("--reason", "key-compromise", ca_bundle="/etc/ssl/certs/ca-certificates.crt")
        self.assertEqual(code, 1, output)
        self.assertFalse(self.revoked())
        code, output = self.me.renew()
        self.assertEqual(code, 0, output)
        second = self.me.status()["serial"]
        code, output = self.revoke("--reason", "key-compromise")
        self.assertEqual(code, 0, output)
        self.assert_one_sentence(output, "first the certificate before")
        self.assertTrue(self.revoked())
        self.assertFalse(self.revoked(second))

    def test_a_reason_that_is_none_of_ours_is_refused_with_those_that_are(self):
        code, output = self.revoke("--reason", "privilege-withdrawn")
        self.assertEqual(code, 2, output)
        self.assert_one_sentence(output, "'privilege-withdrawn' is not one of unspecified, key-compromise, superseded and "
                                         "cessation-of-operation")
        self.assertFalse(self.revoked())

    def test_a_certificate_that_nobody_has_is_named(self):
        for name in ("other.example", "../../etc", ""):
            code, output = self.me.run("revoke", name)
            self.assertEqual(code, 2, output)
            self.assert_one_sentence(output, "there is no certificate named")


class Removal(Case):
    """With a configuration file of two sections, one of which is to go."""

    def setUp(self):
        super().setUp()
        self.ca = self.pebble(version="newest")
        self.config = self.folder / "agent.conf"
        self.me = self.agent(self.ca, config=self.config, domain=None, cert_dir=None)
        self.write("stays.example", "goes.example")
        code, output = self.me.once()
        self.assertEqual(code, 0, output)
        self.files = self.me.state / "live/goes.example"

    def write(self, *names):
        self.config.write_text("".join(f"[{name}]\n" for name in names))

    def remove(self, *words):
        return self.me.run("remove", "goes.example", *words)

    def known(self):
        return sorted(path.name for path in (self.me.state / "certificates").iterdir())

    def test_what_the_configuration_still_names_stays(self):
        code, output = self.remove()
        self.assertEqual(code, 2, output)
        self.assert_one_sentence(output, "the configuration still has 'goes.example'", "agent.conf:2")
        self.assertEqual(self.known(), ["goes.example", "stays.example"])

    def test_the_state_goes_and_the_files_stay_unless_they_shall_go(self):
        self.write("stays.example")
        code, output = self.remove()
        self.assertEqual(code, 0, output)
        self.assert_one_sentence(output, "goes.example: removed", str(self.files))
        self.assertEqual(self.known(), ["stays.example"])
        self.assertTrue((self.files / "privkey.pem").exists())
        code, output = self.remove()
        self.assertEqual(code, 2, output)
        self.assert_one_sentence(output, "there is no certificate named 'goes.example'")

    def test_with_its_files_nothing_is_left_but_what_somebody_else_has_put_there(self):
        self.write("stays.example")
        (self.files / "dhparam.pem").write_text("not ours")
        code, output = self.remove("--files")
        self.assertEqual(code, 0, output)
        self.assertEqual([path.name for path in self.files.iterdir()], ["dhparam.pem"])
        self.assertTrue((self.me.state / "live/stays.example/privkey.pem").exists())
        code, output = self.me.once()
        self.assertEqual(code, 0, output)
        self.assertEqual(self.known(), ["stays.example"])

    def test_what_lies_in_further_folders_goes_with_the_files_too(self):
        folders = [self.folder / name for name in ("further", "java")]
        lines = f"deploy = {folders[0]}\ndeploy = {folders[1]},format=pkcs12\n"
        self.config.write_text(f"[stays.example]\n[goes.example]\n{lines}")
        code, output = self.me.once()
        self.assertEqual(code, 0, output)
        for folder, file in zip(folders, ("privkey.pem", "keystore.p12")):
            self.assertTrue((folder / file).exists(), output)
        (folders[0] / "dhparam.pem").write_text("not ours")
        self.write("stays.example")
        code, output = self.remove("--files")
        self.assertEqual(code, 0, output)
        self.assertIn(f"not ours and left: {folders[0]}\n", output)
        self.assertEqual(os.listdir(folders[0]), ["dhparam.pem"])
        self.assertFalse(folders[1].exists())

    def test_a_running_agent_is_asked_and_what_it_looks_after_stays(self):
        daemon = self.me.start()
        self.write("stays.example")
        code, output = self.remove()
        self.assertEqual(code, 2, output)
        self.assert_one_sentence(output, "the agent that runs still looks after 'goes.example'", "SIGHUP")
        daemon.send(signal.SIGHUP)
        daemon.wait_for_output("read again")
        code, output = self.remove("--files")
        self.assertEqual(code, 0, output)
        self.assertFalse(self.files.exists())
        self.assertEqual(self.known(), ["stays.example"])
