"""Many certificates in one agent: they get their turn, nothing is done twice, and nobody who is in a hurry waits for all."""

import json
import pathlib
import re
import signal

from support import fleet, programs
from support.agent import EXIT_BAD, EXIT_GOOD, EXIT_USAGE
from support.case import Case

RELEASE = pathlib.Path(__file__).resolve().parents[2] / "build/release/acme-agent"


class Many(Case):
    in_memory = True

    def setUp(self):
        super().setUp()
        if self.long and RELEASE.exists():
            self.agent_path = RELEASE  # with sanitizers, so many take an hour
        self.count = 10_000 if self.agent_path == RELEASE else 300
        self.state = self.folder / "state"
        self.config = self.folder / "many.conf"
        self.me = self.agent(name=fleet.NAME % 0, domain=None, cert_dir=None, reload=None, probe=None, state_dir=None,
                             config=self.config)

    def configure(self, ca, names, *lines):
        fleet.configure(self.config, self.state, names, f"ca-bundle = {ca.ca_bundle}",
                        f"http-listen = 127.0.0.1:{ca.http_port}", *lines, server=ca.url)

    def held(self, ca, count):
        """As many that are held and known to the agent."""
        names = fleet.make(self.state, count, server=ca.url)
        self.configure(ca, names)
        code, output = self.me.once(seconds=600)
        self.assertEqual(code, EXIT_GOOD, output[-3000:])
        self.assertEqual(ca.orders(), 0, "what is held was ordered again")
        return names

    def records(self, names):
        """When each record was written."""
        return {name: (self.state / "certificates" / name / "record.json").stat().st_mtime_ns for name in names}

    def generations(self, names):
        """What lies in each folder of a broker."""
        return {name: ((self.state / "live" / name / "..data").readlink(), self.chain(name).stat().st_mtime_ns) for name in names}

    def chain(self, name):
        return self.state / "live" / name / "fullchain.pem"

    def renew(self, name, *words):
        return programs.run([self.agent_path, "renew", name, *words, "--config", self.config], 60)


class Issuance(Many):
    def test_each_gets_its_own_certificate_from_the_same_account_and_the_next_pass_asks_nobody_and_writes_nothing(self):
        ca = self.pebble(always_valid=self.count > 1000)
        names = [fleet.NAME % i for i in range(self.count)]
        self.configure(ca, names[:1])
        code, output = self.me.once()
        self.assertEqual(code, EXIT_GOOD, output)
        alone = ["workers = 1"] if self.count > 1000 else []  # of thousands, two that meet lock Pebble 2.10 up
        self.configure(ca, names, "log-level = warning", "placeholder = no", *alone)
        code, output = self.me.once(seconds=3600)
        self.assertEqual((code, output), (EXIT_GOOD, ""))
        self.assertEqual(ca.orders(), self.count)
        self.assertEqual(ca.count("POST /sign-me-up"), 1, "accounts made")
        self.assertEqual(len({self.chain(name).read_text() for name in names}), self.count, "different certificates")
        before = self.records(names), self.generations(names), ca.count("-> calling handler")
        code, output = self.me.once(seconds=600)
        self.assertEqual((code, output), (EXIT_GOOD, ""))
        self.assertEqual((self.records(names), self.generations(names), ca.count("-> calling handler")), before)


class Sighup(Many):
    def test_one_less_and_two_more_are_taken_while_an_order_is_under_way_and_the_files_of_the_others_stay_as_they_are(self):
        ca = self.pebble(nosleep=False, sleep_seconds=3, authz_reuse=0)
        names = self.held(ca, self.count)
        busy, gone = names[0], names[-1]
        before = self.generations(names[1:])
        daemon = self.me.start()
        self.eventually(lambda: self.me.is_running(), 60, "the control socket")
        renewal = self.program("agent-renew", [self.agent_path, "renew", busy, "--force", "--config", self.config])
        self.eventually(lambda: ca.count("POST /chalZ/") == 1, 20, "the order under way")
        new = ["new-1.many.test", "new-2.many.test"]
        self.configure(ca, names[:-1] + new)
        daemon.send(signal.SIGHUP)
        daemon.wait_for_output("the configuration was read again", 60)
        for name in new:
            self.eventually(lambda: (self.state / "certificates" / name / "held/..data").exists(), 30, f"{name} issued")
        self.assertEqual(renewal.wait(30), EXIT_GOOD, renewal.output())
        code, output = self.renew(gone)
        self.assertEqual(code, EXIT_USAGE, output)
        self.assertEqual(ca.orders(), 3, "the renewal and the two new ones")
        self.assertEqual(self.generations(names[1:]), before)
        daemon.send(signal.SIGTERM)
        self.assertEqual(daemon.wait(), EXIT_GOOD)

    def test_a_setting_that_changes_for_all_is_applied_to_all_without_an_order(self):
        ca = self.pebble()
        names = self.held(ca, 30)
        daemon = self.me.start()
        self.configure(ca, names, "mode = 0644")
        daemon.send(signal.SIGHUP)
        for name in names:
            self.eventually(lambda: self.chain(name).stat().st_mode & 0o777 == 0o644, 20, f"the mode of {name}")
        self.assertEqual(ca.orders(), 0)


class Hurry(Many):
    def test_renew_reaches_the_running_agent_at_once_though_all_the_others_wait_for_their_first_certificate(self):
        ca = self.pebble(nosleep=False, sleep_seconds=2)
        names = [fleet.NAME % i for i in range(300)]
        self.configure(ca, names, "workers = 4")
        daemon = self.me.start()
        self.eventually(lambda: ca.orders() >= 4, 30, "four orders")
        code, output = self.renew(names[-1])
        self.assertEqual(code, EXIT_GOOD, output)
        self.assertLess(ca.orders(), 40, "orders placed until the last one had its certificate")
        self.assertTrue((self.state / "certificates" / names[-1] / "held/..data").exists())
        daemon.send(signal.SIGTERM)
        self.assertEqual(daemon.wait(), EXIT_GOOD)


