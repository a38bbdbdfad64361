"""Somebody is told when a certificate is in danger, once, and when it is well again."""

import http.server
import json
import threading

from support.case import Case


class Told(http.server.ThreadingHTTPServer):
    """A webhook that keeps what it hears."""

    def __init__(self):
        self.heard = []
        self.status = 200

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(self.server.status)
                self.end_headers()
                if self.server.status == 200:
                    self.server.heard.append((self.path, self.headers["Content-Type"], body))

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Alerts(Case):
    lifetime = 8

    def setUp(self):
        super().setUp()
        self.ca = self.pebble(lifetime=self.lifetime, authz_reuse=0)
        self.me = self.agent(self.ca, key_type="ec256")
        self.hook = Told()
        self.addCleanup(self.hook.server_close)
        self.addCleanup(self.hook.shutdown)
        self.url = f"http://127.0.0.1:{self.hook.server_port}/hook"
        self.assertEqual(self.me.once()[0], 0)

    def let_it_end(self):
        self.ca.stop()
        self.me.wait_until(lambda status: status["state"] == "expired", 3 * self.lifetime)

    def test_a_program_hears_once_that_a_certificate_has_ended_and_once_that_it_is_well_again(self):
        said = self.folder / "said"
        tell = self.folder / "tell"
        tell.write_text(f'#!/bin/sh\necho "$ACME_AGENT_ALERT_TROUBLE|$ACME_AGENT_ALERT_CERTIFICATES|$ACME_AGENT_ALERT_TEXT" >> {said}\n')
        tell.chmod(0o755)
        self.me.options["alert"] = f"command:{tell}"
        self.let_it_end()
        for _ in range(3):
            self.assertEqual(self.me.once()[0], 1)
        line, = said.read_text().splitlines()
        self.assertTrue(line.startswith("expired|mydyn.example|mydyn.example ended "), line)
        self.ca.start()
        self.assertEqual(self.me.renew()[0], 0)
        again = said.read_text().splitlines()[1:]
        self.assertEqual([text.split("|")[0] for text in again], ["none"])
        self.assertEqual(oct((self.me.state / "alerts.json").stat().st_mode & 0o777), "0o600")

    def test_a_running_agent_tells_a_webhook_by_itself(self):
        self.let_it_end()
        self.me.start(alert=f"url:{self.url}")
        self.eventually(lambda: self.hook.heard, 20, "an alert")
        path, kind, body = self.hook.heard[0]
        self.assertEqual((path, kind, body["trouble"]), ("/hook", "application/json", "expired"))
        self.assertEqual(body["certificates"][0]["name"], "mydyn.example")
        self.assertIn("mydyn.example has ended", body["title"])
        self.ca.start()
        self.me.renew()
        self.eventually(lambda: self.hook.heard[-1][2]["trouble"] == "none", 20, "good news")

    def test_who_renews_one_by_hand_ends_no_trouble_of_another(self):
        config = self.folder / "agent.conf"
        config.write_text("[mydyn.example]\n[other.example]\n")
        options = {"config": config, "domain": None, "cert_dir": None, "alert": f"url:{self.url}"}
        self.let_it_end()
        self.assertEqual(self.me.once(**options)[0], 1)
        self.assertEqual([body["trouble"] for _, _, body in self.hook.heard], ["expired"])
        self.ca.start()
        for name, heard in (("other.example", ["expired"]), ("mydyn.example", ["expired", "none"])):
            code, output = self.me.run("renew", name, **options)
            self.assertEqual(code, 0, output)
            self.assertEqual([body["trouble"] for _, _, body in self.hook.heard], heard)

    def test_a_webhook_that_fails_is_told_of_in_the_log_and_hears_it_later(self):
        self.let_it_end()
        self.hook.status = 503
        code, output = self.me.once(alert=f"url:{self.url}")
        self.assertEqual(code, 1)
        self.assert_one_sentence(output, "cannot tell url:http://127.0.0.1", "status 503", "in 1 minute at the earliest")
        self.assertNotIn("/hook", output)
        self.hook.status = 200
        self.me.once(alert=f"url:{self.url}")
        self.assertEqual(len(self.hook.heard), 1)

    def test_ntfy_gets_its_message_at_the_root_and_a_dry_run_tells_nobody(self):
        self.let_it_end()
        alert = f"ntfy:http://127.0.0.1:{self.hook.server_port}/my-topic"
        self.me.run("--dry-run", alert=alert)
        self.assertEqual(self.hook.heard, [])
        self.me.once(alert=alert)
        path, _, body = self.hook.heard[0]
        self.assertEqual((path, body["topic"], body["priority"], body["tags"]), ("/", "my-topic", 5, ["rotating_light"]))

    def test_check_finds_what_is_wrong_with_an_alert(self):
        code, output = self.me.run("check", alert="mail:me@mydyn.example")
        self.assertEqual(code, 2)
        self.assert_one_sentence(output, "--alert", "'mail' is no way to tell")
