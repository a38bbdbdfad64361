"""A certificate is revoked, replaced and, when nobody wants it any more, removed."""

import json
import os
import shutil
import signal
import ssl
import subprocess
import time

from support import agent as the_agent
from support import programs
from support.case import Case


def end_of(pem):
    end = subprocess.run(["openssl", "x509", "-noout", "-enddate"], input=pem, capture_output=True, text=True, check=True).stdout
    return ssl.cert_time_to_seconds(end.strip().removeprefix("notAfter="))


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

    def begin_in_vain(self, **changes):
        """With a revocation that the server has not heard of, and the certificate after that; `changes` to what is noted."""
        code, output = self.revoke("--reason", "key-compromise", ca_bundle="/etc/ssl/certs/ca-certificates.crt")
        self.assertEqual(code, 1, output)
        self.assertEqual(self.me.renew()[0], 0)
        notes = self.me.certificate_state / "revoked.json"
        notes.write_text(json.dumps(json.loads(notes.read_text()) | changes))
        return self.me.status()["serial"], the_agent.public_key(self.me.cert_dir / "cert.pem")

    def test_a_revocation_that_cannot_come_to_its_end_is_not_taken_for_one_of_the_held_certificate(self):
        serial, key = self.begin_in_vain(server=f"https://localhost:{programs.free_port()}/dir")
        code, output = self.revoke("--reason", "key-compromise")
        self.assertEqual(code, 1, output)
        self.assert_one_sentence(output, "has not revoked it", "nothing was done about the certificate that is held now")
        self.assertNotIn("its key is replaced", output)
        self.assertFalse(self.revoked(serial))
        self.assertEqual(the_agent.public_key(self.me.cert_dir / "cert.pem"), key)

    def test_a_revocation_of_what_has_ended_since_is_let_be(self):
        other = self.agent(self.pebble(lifetime=4), state_dir=self.folder / "other", cert_dir=self.folder / "other-certs")
        self.assertEqual(other.once()[0], 0)
        ended = (self.folder / "other-certs/cert.pem").read_text()
        serial, key = self.begin_in_vain(certificate=ended)
        self.eventually(lambda: end_of(ended) < time.time(), 10, "the end of the other certificate")
        code, output = self.revoke("--reason", "key-compromise")
        self.assertEqual(code, 0, output)
        self.assertTrue(self.revoked(serial))
        self.assertNotEqual(the_agent.public_key(self.me.cert_dir / "cert.pem"), key)

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

    def test_what_is_still_being_worked_on_is_removed_when_that_has_come_to_its_end(self):
        told = self.folder / "told"
        hook = self.folder / "hook"
        hook.write_text(f"#!/bin/sh\necho begun > {told}\nsleep 3\necho done > {told}\n")
        hook.chmod(0o755)
        self.config.write_text(f"[stays.example]\nreload = none\n[goes.example]\nreload = command:{hook}\n")
        shutil.rmtree(self.files)
        daemon = self.me.start(reload=None)
        self.eventually(told.exists, 20, "the reload")
        self.config.write_text("[stays.example]\nreload = none\n")
        daemon.send(signal.SIGHUP)
        daemon.wait_for_output("read again")
        code, output = self.remove("--files")
        self.assertEqual(code, 0, output)
        self.assertEqual(told.read_text(), "done\n")
        self.assertEqual(self.me.run("renew", "goes.example")[0], 2)
        self.assertFalse(self.files.exists())
        self.assertEqual(self.known(), ["stays.example"])

    def test_a_folder_that_the_configuration_no_longer_names_is_let_go_of(self):
        folder = self.folder / "of-the-broker"
        self.config.write_text(f"[stays.example]\n[goes.example]\ncert-dir = {folder}\n")
        daemon = self.me.start()
        self.eventually((folder / "privkey.pem").exists, 20, "the files")
        self.write("stays.example")
        daemon.send(signal.SIGHUP)
        daemon.wait_for_output("read again")
        code, output = self.remove("--files")
        self.assertEqual(code, 0, output)
        self.assertFalse(folder.exists())