class Folders(Many):
    def test_more_folders_of_brokers_than_files_may_be_open_are_locked_all_the_same(self):
        ca = self.pebble()
        names = self.held(ca, 60)
        self.configure(ca, [f"[{name}]\ncert-dir = {self.folder}/broker/{name}" for name in names])
        code, output = programs.run(["prlimit", "--nofile=50:1024", self.agent_path, "--once", "--config", self.config])
        self.assertEqual(code, EXIT_GOOD, output)
        self.assertEqual(len(list(self.folder.glob("broker/*/.acme-agent.lock"))), len(names))


class Status(Many):
    def change(self, name, **changes):
        path = self.state / "certificates" / name / "record.json"
        record = json.loads(path.read_text())
        for key, value in changes.items():
            if isinstance(value, dict):
                record[key] |= value
            else:
                record[key] = value
        path.write_text(json.dumps(record))

    def expire(self, name):
        for folder in (self.state / "certificates" / name / "held", self.state / "live" / name):
            path = folder / "..1/fullchain.pem"
            leaf, rest = path.read_text().split("-----BEGIN CERTIFICATE-----")[1:]
            begin = "-----BEGIN CERTIFICATE-----"
            dates = re.sub(rb"\x17\x0d\d{12}Z\x17\x0d\d{12}Z", b"\x17\x0d250101000000Z\x17\x0d250401000000Z", fleet.der_of(begin + leaf))
            path.write_text(fleet.pem_of(dates) + begin + rest)

    def status(self, *words):
        return programs.run([self.agent_path, "status", *words, "--config", self.config], 60)

    def test_what_is_most_urgent_comes_first_in_text_and_json(self):
        ca = self.pebble()
        names = self.held(ca, 7)
        soon, later, expired, failing, sooner_to_end, not_served, overdue = names
        self.configure(ca, [*names, "missing.many.test"])
        self.change(later, next_attempt="2027-02-03T00:00:00Z")
        self.change(soon, next_attempt="2027-02-02T00:00:00Z")
        self.expire(expired)
        for name in (failing, sooner_to_end):
            self.change(name, failures=2, last_error="the server is away")
        self.change(not_served, deploy={"ok": False, "last_error": "the broker is away"})
        self.change(overdue, next_attempt="2026-01-01T00:00:00Z")
        code, output = self.status("--json")
        self.assertEqual(code, EXIT_BAD, output)
        order = [one["name"] for one in json.loads(output)["certificates"]]
        self.assertEqual(order[:2], [expired, "missing.many.test"])
        self.assertEqual(set(order[2:5]), {failing, sooner_to_end, overdue})
        self.assertEqual(order[5:], [not_served, soon, later])
        _, text = self.status()
        self.assertEqual(re.findall(r"^(\S+)  ", text, re.M), order)

    def test_what_the_server_advises_and_how_long_it_wants_us_to_wait_are_told(self):
        ca = self.pebble()
        name, quiet = self.held(ca, 2)
        held = json.loads((self.state / "certificates" / name / "record.json").read_text())["held"]
        self.change(name, reason="ari", next_attempt="2035-01-02T00:00:00Z", held=held | {"renewal_info_id": "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"},
                    renewal_info={"id": "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE", "start": "2035-01-01T00:00:00Z",
                                  "end": "2035-01-03T00:00:00Z", "explanation_url": "https://ca.example/why",
                                  "next_check": "2034-01-01T00:00:00Z"},
                    servers=[{"server": ca.url, "step": 2, "next_attempt": "2035-01-02T00:00:00Z",
                              "retry_after": "2034-06-01T00:00:00Z", "turn": "2034-07-01T00:00:00Z"}])
        found = {one["name"]: one for one in json.loads(self.status("--json")[1])["certificates"]}
        self.assertEqual(found[name]["renewal_info"],
                         {"start": "2035-01-01T00:00:00Z", "end": "2035-01-03T00:00:00Z",
                          "explanation_url": "https://ca.example/why", "next_check": "2034-01-01T00:00:00Z"})
        self.assertEqual(found[name]["servers"],
                         [{"server": ca.url, "ladder_step": 2, "next_attempt": "2035-01-02T00:00:00Z",
                           "retry_after": "2034-06-01T00:00:00Z", "turn": "2034-07-01T00:00:00Z"}])
        self.assertEqual((found[quiet]["renewal_info"], found[quiet]["servers"]), (None, []))
        _, text = self.status(name)
        for line in (rf"next +2035-01-02T00:00:00Z \(ari: .*2035-01-01T00:00:00Z to 2035-01-03T00:00:00Z\)", "https://ca.example/why",
                     r"waits +until 2034-06-01T00:00:00Z", r"waits +until 2034-07-01T00:00:00Z .*turn"):
            self.assertRegex(text, line)
        self.assertNotIn("waits", self.status(quiet)[1])

    def test_the_server_named_is_the_one_that_has_issued_what_is_held_and_before_that_the_first_one(self):
        ca = self.pebble()
        name, = self.held(ca, 1)
        self.configure(ca, [name, "missing.many.test"])
        with self.config.open("r+") as file:
            text = file.read().replace("server = ", "server = letsencrypt-staging\nserver = ", 1)
            file.seek(0)
            file.write(text)
        found = {one["name"]: one["server"] for one in json.loads(self.status("--json")[1])["certificates"]}
        self.assertEqual(found, {name: ca.url, "missing.many.test": "letsencrypt-staging"})
