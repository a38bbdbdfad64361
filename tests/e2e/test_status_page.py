"""What `--status-listen` shows of a running agent: to a browser, to Prometheus, to a health check, and to nobody else."""

import html.parser
import http.client
import json
import pathlib
import re
import socket
import stat
import struct

from support import programs
from support.case import Case, ServedCase

AGENT_TEST = {"key_type": "ec256"}


class Page(ServedCase):
    agent_options = AGENT_TEST

    def setUp(self):
        super().setUp()
        self.port = programs.free_port()
        self.me.options["status_listen"] = self.port
        self.serve()

    def start(self, **changes):
        self.daemon = self.me.start(**changes)
        self.me.wait_until_valid()

    def ask(self, path, method="GET", host=None, port=None):
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=20)
        connection.request(method, path, headers={"Host": host} if host else {})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read().decode()

    def chromium(self, *arguments):
        code, output = programs.run(["chromium-headless-shell", "--no-sandbox", "--headless", "--disable-gpu", "--hide-scrollbars",
                                     f"--user-data-dir={self.folder / 'browser'}", *arguments,
                                     f"http://localhost:{self.port}/"], 60)
        self.assertEqual(code, 0, output)
        self.assertNotIn("Refused to", output)  # what the content security policy would keep out
        return output

    def test_a_browser_shows_every_certificate_with_its_state_at_phone_and_desktop_width(self):
        self.start()
        shown = self.chromium("--enable-logging=stderr", "--dump-dom")
        status = self.me.status()
        for words in ("The certificate is good", "mydyn.example", ">good<", "Valid for", f"localhost:{self.mqtt.port}", "serves it",
                      status["fingerprint_sha256"], status["not_after"]):
            self.assertIn(words, shown)
        for name, width, height in (("phone", 390, 844), ("desktop", 1280, 800)):
            with self.subTest(name):
                picture = self.folder / f"{name}.png"
                self.chromium(f"--window-size={width},{height}", f"--screenshot={picture}")
                self.assertEqual(struct.unpack(">II", picture.read_bytes()[16:24]), (width, height))
        styled = self.chromium("--window-size=390,844", "--virtual-time-budget=1000", "--dump-dom")
        self.assertIn("<article class=\"good\">", styled)

    def test_the_style_of_the_page_is_allowed_by_its_own_policy(self):
        self.start()
        picture = self.folder / "page.png"
        self.chromium("--window-size=390,844", "--force-dark-mode", "--blink-settings=preferredColorScheme=0", f"--screenshot={picture}")
        light = self.folder / "light.png"
        self.chromium("--window-size=390,844", f"--screenshot={light}")
        self.assertNotEqual(picture.read_bytes(), light.read_bytes(), "dark and light look the same: the style does not count")

    def test_the_page_is_one_well_formed_document_that_asks_for_nothing_else(self):
        self.start()
        code, headers, text = self.ask("/")
        self.assertEqual((code, headers["Content-Type"]), (200, "text/html; charset=utf-8"))
        self.assertIn("default-src 'none'; style-src 'sha256-", headers["Content-Security-Policy"])
        self.assertEqual((headers["X-Content-Type-Options"], headers["Referrer-Policy"]), ("nosniff", "no-referrer"))
        open_ones, void = [], {"meta"}

        class Checker(html.parser.HTMLParser):
            def handle_starttag(self, tag, attributes):
                names = {name for name, _ in attributes}
                assert tag not in ("script", "link", "img", "iframe", "form") and not names & {"src", "style", "onclick"}, (tag, attributes)
                if tag not in void:
                    open_ones.append(tag)

            def handle_endtag(self, tag):
                assert open_ones.pop() == tag, f"</{tag}> closes something else"

            def handle_startendtag(self, tag, attributes):
                pass

        Checker().feed(text)
        self.assertEqual(open_ones, [])

    def test_promtool_accepts_the_metrics_and_they_say_what_status_says(self):
        self.start()
        code, headers, text = self.ask("/metrics")
        self.assertEqual((code, headers["Content-Type"]), (200, "text/plain; version=0.0.4; charset=utf-8"))
        (self.folder / "metrics").write_text(text)
        code, output = programs.run(["sh", "-c", f"promtool check metrics < {self.folder / 'metrics'}"])
        self.assertEqual((code, output.strip()), (0, ""))
        samples = dict(re.findall(r"^(\w+(?:\{.*\})?) (\S+)$", text, re.MULTILINE))
        from datetime import datetime
        expiry = datetime.fromisoformat(self.me.status()["not_after"].replace("Z", "+00:00")).timestamp()
        self.assertEqual(float(samples['acme_agent_certificate_expiry_timestamp_seconds{certificate="mydyn.example"}']), expiry)
        self.assertEqual(samples['acme_agent_certificate_good{certificate="mydyn.example"}'], "1")
        served = [value for name, value in samples.items() if name.startswith("acme_agent_listener_serves_certificate{")]
        self.assertTrue(served and set(served) == {"1"}, samples)

    def test_status_json_is_what_the_command_says(self):
        self.start()
        _, headers, text = self.ask("/status.json")
        self.assertEqual(headers["Content-Type"], "application/json")
        self.assertEqual(json.loads(text)["certificates"][0], self.me.status())

    def test_a_health_check_hears_503_once_the_broker_serves_something_else(self):
        self.start()
        self.assertEqual(self.ask("/healthz")[::2], (200, "ok\n"))
        self.assertEqual(self.ask("/healthz", method="HEAD")[::2], (200, ""))
        record = self.me.certificate_state / "record.json"

        def ill():
            said = json.loads(record.read_text())  # again and again, as the agent may just be writing what it knows
            said["deploy"]["ok"] = False
            record.write_text(json.dumps(said))
            code, _, text = self.ask("/healthz")
            return code == 503 and text
        text = self.eventually(ill, 20, "a health check that fails")
        self.assertEqual(text, "1 of 1 not good: mydyn.example is not served\n")

    def test_it_is_only_to_be_read_and_only_by_this_machine(self):
        self.start()
        self.assertEqual(self.ask("/", method="POST")[0], 405)
        self.assertEqual(self.ask("/", host="evil.example")[0], 421)
        self.assertEqual(self.ask("/record.json")[0], 404)
        listening = pathlib.Path(f"/proc/{self.daemon.pid}/net/tcp").read_text() + pathlib.Path(f"/proc/{self.daemon.pid}/net/tcp6").read_text()
        places = re.findall(rf"^ *\d+: ([0-9A-F]+):{self.port:04X} [0-9A-F:]+ 0A ", listening, re.MULTILINE)
        self.assertEqual(places, ["0100007F"])

    def test_a_socket_in_the_file_system_shows_the_same(self):
        path = self.folder / "status.sock"
        self.start(status_listen=f"unix:{path}")
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o660)
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(path))
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: any\r\n\r\n")
            self.assertIn(b"200 OK", connection.recv(4096))
        self.daemon.stop()
        self.assertFalse(path.exists())

    def test_an_agent_whose_port_is_taken_says_by_whom_and_works_all_the_same(self):
        with socket.socket() as other:
            other.bind(("127.0.0.1", self.port))
            other.listen()
            self.start()
            self.assert_one_sentence(self.daemon.output(), f"cannot listen on 127.0.0.1:{self.port} for the status page", "is taken by",
                                     "--status-listen", "tried again every minute")
        self.assert_served()


class ManyCertificates(Case):
    in_memory = True

    def test_a_thousand_certificates_are_shown_by_urgency_and_the_agent_stays_at_work(self):
        ca = self.pebble()
        port = programs.free_port()
        config = self.folder / "many.conf"
        config.write_text("reload = none\nprobe = none\n" + "".join(f"[n{i}.example]\n" for i in range(1000)))
        me = self.agent(ca, config=config, domain=None, cert_dir=None, probe=None, reload=None, http_listen="127.0.0.1:1", status_listen=port,
                        placeholder="no")
        me.start()

        def page(path):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            connection.request("GET", path)
            return connection.getresponse().read().decode()

        text = self.eventually(lambda: page("/"), 20, "the page")
        self.assertEqual(text.count("<article"), 300)
        self.assertIn("The 300 most urgent of 1000 are shown", text)
        self.assertIn("1000 of 1000 certificates need attention", text)
        self.assertGreaterEqual(page("/metrics").count("acme_agent_certificate_good{"), 1000)
        self.assertEqual(len(json.loads(page("/status.json"))["certificates"]), 1000)
        code, output = me.run("renew", "n1.example")
        self.assertNotEqual(code, 2, output)
