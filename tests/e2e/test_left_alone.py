"""What an agent that nobody watches does by itself: the server's advice on renewals, another server, an order that is
not wanted."""

import datetime
import json
import ssl
import urllib.request

from support import programs
from support.case import Case
from support.conformance import row


def set_back(value, by):
    """Every date in a record, so much earlier, as if the agent had slept."""
    if isinstance(value, dict):
        return {key: set_back(one, by) for key, one in value.items()}
    if isinstance(value, list):
        return [set_back(one, by) for one in value]
    try:
        return (datetime.datetime.strptime(value, "%Y-%m-%dT%H:%M:%SZ") - by).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (TypeError, ValueError):
        return value


class Advice(Case):
    def setUp(self):
        super().setUp()
        self.ca = self.pebble(version="newest")
        self.me = self.agent(self.ca, key_type="ec256")
        code, output = self.me.once()
        self.assertEqual(code, 0, output)

    def suggest(self, start, end, explanation=None):
        """Pebble's advice for the certificate held, from now on."""
        def date(moment):
            return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
        answer = {"suggestedWindow": {"start": date(start), "end": date(end)}}
        if explanation:
            answer["explanationURL"] = explanation
        body = json.dumps({"certificate": (self.me.cert_dir / "cert.pem").read_text(), "ariResponse": json.dumps(answer)})
        request = urllib.request.Request(f"https://127.0.0.1:{self.ca.management_port}/set-renewal-info/",
                                         data=body.encode(), method="POST")
        with urllib.request.urlopen(request, context=ssl.create_default_context(cafile=str(self.ca.ca_bundle))) as done:
            self.assertEqual(done.status, 200)

    def sleep_for(self, **time):
        """The record as it were if so much time had passed; the certificate's own dates stay."""
        record = self.me.record()
        held = record["held"]
        record = set_back(record, datetime.timedelta(**time))
        record["held"] = held
        (self.me.certificate_state / "record.json").write_text(json.dumps(record))

    def test_the_next_renewal_lies_in_the_window_that_the_server_suggests(self):
        status = self.me.status()
        self.assertEqual(status["reason"], "ari")
        window = status["renewal_info"]
        self.assertLessEqual(window["start"], status["next_attempt"])
        self.assertLess(status["next_attempt"], window["end"])
        self.assertEqual(self.ca.count("GET /draft-ietf-acme-ari") + self.ca.count("/renewal-info"), 1)

    @row("RFC 9773", "renewal in the suggested window, with an order that replaces")
    def test_a_window_that_was_moved_into_the_past_is_a_renewal_that_says_what_it_replaces(self):
        before = self.me.leaf()
        now = datetime.datetime.utcnow()
        self.suggest(now - datetime.timedelta(hours=1), now - datetime.timedelta(minutes=30), "https://ca.example/why")
        code, output = self.me.once()
        self.assertEqual((code, self.me.leaf()), (0, before), "the server had not said that it may be asked again")
        self.sleep_for(days=2)
        code, output = self.me.once()
        self.assertEqual(code, 0, output)
        self.assertNotEqual(self.me.leaf(), before)
        self.assert_one_sentence(output, "https://ca.example/why")
        self.assertNotIn("does not let this order replace", output)
        self.assertEqual(self.ca.orders(), 2, "the order that replaces was taken at once")

    def test_a_window_that_ends_before_it_starts_counts_for_nothing(self):
        now = datetime.datetime.utcnow()
        self.suggest(now - datetime.timedelta(minutes=30), now - datetime.timedelta(hours=1))
        before = self.me.leaf()
        self.sleep_for(days=2)
        code, output = self.me.once()
        self.assertEqual((code, self.me.leaf()), (0, before), output)
        self.assertEqual(self.me.status()["reason"], "lifetime")


class AnotherServer(Case):
    def test_a_second_server_gives_what_the_first_cannot_and_the_first_is_asked_for_the_next_one(self):
        ca = self.pebble()
        dead = f"https://localhost:{programs.free_port()}/dir"
        me = self.agent(ca, key_type="ec256", server=[dead, ca.url])
        code, output = me.once()
        self.assertEqual(code, 0, output)
        self.assert_one_sentence(output, dead, "cannot reach", f"now asking {ca.url}")
        self.assertEqual(output.count("placeholder stands"), 1, "the key that was made is kept")
        self.assertEqual(me.status()["server"], ca.url)
        before = me.leaf()
        code, output = me.renew("--force")
        self.assertEqual((code, me.leaf()), (1, before), output)
        self.assert_one_sentence(output, dead, "next try at")

    def test_each_bad_name_waits_by_itself(self):
        ca = self.pebble()
        config = self.folder / "two.conf"
        me = self.agent(ca, name="good.example", config=config, domain=None, cert_dir=None)
        me.options["http_listen"] = None
        config.write_text(f"[good.example]\nhttp-listen = 127.0.0.1:{ca.http_port}\n"
                          f"[bad.example]\nhttp-listen = 127.0.0.1:{programs.free_port()}\n")
        code, output = me.once()
        self.assertEqual(code, 1, output)
        self.assertEqual(me.status()["state"], "valid")
        me.name = "bad.example"
        self.assertEqual(me.status()["failures"], 1)
