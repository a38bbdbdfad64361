"""The account at a server: bound to a customer of the CA, shown, changed, given another key, ended."""

import base64
import json
import re
import shutil

from support import faulty_proxy, programs
from support.case import Case
from support.conformance import row
from support.faulty_proxy import FaultyProxy
from support.tls_files import server_files

END_OF_INPUT = b"\x04"  # Ctrl-D
KEY = bytes(range(192, 256))  # as long as the longest hash


class ExternalAccount(Case):
    def setUp(self):
        super().setUp()
        self.ca = self.pebble(version="newest", eab={"kid-1": base64.urlsafe_b64encode(KEY).decode().rstrip("=")},
                              eab_required=True, nonce_reject=50)
        self.key_file = self.folder / "eab.key"
        self.me = self.agent(self.ca, eab_kid="kid-1", eab_hmac_key_file=self.key_file)

    def write_key(self, text, mode=0o600):
        self.key_file.write_text(text)
        self.key_file.chmod(mode)

    def test_a_server_that_wants_a_binding_gets_one_once_and_the_file_may_go_then(self):
        self.write_key(" " + base64.b64encode(KEY).decode() + "\r\n")  # as somebody pastes it
        code, output = self.me.once()
        self.assertEqual(code, 0, output)
        self.key_file.unlink()
        code, output = self.me.renew("--force")
        self.assertEqual(code, 0, output)
        self.assertEqual(self.ca.count("accounts in memory"), 1)

    @row("RFC 8555 7.3.4", "external account binding by HS256, HS384 and HS512")
    def test_each_hash_is_taken(self):
        for hash_word in ("hs256", "hs384", "hs512"):
            self.write_key(f"{hash_word}:" + base64.urlsafe_b64encode(KEY).decode())
            code, output = self.me.once(state_dir=self.folder / hash_word)
            self.assertEqual(code, 0, output)

    def test_without_a_binding_one_sentence_says_what_to_do(self):
        code, output = self.me.once(eab_kid=None, eab_hmac_key_file=None)
        self.assertEqual(code, 1, output)
        self.assert_one_sentence(output, "external account binding", "--eab-kid", "--eab-hmac-key-file")

    def test_a_key_that_is_not_the_one_is_told_and_never_shown(self):
        wrong = base64.urlsafe_b64encode(bytes(40)).decode()
        self.write_key(wrong)
        code, output = self.me.once()
        self.assertEqual(code, 1, output)
        self.assert_one_sentence(output, "does not take the external account binding", "check --eab-kid and --eab-hmac-key-file")
        self.assertNotIn(wrong[:20], output)

    def test_a_key_file_that_is_none_stops_everything_before_it_starts(self):
        code, output = self.me.once()
        self.assertEqual(code, 2, output)
        self.assert_one_sentence(output, "eab-hmac-key-file", "there is no such file")
        self.write_key("not base64!")
        code, output = self.me.run("check")
        self.assertEqual(code, 2, output)
        self.assert_one_sentence(output, "eab.key", "is not in base64url")
        self.assertEqual(self.ca.count("POST"), 0)

    def test_a_key_that_everybody_can_read_is_warned_of(self):
        self.write_key(base64.b64encode(KEY).decode(), mode=0o644)
        code, output = self.me.once()
        self.assertEqual(code, 0, output)
        self.assert_one_sentence(output, "eab.key holds a secret", "chmod 0600")


