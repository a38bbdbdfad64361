"""Names that are proven by the DNS: real BIND, real Pebble, signed updates."""

import re
import signal
import subprocess
import time

from support import programs
from support.case import Case
from support.conformance import row
from support.named import Named, bound_to_port_53
from support.skips import skip


class DnsCase(Case):
    def setUp(self):
        super().setUp()
        self.require_root()

    def start(self, named, **options):
        """The CA asks the second server of the zone."""
        self.named = named
        self.ca = self.pebble(version="newest", dns_port=53, dns_address=named.secondaries[1].address, authz_reuse=0, nonce_reject=50)
        self.me = self.agent(self.ca, key_type="ec256", **options)

    def update_options(self, **more):
        return {"challenge": "dns-01", "dns_update": self.named.endpoint, "dns_tsig_file": self.named.key_file(), **more}

    def texts_left(self):
        """The names of all TXT records that the zone has."""
        added = re.findall(r"adding an RR at '([^']*)' TXT", self.named.log())
        gone = re.findall(r"deleting an RR at (\S+) TXT", self.named.log())
        for name in gone:
            added.remove(name)
        return added


class LookAhead(DnsCase):
    def test_what_the_dns_says_is_told_before_the_server_is(self):
        named = Named(self, records=['@ CAA 0 issue "other.example"'])
        resolvers = self.folder / "resolv.conf"
        resolvers.write_text(f"nameserver {named.secondaries[0].address}\n")
        ca = self.pebble(version="newest", caa_identities=["ca.example"])
        slow_hook = self.folder / "hook"
        slow_hook.write_text('#!/bin/sh\n[ "$1" = cleanup ] || exec sleep 60\n')
        slow_hook.chmod(0o755)
        me = self.agent(ca, key_type="ec256", challenge="dns-01", dns_hook=slow_hook)
        me.prefix = ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/resolv.conf; exec "$@"', resolvers]
        agent = me.start("--once")
        agent.wait_for_output("seen from here, the CAA of mydyn.example allows only other.example, and not ca.example; asking the "
                              "server all the same")
        self.assertEqual(ca.count("POST /chalZ/"), 0)

    def test_name_servers_that_cannot_be_known_are_told_and_hinder_nothing(self):
        ca = self.pebble(version="newest", caa_identities=["ca.example"])
        me = self.agent(ca)
        me.prefix = ["unshare", "--mount", "sh", "-c", 'mount --bind /dev/null /etc/resolv.conf; exec "$@"', "sh"]
        code, output = me.once()
        self.assertEqual(code, 0, output)
        self.assertIn("/etc/resolv.conf", output)


