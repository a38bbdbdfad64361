"""SIGKILL just before any system call of a renewal: a pair that fits always stands, and the next start ends where the one
before would have ended, without asking for a certificate a second time."""

import collections
import re
import ssl
import time

from support import agent, strace, tls
from support.case import ServedCase


# The steps; all between them leave things as they were.
SEEN_BY_OTHERS = {"rename", "renameat", "renameat2", "symlink", "unlink", "unlinkat", "mkdir", "pidfd_send_signal", "kill",
                  "bind", "listen", "connect", "sendto"}


class Watched(ServedCase):
    ca_options = {"authz_reuse": 0}  # each order has a challenge
    agent_options = {"key_type": "ec256"}

    def setUp(self):
        strace.require()
        super().setUp()
        self.serve()
        self.root = self.ca.root()

    def counts(self):
        """Orders, finalizations and the serial numbers of all certificates so far."""
        issued = [int(serial, 16) for serial in re.findall(r"Issued certificate serial (\w+)", self.ca.program.output())]
        return self.ca.orders(), self.ca.count("POST /finalize-order/"), issued

    def check_pair(self, folder, told="", files=("fullchain.pem", "privkey.pem")):
        """The serial number of the certificate in the pair that stands there."""
        try:
            return tls.handshake(*(folder / file for file in files), self.root)
        except (OSError, ssl.SSLError) as error:
            self.fail(f"no broker could start with what stands in {folder}: {error}; {told}")


class Kills(Watched):
    """Each renewal is due because another kind of key is wanted, so that each has a new key, too."""

    def setUp(self):
        super().setUp()
        for _ in range(3):  # from then on old generations go, and each renewal is like the one before
            self.other_key()
            self.assertEqual(self.me.once()[0], 0)
        # Phases in the order in which a renewal goes through them, each with the call that it begins with.
        held, certs = f"{self.me.certificate_state}/held", str(self.me.cert_dir)
        writing = r'(mkdir|unlink|symlink|rename|openat)\w*\((?!.*O_RDONLY)[^"]*"'
        self.phases = [("start", ""), ("order", rf"bind\(.*htons\({self.ca.http_port}\)"), ("finalize", "the server issues"),
                       ("held", held), ("look", "/proc/"), ("folder", writing + certs),
                       ("folder", rf"rename\w*\(.*{certs}/\.\.data"), ("reload", '"/proc"'),
                       ("probe", rf"connect\(.*htons\({self.mqtt.port}\)"), ("end", r"\.record\.json\.new")]

    def with_phases(self, calls):
        """(phase, call) for each call."""
        reached, result = 0, []
        for call in calls:
            # One order in a hundred has no challenge: Pebble takes "reuse 0 %" for up to 1 %.
            for after in range(reached + 1, min(reached + (3 if reached == 0 else 2), len(self.phases))):
                if re.search(self.phases[after][1], call.text):
                    reached = after
            result.append((self.phases[reached][0], call))
        return result

    def other_key(self):
        self.me.options["key_type"] = "ec384" if self.me.options["key_type"] == "ec256" else "ec256"

    def moments(self, phase, count):
        """Calls of this phase, as different as there are, in a renewal that is watched and let live."""
        seen = set()
        for _ in range(3):
            if phase not in seen:
                self.other_key()
                code, output, calls = strace.run(self.me, "--once")
                self.assertEqual(code, 0, output)
                seen = {where for where, _ in self.with_phases(calls)}
        self.assertIn(phase, seen, "a renewal goes through other phases (strace.txt, kept with --keep)")
        first, vague, occurrences, found = set(), set(), collections.Counter(), []
        for at, (where, call) in enumerate(self.with_phases(calls)):
            # strace counts for each thread: only the first to come to a number dies of it. And how many processes there are
            # in /proc changes from run to run, so that what was done with them is hard to hit by its number.
            if where == phase and (call.name, call.number) not in first and call.name not in vague:
                occurrences[call.label] += 1
                found.append((occurrences[call.label], call.name not in SEEN_BY_OTHERS, at, call))
            first.add((call.name, call.number))
            if "/proc/" in call.text and phase != "reload":
                vague.add(call.name)
        found.sort(key=lambda entry: entry[:3])
        return [found[i % len(found)][3] for i in range(max(count, len(occurrences) if self.long else 0))]

    def kill(self, moment, attempt):
        """One renewal that dies at this moment, and the start after it. The phase where it died, None if it did not."""
        orders, finalized, issued = self.counts()
        before = self.check_pair(self.me.cert_dir)
        self.other_key()
        code, output, calls = strace.run(self.me, "--once", kill_at=moment)
        if code == 0:
            return None
        where, last = next(((where, call) for where, call in self.with_phases(calls) if call.is_like(moment)), ("", moment))
        told = f"killed before {last.text} ({where}):\n{output}"
        self.assertEqual(code, -9, told)

        self.assertTrue(self.mqtt.program.running, told)
        self.mqtt.round_trip()  # so that it is through with what the agent told it
        if attempt % 2:
            self.mqtt.reload()  # as logrotate does, whenever it likes
        tls.verify(self.mqtt.port, self.root)
        self.device.ping()
        for files in (("fullchain.pem", "privkey.pem"), ("combined.pem", "combined.pem")):
            stands = self.check_pair(self.me.cert_dir, told, files)
            self.assertIn(stands, [before, *self.counts()[2][len(issued):]], told)
        self.check_pair(self.me.certificate_state / "held", told)

        code, output = self.me.once()
        told += f"the next start:\n{output}"
        self.assertEqual(code, 0, told)
        orders_now, finalized_now, issued_now = self.counts()
        self.assertEqual(finalized_now - finalized, 1, f"an order was finalized a second time; {told}")
        self.assertEqual(len(issued_now) - len(issued), 1, f"another certificate was issued; {told}")
        self.assertLessEqual(orders_now - orders, 2 if where in ("start", "order") else 1,
                             f"what was under way was ordered again; {told}")
        self.assertEqual(self.check_pair(self.me.cert_dir, told), issued_now[-1], told)
        self.assertEqual(self.me.leaf(), self.me.held_leaf(), told)
        self.assertEqual(tls.verify(self.mqtt.port, self.root), self.me.held_leaf(), told)
        self.assertFalse((self.me.certificate_state / "pending/order.json").exists(), told)
        return where, last.label

    def check(self, phase):
        wanted = 30
        deaths, elsewhere = collections.Counter(), collections.Counter()
        attempt = 0
        while deaths.total() < wanted and attempt < 3 * wanted:
            for moment in self.moments(phase, wanted - deaths.total()):
                attempt += 1
                died = self.kill(moment, attempt)
                if died and died[0] == phase:
                    deaths[died[1]] += 1
                else:
                    elsewhere[died[0] if died else "not at all"] += 1
        self.figures.append(f"{phase}: killed {deaths.total()} times, before " +
                            ", ".join(f"{label} {count}" if count > 1 else label for label, count in deaths.items()) +
                            (f"; missed: {dict(elsewhere)}" if elsewhere else ""))
        self.assertGreaterEqual(deaths.total(), wanted, f"too few hits; {elsewhere}")

    def test_while_the_order_is_open_and_the_challenge_is_up(self):
        self.check("order")

    def test_while_the_order_is_finalized_and_its_certificate_fetched(self):
        self.check("finalize")

    def test_while_the_held_pair_is_switched(self):
        self.check("held")

    def test_while_the_broker_s_folder_is_switched(self):
        self.check("folder")

    def test_while_the_broker_is_told(self):
        self.check("reload")

    def test_while_it_looks_what_the_broker_serves(self):
        self.check("probe")


