"""`--dry-run`: the whole way, and nothing is kept or deployed."""

import socket

from support import programs
from support.agent import agent_environment, contents
from support.case import Case


class DryRun(Case):
    def setUp(self):
        super().setUp()
        self.ca = self.pebble(version="newest")
        self.mark = self.folder / "hook-ran"
        self.me = self.agent(self.ca, reload=f"command:touch {self.mark}", email="me@mydyn.example")
        self.temporary = self.folder / "tmp"
        self.temporary.mkdir()

    def try_out(self, *words, env=None, **more):
        """A trial that leaves everything as it was."""
        before = {folder: contents(folder) for folder in (self.me.state, self.me.cert_dir) if folder.exists()}
        self.mark.unlink(missing_ok=True)
        code, output = self.me.run(*words, "--dry-run", env=agent_environment(TMPDIR=self.temporary, **(env or {})), **more)
        after = {folder: contents(folder) for folder in (self.me.state, self.me.cert_dir) if folder.exists()}
        self.assertEqual(after, before, "the trial has changed what is kept")
        self.assertFalse(self.mark.exists(), "the broker was told")
        self.assertEqual(list(self.temporary.iterdir()), [], "the trial has left something")
        return code, output

    def test_all_three_go_the_whole_way_and_leave_no_trace(self):
        for words in ((), ("--once",), ("renew", self.me.name)):
            code, output = self.try_out(*words)
            self.assertEqual(code, 0, output)
            self.assert_one_sentence(output, "mydyn.example: ", "has validated mydyn.example", "issued a certificate",
                                     "rsa2048", "nothing was kept or deployed")
            self.assert_one_sentence(output, self.ca.url, "itself is asked", "counts towards its limits")
        self.assertFalse(self.me.state.exists())
        self.assertFalse(self.me.cert_dir.exists())
        self.assertEqual(self.ca.orders(), 3)
        self.assertEqual(self.ca.count("POST /my-account/"), 3, "an account was not ended")

    def test_beside_a_running_agent_its_state_and_its_certificate_stay_as_they_are(self):
        self.me.start()
        self.me.wait_until_valid()
        leaf = self.me.leaf()
        code, output = self.try_out("renew", self.me.name, key_type="ec256")
        self.assertEqual(code, 0, output)
        self.assert_one_sentence(output, "ec256", "nothing was kept")
        self.assertEqual(self.me.leaf(), leaf)
        self.assertEqual(self.ca.orders(), 2)

    def test_further_folders_are_left_to_the_agent_that_has_them(self):
        further = {"deploy": self.folder / "further"}
        self.assertEqual(self.try_out(**further)[0], 0)
        self.assertFalse((self.folder / "further").exists())
        self.me.start(**further)
        self.me.wait_until_valid()
        code, output = self.try_out("renew", self.me.name, **further)
        self.assertEqual(code, 0, output)

    def test_a_validation_that_fails_is_told_as_the_real_one_is(self):
        code, output = self.try_out(http_listen=f"127.0.0.1:{programs.free_port()}")
        self.assertEqual(code, 1, output)
        self.assert_one_sentence(output, "mydyn.example", "connection")
        self.assertNotIn("next try", output)

    def test_the_key_of_the_operator_is_tried_and_the_next_challenge_where_one_does_not_do(self):
        key = self.folder / "own.key"
        code, output = programs.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384", "-out", key])
        self.assertEqual(code, 0, output)
        code, output = self.try_out(key_file=key, challenge=["tls-alpn-01", "http-01"],
                                    alpn_listen=f"127.0.0.1:{programs.free_port()}")
        self.assertEqual(code, 0, output)
        self.assert_one_sentence(output, "tls-alpn-01", "trying the next challenge")
        self.assert_one_sentence(output, "issued a certificate for a key of type ec384")

    def test_a_port_that_somebody_holds_is_told_with_its_holder(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            code, output = self.try_out(http_listen=f"127.0.0.1:{taken.getsockname()[1]}")
        self.assertEqual(code, 1, output)
        self.assert_one_sentence(output, "mydyn.example", "python3")

    def test_a_server_without_a_staging_server_and_a_record_with_an_account_are_refused_before_anything_is_sent(self):
        code, output = self.try_out(server="zerossl", eab_kid=None)
        self.assertEqual(code, 2, output)
        self.assert_one_sentence(output, "no staging server of zerossl is known", "--server letsencrypt-staging")
        code, output = self.try_out(challenge="dns-persist-01")
        self.assertEqual(code, 2, output)
        self.assert_one_sentence(output, "dns-persist-01 cannot be tried", "account")
        code, output = self.try_out("status")
        self.assertEqual(code, 2, output)
        self.assert_one_sentence(output, "--dry-run goes with the commands 'run' and 'renew' only")
        code, output = self.try_out("renew", "other.example")
        self.assertEqual(code, 2, output)
        self.assert_one_sentence(output, "the configuration has no certificate named 'other.example'")
        self.assertEqual(self.ca.count("POST"), 0)

    def test_instead_of_the_server_of_everyday_its_staging_server_is_asked(self):
        nowhere = f"http://127.0.0.1:{programs.free_port()}"  # so that nothing is sent to the real one
        code, output = self.try_out(server=["letsencrypt", self.ca.url], env={"https_proxy": nowhere})
        self.assertEqual(code, 1, output)
        self.assert_one_sentence(output, "letsencrypt-staging is asked instead of letsencrypt")
        self.assert_one_sentence(output, "mydyn.example: ", "acme-staging-v02.api.letsencrypt.org")
        self.assertEqual(self.ca.count("POST"), 0)
