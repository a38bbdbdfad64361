"""`acme-agent import certbot`: what real certbot has made against Pebble is ours from the next renewal on."""

import json
import os
import shutil

from support import programs, tls
from support.agent import contents, public_key
from support.case import Case
from support.skips import skip


class Import(Case):
    def setUp(self):
        super().setUp()
        if not shutil.which("certbot"):
            skip("no-certbot")
        self.ca = self.pebble(version="newest")
        self.letsencrypt = self.folder / "letsencrypt"
        self.certbot("certonly", "--standalone", "--http-01-address", "127.0.0.1", "--http-01-port", self.ca.http_port,
                     "--cert-name", "mydyn.example", "-d", "mydyn.example", "-d", "www.mydyn.example", "--deploy-hook", "true")
        self.live = self.letsencrypt / "live/mydyn.example"
        self.theirs = contents(self.letsencrypt)
        self.me = self.agent(self.ca, domain=None, server=None, http_listen=None, alpn_listen=None, cert_dir=None)
        self.me.cert_dir = self.me.state / "live/mydyn.example"
        registration = next(self.letsencrypt.glob("accounts/**/regr.json"))
        self.account_url = json.loads(registration.read_text())["uri"]

    def certbot(self, *words):
        work = self.letsencrypt
        code, output = programs.run(
            ["certbot", *words, "-n", "--config-dir", work, "--work-dir", work / "work", "--logs-dir", work / "logs",
             "--server", self.ca.url, "--agree-tos", "--register-unsafely-without-email"],
            env=programs.environment(REQUESTS_CA_BUNDLE=self.ca.ca_bundle))
        self.assertEqual(code, 0, output)

    def take(self, code=0, **more):
        """Imports; the lines for the configuration and those for people."""
        found, output = self.me.run("import", "certbot", self.letsencrypt, **more)
        self.assertEqual(found, code, output)
        self.assertEqual(contents(self.letsencrypt), self.theirs, "certbot's files were changed")
        return output

    def configure(self, output, extra=""):
        """What it printed, as somebody pastes it."""
        start = output.index("[mydyn.example]")
        section = output[start:output.index("\n\n", start) + 1]
        config = self.folder / "acme-agent.conf"
        config.write_text(section + extra)
        self.me.options["config"] = config

    def account(self):
        code, output = self.me.run("account", "show", "--json")
        self.assertEqual(code, 0, output)
        return json.loads(output)["accounts"][0]

    def test_the_next_renewal_is_ours_with_the_same_account_and_the_same_key_without_a_gap(self):
        output = self.take()
        self.assert_one_sentence(output, "the account is taken over", self.account_url)
        self.assert_one_sentence(output, "renew_hook")
        self.assertIn("certbot.timer", output)
        self.configure(output)
        code, output = self.me.run("check")
        self.assertEqual(code, 0, output)
        code, output = self.me.once()
        self.assertEqual(code, 0, output)
        self.assertEqual(self.me.leaf(), tls.sha256_of(self.live / "fullchain.pem"), "it was ordered anew at once")
        self.assertEqual(self.account()["url"], self.account_url)

        code, output = self.me.renew("--force")
        self.assertEqual(code, 0, output)
        self.assertNotEqual(self.me.leaf(), tls.sha256_of(self.live / "fullchain.pem"))
        self.assertEqual(public_key(self.me.cert_dir / "cert.pem"), public_key(self.live / "cert.pem"))
        self.assertEqual(self.account()["url"], self.account_url)
        self.assertEqual(self.ca.count("POST /sign-me-up"), 1, "there was a new registration")

        output = self.take()  # again, by mistake
        self.assert_one_sentence(output, "the certificate held stays, as certbot's is not newer")
        self.assert_one_sentence(output, "the account is ours already")
        self.assertEqual(self.me.held_leaf(), self.me.leaf())

    def test_another_key_is_made_at_the_renewal_where_the_key_is_not_to_be_reused(self):
        self.configure(self.take(), "reuse-key = no\n")
        code, output = self.me.renew("--force")
        self.assertEqual(code, 0, output)
        self.assertNotEqual(public_key(self.me.cert_dir / "cert.pem"), public_key(self.live / "cert.pem"))
        self.assertEqual(self.ca.count("POST /sign-me-up"), 1)

    def test_root_takes_it_over_for_the_user_whom_the_state_folder_belongs_to(self):
        self.letsencrypt.chmod(0o700)
        self.me.state.mkdir()
        os.chown(self.me.state, *programs.ids_of("mosquitto"))
        output = self.take()
        self.assert_one_sentence(output, "working as mosquitto", str(self.me.state))
        self.configure(output)
        self.me.user = "mosquitto"
        code, output = self.me.once()
        self.assertEqual(code, 0, output)
        self.assertEqual(self.me.leaf(), tls.sha256_of(self.live / "fullchain.pem"))
        owners = {path.lstat().st_uid for path in self.me.state.rglob("*")}
        self.assertEqual(owners, {programs.ids_of("mosquitto")[0]})

    def test_an_account_of_ours_stays_and_one_bad_lineage_does_not_stop_the_other(self):
        self.me.options.update(domain="other.example", server=self.ca.url, http_listen=f"127.0.0.1:{self.ca.http_port}",
                               cert_dir=self.folder / "certs")
        code, output = self.me.once()
        self.assertEqual(code, 0, output)
        mine = self.account()["url"]
        self.me.options.update(domain=None, server=None, http_listen=None, cert_dir=None)
        (self.letsencrypt / "renewal/bad.conf").write_text("rubbish")
        self.theirs = contents(self.letsencrypt)
        output = self.take(code=1)
        self.assert_one_sentence(output, "bad: not taken over", "bad.conf: line 1")
        self.assert_one_sentence(output, "the account that we have there stays")
        self.assert_one_sentence(output, "mydyn.example: taken over, valid until")
        self.configure(output)
        self.assertEqual(self.account()["url"], mine)

    def test_a_running_agent_and_a_folder_that_is_none_are_told_in_one_sentence(self):
        daemon = self.me.start(domain="other.example", server=self.ca.url, http_listen=f"127.0.0.1:{self.ca.http_port}")
        output = self.take(code=1)
        self.assert_one_sentence(output, "another acme-agent", f"pid {daemon.pid}", "stop it first")
        daemon.stop()
        code, output = self.me.run("import", "certbot", self.folder)
        self.assertEqual(code, 2, output)
        self.assert_one_sentence(output, "there is no renewal/ in it", "/etc/letsencrypt")
