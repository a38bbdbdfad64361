"""A server that rejects good nonces, as Pebble does if asked to: that costs time, never a certificate."""

import statistics
import time

from support.case import Case

LONGEST = 30  # seconds that a whole issuance may take
ONCE_EACH = ("sign-me-up", "order-plz", "authZ/", "chalZ/", "finalize-order/", "certZ/")  # what an issuance posts to, beside polls


class Rejected(Case):
    """Each issuance is a first one, with state, account, keys and order of its own."""

    def issue_many(self, percent):
        count = 50
        ca = self.pebble(nonce_reject=percent, authz_reuse=0)
        seconds = []
        for i in range(count):
            began = time.monotonic()
            code, output = self.agent(ca, state_dir=self.folder / f"state-{i}", cert_dir=self.folder / f"certs-{i}").once()
            seconds.append(time.monotonic() - began)
            self.assertEqual(code, 0, f"issuance {i + 1} of {count}, with {percent} % of the nonces rejected: {output}")
        again = sum(ca.count("POST /" + path) for path in ONCE_EACH) - count * len(ONCE_EACH)
        self.figures.append(f"{percent} % rejected: {count} of {count} issued, median {statistics.median(seconds):.2f} s, "
                            f"slowest {max(seconds):.2f} s; {again} requests repeated, polls aside")
        self.assertLess(max(seconds), LONGEST)
        self.assertEqual(ca.count("Issued certificate serial"), count)
        self.assertEqual(ca.count(f"Configured to reject {percent}% of good nonces"), 1, "Pebble was not asked to reject")
        self.assertGreater(again, 0, "nothing was rejected: this showed nothing")

    def test_of_issuances_at_5_percent_rejected_nonces_none_fails(self):
        self.issue_many(5)

    def test_of_issuances_at_20_percent_rejected_nonces_none_fails(self):
        self.issue_many(20)

    def test_of_issuances_at_50_percent_rejected_nonces_none_fails(self):
        self.issue_many(50)
