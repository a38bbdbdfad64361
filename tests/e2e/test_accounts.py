"""The account at a server: bound to a customer of the CA, shown, changed, given another key, ended."""

import base64

from support.case import Case

KEY = bytes(range(192, 256))  # as long as the longest hash


class ExternalAccount(Case):
    def setUp(self):
        super().setUp()
        self.ca = self.pebble(version="newest", eab={"kid-1": base64.urlsafe_b64encode(KEY).decode().rstrip("=")},
                              eab_required=True)
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
        self.assertEqual(self.ca.count("POST /sign-me-up"), 1)

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