class Leftover(Watched):
    """What a kill after finalize leaves behind."""

    def kill(self, begins, name, *words, **changes):
        """A renewal like the one before, killed at the first call `name` after one that contains `begins`."""
        code, output, calls = strace.run(self.me, *words, **changes)
        self.assertEqual(code, 0, output)
        at = next(i for i, call in enumerate(calls) if begins in call.text)
        moment = next(call for i, call in enumerate(calls) if i > at and call.name == name and
                      not any(call.is_like(other) for other in calls[:i]))
        orders = self.counts()
        other = {key: {"ec256": "ec384", "ec384": "ec256"}[value] for key, value in changes.items()}
        code, output, _ = strace.run(self.me, *words, kill_at=moment, **other)
        self.assertEqual(code, -9, output)
        self.eventually(lambda: len(self.counts()[2]) == len(orders[2]) + 1, 5, "the order being finalized before the kill")
        return orders


class Leftovers(Leftover):
    def test_a_forced_renewal_that_died_after_finalize_is_finished_by_the_next_start(self):
        orders, _, issued = self.kill("the server issues", "fsync", "renew", self.me.name, "--force")
        code, output = self.me.once()
        self.assertEqual(code, 0, output)
        self.assertEqual(self.check_pair(self.me.cert_dir), self.counts()[2][-1])
        self.assertEqual(self.counts()[0], orders + 1)

    def test_a_new_key_is_made_for_the_renewal_after_one_that_died_with_its_certificate_held(self):
        self.kill(f'"{self.me.certificate_state}/held/..data")', "unlink", "renew", self.me.name, "--force")
        self.assertEqual(self.me.once()[0], 0)
        before = agent.public_key(self.me.cert_dir / "cert.pem")
        code, output = self.me.renew("--force", reuse_key="no")
        self.assertEqual(code, 0, output)
        self.assertNotEqual(agent.public_key(self.me.cert_dir / "cert.pem"), before)


class LateLeftovers(Leftover):
    ca_options = {"authz_reuse": 0, "lifetime": 12}

    def test_an_order_whose_certificate_has_run_out_meanwhile_is_made_anew_at_once(self):
        self.kill("the server issues", "fsync", "--once", key_type="ec384")
        time.sleep(13)
        code, output = self.me.once()
        self.assertEqual(code, 0, output)