class Account(Case):
    """The command `account`, against the newest Pebble."""

    def setUp(self):
        super().setUp()
        self.ca = self.pebble(version="newest", nonce_reject=50)
        self.me = self.agent(self.ca, email="me@mydyn.example")
        code, output = self.me.once()
        self.assertEqual(code, 0, output)
        self.folder_of_account = next((self.me.state / "accounts").iterdir())

    def account(self, *words, **more):
        return self.me.run("account", *words, **more)

    def shown(self):
        code, output = self.account("show", "--json")
        self.assertEqual(code, 0, output)
        return json.loads(output)["accounts"][0]

    def test_it_is_shown_with_all_that_is_known_also_beside_a_running_agent(self):
        daemon = self.me.start()
        shown = self.shown()
        self.assertEqual((shown["server"], shown["status"], shown["contact"]), (self.ca.url, "valid", ["mailto:me@mydyn.example"]))
        self.assertRegex(shown["since"], r"^20\d\d-")
        code, output = self.account("show")
        self.assertEqual(code, 0, output)
        for part in ("valid", shown["url"], "mailto:me@mydyn.example", shown["thumbprint"]):
            self.assertIn(part, output)
        code, output = self.account("update", email="you@mydyn.example")
        self.assertEqual(code, 1, output)
        self.assert_one_sentence(output, "another acme-agent", f"pid {daemon.pid}", "stop it first")

    def test_it_is_found_without_any_configuration_by_the_state_folder_alone(self):
        code, output = self.account("show", domain=None, server=None)
        self.assertEqual(code, 0, output)
        self.assertIn(self.ca.url, output)

    @row("RFC 8555 7.3.2", "another contact for an account")
    def test_the_server_hears_of_another_contact(self):
        code, output = self.account("update", email="you@mydyn.example")
        self.assertEqual(code, 0, output)
        self.assertEqual(self.shown()["contact"], ["mailto:you@mydyn.example"])
        code, output = self.account("update", email=None)
        self.assertEqual(code, 2, output)
        self.assert_one_sentence(output, "give --email ADDRESS")

    @row("RFC 8555 7.3.5", "another key for an account")
    def test_it_gets_another_key_and_the_next_order_is_signed_with_that(self):
        before = self.shown()
        code, output = self.account("rollover")
        self.assertEqual(code, 0, output)
        after = self.shown()
        self.assertEqual(after["url"], before["url"])
        self.assertNotEqual(after["thumbprint"], before["thumbprint"])
        code, output = self.me.renew("--force")
        self.assertEqual(code, 0, output)
        self.assertEqual(self.ca.count("accounts in memory"), 1, "the account was made again")

    def through_a_proxy(self):
        self.ca.stop()
        self.ca.env["PEBBLE_WFE_NONCEREJECT"] = "0"  # or it would be a refused request that the proxy strikes
        self.ca.start()
        proxy = FaultyProxy(server_files(self.run_folder), self.ca.port)
        self.addCleanup(proxy.close)
        self.me.options["server"] = proxy.url
        code, output = self.me.once()
        self.assertEqual(code, 0, output)
        return proxy

    def test_root_does_the_work_as_the_user_whom_the_state_folder_belongs_to(self):
        secret = self.folder / "key.pem"  # which only root can read
        programs.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", secret])
        secret.chmod(0o600)
        programs.run(["chown", "-R", "mosquitto:", self.me.state, self.me.cert_dir])
        for words in (["account", "show"], ["account", "rollover"], ["renew", self.me.name, "--force"],
                      ["revoke", self.me.name]):
            more = {"key_file": secret} if words[0] == "renew" else {}
            code, output = self.me.run(*words, **more)
            self.assertEqual(code, 0, output)
            self.assert_one_sentence(output, "working as mosquitto", str(self.me.state))
        code, output = self.me.run("remove", self.me.name, domain="other.example")
        self.assertEqual(code, 0, output)
        owners = {path.lstat().st_uid for folder in (self.me.state, self.me.cert_dir) for path in folder.rglob("*")}
        self.assertEqual(owners, {programs.ids_of("mosquitto")[0]})

    def test_a_rollover_whose_answer_is_lost_is_settled_at_once(self):
        proxy = self.through_a_proxy()
        before = self.shown()
        proxy.mend(faulty_proxy.answer_dropped, "keyChange")
        code, output = self.account("rollover")
        self.assertEqual(code, 0, output)
        after = self.shown()
        self.assertEqual(after["url"], before["url"])
        self.assertNotEqual(after["thumbprint"], before["thumbprint"])

    def test_a_rollover_after_which_the_line_is_down_is_settled_by_the_next_renewal(self):
        proxy = self.through_a_proxy()
        before = self.shown()
        proxy.mend(faulty_proxy.answer_dropped_and_the_line_down, "keyChange")
        code, output = self.account("rollover")
        self.assertEqual(code, 1, output)
        self.assert_one_sentence(output, "whether the account has another key is not known yet")
        proxy.mend()
        code, output = self.me.renew("--force")
        self.assertEqual(code, 0, output)
        after = self.shown()
        self.assertEqual(after["url"], before["url"])
        self.assertNotEqual(after["thumbprint"], before["thumbprint"])
        self.assertEqual([f for f in (self.me.state / "accounts").rglob("key.pem.new")], [])

    @row("RFC 8555 7.3.6", "the end of an account")
    def test_it_ends_only_after_a_question_and_the_next_order_makes_a_new_one(self):
        code, output = self.account("deactivate")
        self.assertEqual(code, 2, output)
        self.assert_one_sentence(output, "no terminal", "--force")
        self.assertEqual(self.shown()["status"], "valid")
        url = self.shown()["url"]
        code, output = self.account("deactivate", "--force")
        self.assertEqual(code, 0, output)
        self.assertTrue((self.folder_of_account / "key.pem.deactivated").exists())
        code, output = self.account("show")
        self.assertEqual(code, 1, output)
        self.assert_one_sentence(output, "there is no account yet")
        code, output = self.me.renew("--force")
        self.assertEqual(code, 0, output)
        self.assertNotEqual(self.shown()["url"], url)

    def test_on_a_terminal_it_ends_only_if_somebody_says_yes(self):
        url = self.shown()["url"]
        for no in (b"n\n", b"\n", b"Yeah\n", END_OF_INPUT):
            with self.subTest(no):
                code, output = self.me.on_terminal("account", "deactivate", prompt="[y/N] ", answer=no)
                self.assertEqual(code, 1, output)
                self.assertIn(f"End the account {url} for good? The next order makes a new one. [y/N]", output)
                self.assert_one_sentence(output, "left as it is")
                self.assertEqual((self.shown()["url"], self.shown()["status"]), (url, "valid"))
        code, output = self.me.on_terminal("account", "deactivate", prompt="[y/N] ", answer=b"y\n")
        self.assertEqual(code, 0, output)
        self.assert_one_sentence(output, "the account is deactivated", "key.pem.deactivated")
        self.assertTrue((self.folder_of_account / "key.pem.deactivated").exists())

    @row("RFC 8555 7.3.6", "an account that ended elsewhere is told, and replaced when asked for")
    def test_an_account_that_was_deactivated_elsewhere_is_told_with_the_commands_that_make_a_new_one(self):
        url = self.shown()["url"]
        elsewhere = self.folder / "elsewhere"
        shutil.copytree(self.me.state, elsewhere)
        code, output = self.account("deactivate", "--force", state_dir=elsewhere)
        self.assertEqual(code, 0, output)
        code, output = self.me.renew("--force")
        self.assertEqual(code, 1, output)
        self.assert_one_sentence(output, f"the account {url} is deactivated", "unauthorized")
        code, shown = self.account("show")
        self.assertEqual(code, 1, shown)
        self.assertIn(f"{self.ca.url}  deactivated\n", shown)
        self.assert_one_sentence(shown, "error", "unauthorized", "'acme-agent account deactivate'")
        set_aside, renew = re.findall(r"'acme-agent ([^']+)'", output)
        code, output = self.me.run(*set_aside.split(), "--force", server=None)
        self.assertEqual(code, 0, output)
        code, output = self.me.run(*renew.split())
        self.assertEqual(code, 0, output)
        self.assertNotEqual(self.shown()["url"], url)

    def test_a_word_that_is_none_is_refused_with_the_nearest(self):
        code, output = self.account("roll-over")
        self.assertEqual(code, 2, output)
        self.assert_one_sentence(output, "'account roll-over' is not one of", "did you mean 'rollover'?")