class SignedUpdates(DnsCase):
    def test_names_are_proven_by_records_that_come_and_go(self):
        self.start(Named(self))
        code, output = self.me.once(**self.update_options(domain=["mydyn.example", "www.mydyn.example"]))
        self.assertEqual(code, 0, output)
        self.assertEqual(self.named.log().count("adding an RR"), 2)
        self.assertEqual(self.texts_left(), [])
        self.assertEqual(self.ca.orders_made(), 1)

    @row("RFC 8555 8.4", "dns-01 by signed updates (RFC 2136), a wildcard beside its base")
    def test_a_wildcard_and_its_base_are_proven_by_two_records_at_one_name(self):
        self.start(Named(self))
        code, output = self.me.once(**self.update_options(domain=["mydyn.example", "*.mydyn.example"]))
        self.assertEqual(code, 0, output)
        self.assertEqual(self.ca.orders_made(), 1)
        self.assertEqual(re.findall(r"adding an RR at '([^']*)' TXT", self.named.log()), ["_acme-challenge.mydyn.example"] * 2)
        self.assertEqual(self.texts_left(), [])
        names = subprocess.run(["openssl", "x509", "-noout", "-ext", "subjectAltName", "-in", self.me.cert_dir / "cert.pem"],
                               check=True, capture_output=True, text=True).stdout
        self.assertEqual(sorted(re.findall(r"DNS:([^\s,]+)", names)), ["*.mydyn.example", "mydyn.example"])

    def start_and_wait_for_the_record(self, *words):
        self.start(Named(self, lag=60))
        agent = self.me.start(*words, **self.update_options())
        self.eventually(lambda: self.named.secondaries[1].lagged, 10, "a look at the secondary")
        self.assertEqual(self.texts_left(), ["_acme-challenge.mydyn.example"])
        return agent

    def test_a_stop_while_the_record_stands_leaves_none(self):
        agent = self.start_and_wait_for_the_record()
        agent.send(signal.SIGTERM)
        self.assertEqual(agent.wait(3), 0)
        self.assertEqual(self.texts_left(), [])
        self.assertNotIn("stays", agent.output())

    def test_a_stop_of_a_single_run_while_the_record_stands_leaves_none(self):
        agent = self.start_and_wait_for_the_record("--once")
        agent.send(signal.SIGTERM)
        self.assertEqual(agent.wait(3), 1)
        self.assertEqual(self.texts_left(), [])

    def test_the_end_of_the_agent_waits_for_a_primary_that_takes_its_time(self):
        agent = self.start_and_wait_for_the_record()
        self.named.program.send(signal.SIGSTOP)
        agent.send(signal.SIGTERM)
        time.sleep(1.5)  # without a record that stands it would have ended
        self.assertTrue(agent.running, "the removal was not waited for")
        self.named.program.send(signal.SIGCONT)
        self.assertEqual(agent.wait(5), 0)
        self.assertEqual(self.texts_left(), [])

    def test_the_server_is_asked_when_a_secondary_that_lags_has_caught_up(self):
        self.start(Named(self, lag=5))
        code, output = self.me.once(**self.update_options())
        self.assertEqual(code, 0, output)
        self.assertGreaterEqual(self.named.secondaries[1].lagged, 2, "nobody looked before it had caught up")
        self.assertEqual(self.ca.orders_made(), 1)
        self.assertEqual(self.texts_left(), [])

    def test_a_wrong_secret_is_told_with_the_file_to_mend(self):
        self.start(Named(self))
        code, output = self.me.once(**self.update_options(dns_tsig_file=self.named.key_file(secret="b3RoZXI=")))
        self.assertEqual(code, 1, output)
        self.assert_one_sentence(output, "did not change _acme-challenge.mydyn.example", "'acme-key'", "BADSIG",
                                 "--dns-tsig-file")
        self.assertNotIn("b3RoZXI", output)

    def test_a_key_that_has_no_right_to_the_zone_is_told_with_the_right_to_give(self):
        self.start(Named(self))
        code, output = self.me.once(**self.update_options(dns_tsig_file=self.named.key_file("other-key")))
        self.assertEqual(code, 1, output)
        self.assert_one_sentence(output, "REFUSED", "allow the key 'other-key' in the zone mydyn.example")

    def test_a_zone_that_the_primary_does_not_have_is_told(self):
        self.start(Named(self))
        code, output = self.me.once(**self.update_options(domain="other.example"))
        self.assertEqual(code, 1, output)
        self.assert_one_sentence(output, "cannot find the zone of _acme-challenge.other.example", "--dns-update",
                                 "REFUSED")

    def test_a_primary_that_says_nothing_is_told_within_seconds(self):
        self.start(Named(self))
        udp, tcp, address = bound_to_port_53()
        with udp, tcp:
            began = time.monotonic()
            code, output = self.me.once(**self.update_options(dns_update=address))
        self.assertEqual(code, 1, output)
        self.assertLess(time.monotonic() - began, 20)
        self.assert_one_sentence(output, "cannot find the zone of _acme-challenge.mydyn.example", address,
                                 "gave no answer within 2 seconds")

    def test_another_challenge_is_tried_where_the_update_fails(self):
        self.start(Named(self))
        code, output = self.me.once(**self.update_options(challenge=["dns-01", "http-01"],
                                                          dns_tsig_file=self.named.key_file("other-key")))
        self.assertEqual(code, 0, output)

    def test_a_key_that_everybody_can_read_is_told_with_the_command_that_mends_it(self):
        self.start(Named(self))
        key = self.named.key_file()
        key.chmod(0o644)
        code, output = self.me.once(**self.update_options(dns_tsig_file=key))
        self.assertEqual(code, 0, output)
        self.assert_one_sentence(output, "warning", str(key), "every user of this machine can read it: chmod 0600")

    def test_a_file_without_a_key_is_refused_before_anything_is_done(self):
        self.start(Named(self))
        broken = self.folder / "broken.key"
        broken.write_text("nonsense")
        code, output = self.me.once(**self.update_options(dns_tsig_file=broken))
        self.assertEqual(code, 2, output)
        self.assert_one_sentence(output, "dns-tsig-file", str(broken), "hmac-sha256:NAME:SECRET")


class OwnResolver(DnsCase):
    """With BIND as the name server of /etc/resolv.conf, which only the agent sees."""

    def start(self, named, **options):
        resolv_conf = self.folder / "resolv.conf"
        resolv_conf.write_text(f"nameserver {named.secondaries[0].address}\n")
        if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode != 0:
            skip("no-namespaces")
        wrapper = self.folder / "acme-agent"
        wrapper.write_text("#!/bin/sh\nexec unshare -m sh -c 'mount --bind \"$0\" /etc/resolv.conf && exec \"$@\"' "
                           f"{resolv_conf} {self.agent_path} \"$@\"\n")
        wrapper.chmod(0o755)
        self.agent_path = wrapper
        super().start(named, **options)

    @row("draft-ietf-acme-dns-persist", "dns-persist-01")
    def test_the_line_that_is_printed_for_the_zone_proves_the_name_from_then_on(self):
        self.start(Named(self, updates=False), challenge="dns-persist-01")
        code, output = self.me.once()
        self.assertEqual(code, 1, output)
        self.assert_one_sentence(output, "dns-persist-01 for mydyn.example", "put this line into the zone")
        line = re.search(r'(_validation-persist\.mydyn\.example\. IN TXT "[^"]*")', output).group(1)
        self.named.add_by_hand(line)
        code, output = self.me.renew()
        self.assertEqual(code, 0, output)
        code, output = self.me.renew("--force")
        self.assertEqual(code, 0, output)
        self.assertNotIn("put this line", output)

    def test_what_the_dns_has_to_do_with_a_failure_is_said(self):
        self.start(Named(self, records=['lan A 192.168.1.5', 'lan CAA 0 issue "other.example"']))
        code, output = self.me.once(domain="nowhere.mydyn.example")
        self.assertEqual(code, 1, output)
        self.assert_one_sentence(output, "could not validate nowhere.mydyn.example",
                                 "seen from here, there is no nowhere.mydyn.example in the DNS")
