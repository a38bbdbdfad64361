"""FakeCa of the unit tests is as strict as Pebble: the same table of bad requests gets the same verdicts here."""

import base64

from support import programs
from support.case import Case


class SameVerdicts(Case):
    def check(self, version):
        key = base64.urlsafe_b64encode(b"a key of thirty-two octets, yes.").decode().rstrip("=")
        ca = self.pebble(version=version, always_valid=True, authz_reuse=0, eab={"kid-1": key})
        code, output = programs.run(
            [self.build_folder / "tests/acme_tests", "--test-case=*Pebble*", "--no-skip"], seconds=120,
            env=programs.environment(ACME_AGENT_TEST_PEBBLE=ca.url, ACME_AGENT_TEST_CA_BUNDLE=ca.ca_bundle))
        self.assertEqual(code, 0, output)
        self.assertRegex(output, r"test cases: +[1-9]", "no test case speaks to Pebble")

    def test_debians_pebble_judges_bad_requests_as_the_fake_ca_does(self):
        self.check("debian")

    def test_the_newest_pebble_judges_bad_requests_as_the_fake_ca_does(self):
        self.check("newest")
