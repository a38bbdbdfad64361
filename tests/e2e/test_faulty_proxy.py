"""A proxy that does one thing wrong at one exchange of an issuance: the run ends with a certificate, or it says what failed
and when it goes on, and then it does."""

import collections
import concurrent.futures
import datetime
import queue
import re
import ssl
import time
import types

from support import faulty_proxy, tls, tls_files
from support.agent import Agent
from support.case import Case
from support.faulty_proxy import FaultyProxy
from support.pebble import Pebble

NAME = "mydyn.example"
LANES = 3  # issuances at a time
LONGEST = 25  # seconds that a run may take
PATIENCE = 30  # seconds that the agent waits for an answer
MOST_REQUESTS = 100  # that a run may send; without a fault it is about ten
FIRST_WAIT = 60  # seconds after a first failure
AT_ONCE, AFTER_ANOTHER_RUN = "at once", "after another run"


def moment(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


REQUESTS = (faulty_proxy.request_dropped, faulty_proxy.request_dropped_by_a_reset,
            faulty_proxy.request_dropped_and_the_line_down)
ANSWERS = (faulty_proxy.answer_dropped, faulty_proxy.answer_dropped_and_the_line_down, faulty_proxy.body_truncated,
           faulty_proxy.body_truncated_and_said_to_be_whole, faulty_proxy.headers_truncated)
LATE = (faulty_proxy.answer_late, faulty_proxy.answer_in_drops)
GARBLED = (faulty_proxy.body_garbled, faulty_proxy.one_bit_of_the_body_garbled, faulty_proxy.header_names_garbled,
           faulty_proxy.header_values_garbled, faulty_proxy.status_line_garbled)
REPEATED = (faulty_proxy.request_delivered_twice_and_answered_by_the_first,
            faulty_proxy.request_delivered_twice_and_answered_by_the_second, faulty_proxy.answer_twice,
            faulty_proxy.answer_given_to_the_next_request_too)
REFUSED = (faulty_proxy.error_500_instead_of_the_answer, faulty_proxy.error_503_for_a_while,
           faulty_proxy.error_503_until_a_date)
STALLS = (faulty_proxy.answer_stalls_in_its_body, faulty_proxy.answer_never_comes)
QUICK = REQUESTS + ANSWERS + GARBLED + REPEATED + REFUSED
# What last_error says of a fault, wherever it strikes.
SAID = {**{fault: "closed the connection|no answer from|cannot (reach|speak TLS with)" for fault in REQUESTS},
        **{fault: f"did not answer within {PATIENCE} s" for fault in STALLS},
        faulty_proxy.answer_dropped: "closed the connection",
        faulty_proxy.answer_dropped_and_the_line_down: "closed the connection|cannot (reach|speak TLS with)",
        faulty_proxy.body_truncated: "closed the connection",
        faulty_proxy.status_line_garbled: "no answer from",
        faulty_proxy.error_500_instead_of_the_answer: "status 500",
        faulty_proxy.error_503_for_a_while: "status 503.*not to be tried again before",
        faulty_proxy.error_503_until_a_date: "status 503.*not to be tried again before"}


class Lane:
    """A Pebble of its own behind a proxy of its own: one issuance at a time, so that what is counted is this one's."""

    def __init__(self, case, number, **ca_options):
        self.case = case
        self.folder = case.folder / f"lane-{number}"
        self.folder.mkdir()
        self.ca = Pebble(types.SimpleNamespace(
            folder=self.folder, run_folder=case.run_folder,
            program=lambda name, argv, **options: case.program(f"{name}-{number}", argv, **options)), **ca_options)
        self.root = self.ca.root()
        self.proxy = FaultyProxy(tls_files.server_files(case.run_folder), self.ca.port)
        self._agents = 0

    def agent(self):
        """One with nothing behind it."""
        self._agents += 1
        folder = self.folder / f"agent-{self._agents}"
        folder.mkdir()
        return Agent(types.SimpleNamespace(folder=folder, agent_path=self.case.agent_path), self.ca, name=NAME,
                     server=self.proxy.url, key_type="ec256")

    def issued(self):
        return {int(serial, 16) for serial in re.findall(r"Issued certificate serial (\w+)", self.ca.program.output())}


class Story:
    """One run with the fault, and where it does not end with a certificate, another without."""

    def __init__(self, lane, agent, words, fault, where):
        self.lane, self.agent, self.words, self.fault, self.where = lane, agent, words, fault, where
        self.proxy = lane.proxy
        self.text = ""

    @property
    def address(self):
        return self.proxy.url.split("/")[2]

    def fail(self, what):
        raise AssertionError(f"{self.fault.__name__} at {self.where}: {what}\n{self.text}")

    def check(self, holds, what):
        if not holds:
            self.fail(what)

    def run(self, *words):
        try:
            code, output = self.agent.run(*words, seconds=LONGEST + (PATIENCE if self.fault in STALLS else 0))
        except AssertionError as error:
            self.fail(error)
        self.text += f"$ acme-agent {' '.join(words)} → {code}\n{output}"
        return code, output

    def tell(self):
        """How it ended; None if the exchange did not come up."""
        issued = self.lane.issued()
        before = self.pair("fullchain.pem", "privkey.pem", may_lack=True)
        self.proxy.mend(self.fault, self.where)
        began = time.time()
        code, output = self.run(*self.words)
        if self.proxy.struck is None:
            self.check(code == 0, "it failed without any fault")
            return None
        finalized = self.finalized()
        self.check(self.proxy.requests <= MOST_REQUESTS, f"it sent {self.proxy.requests} requests")
        self.check(code in (0, 1), "that is no exit code for this")
        if code == 0:
            ending = AT_ONCE
        else:
            ending = AFTER_ANOTHER_RUN
            self.check_pairs({before})
            self.error = self.check_failure(output, began)
            if self.proxy.left_alone_until:
                self.check_left_alone()
                self.let_time_pass()
            self.proxy.mend()
            code, output = self.run("renew", NAME)
            self.check(code == 0, "the run after it has no certificate, either")
            finalized += self.finalized()
        fresh = self.lane.issued() - issued
        # What is only asked for advice delays nothing.
        self.check(ending == AT_ONCE or not self.where.startswith("renewalInfo"), "a certificate was there to be had")
        self.check(len(finalized) == len(set(finalized)), f"an order was finalized twice: {finalized}")
        self.check(len(fresh) == 1 or self.certificate_was_spoilt(), f"{len(fresh)} certificates were issued, with {finalized}")
        self.check_pairs(fresh)
        return ending

    def certificate_was_spoilt(self):
        return self.where.startswith("certZ") and self.fault in GARBLED

    def finalized(self):
        return [target for name, target, status in self.proxy.statuses if name.startswith("finalize") and status == 200]

    def pair(self, certificate, key, may_lack=False):
        try:
            return tls.handshake(self.agent.cert_dir / certificate, self.agent.cert_dir / key, self.lane.root)
        except FileNotFoundError:
            if not may_lack:
                self.fail(f"there is no {certificate} or {key}")
        except ssl.SSLError as error:
            if not (may_lack and self.is_placeholder()):
                self.fail(f"no broker could start with {certificate} and {key}, or no device likes it: {error}")
        return None

    def is_placeholder(self):
        """A self-signed one that fits its key."""
        folder = self.agent.cert_dir
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(folder / "fullchain.pem", folder / "privkey.pem")
        except ssl.SSLError:
            return False
        return self.agent.status()["state"] == "placeholder"

    def check_pairs(self, wanted):
        for certificate, key in (("fullchain.pem", "privkey.pem"), ("combined.pem", "combined.pem")):
            stands = self.pair(certificate, key, may_lack=None in wanted)
            self.check(stands in wanted, f"{stands} stands in {certificate}, not one of {wanted}")

    def check_failure(self, output, began):
        """It says what failed and goes on when it should."""
        status = self.agent.status()
        self.text += f"status --json: {({key: status[key] for key in ('last_error', 'next_attempt', 'reason', 'failures')})}\n"
        error = status["last_error"]
        self.check(error and "\n" not in error and len(error) < 700, "last_error is not one sentence")
        named = self.address in error or re.search(r'".+" \(\w+\)', error) or "the issued certificate" in error
        self.check(named, "the sentence neither names the server nor has its words")
        self.check(re.search(SAID.get(self.fault, ""), error), f"that is not what {self.fault.__name__} should be called")
        self.check(self.fault in GARBLED or "malformed" not in error, "the line is to blame, not the request")
        self.check(status["failures"] == 1, "that was one failure")
        self.check(status["next_attempt"] is not None and status["reason"] == "retry", "no next try is planned")
        lines = [line for line in output.splitlines() if error in line]
        self.check(len(lines) == 1, "the log does not say once what failed")
        self.check(f"next try at {status['next_attempt']}" in lines[0], "log and status name two times for the next try")
        planned = moment(status["next_attempt"])
        if self.proxy.left_alone_until:
            off = planned - self.proxy.left_alone_until
            self.check(-1 <= off < 3, f"the next try is {off:.1f} s off what Retry-After said")
        else:
            self.check(self.proxy.struck + FIRST_WAIT - 1 < planned < time.time() + FIRST_WAIT + 1,
                       f"the next try is {planned - began:.1f} s after the start")
        return error

    def check_left_alone(self):
        """Nobody gets it to ask before that time."""
        self.proxy.mend()
        code, _ = self.run("renew", NAME)
        self.check(code == 1 and self.proxy.requests == 0, f"it sent {self.proxy.requests} requests before that time")

    def let_time_pass(self):
        """All times that it has noted become earlier, as if the wait were over."""
        def earlier(found):
            then = datetime.datetime.fromtimestamp(moment(found[0]) - faulty_proxy.RETRY_AFTER - 5, datetime.timezone.utc)
            return then.strftime("%Y-%m-%dT%H:%M:%SZ")
        for path in self.agent.state.rglob("*.json"):
            path.write_text(re.sub(r"\d{4}-\d\d-\d\dT[\d:]+Z", earlier, path.read_text()))


class Faults(Case):
    """Every story is a first issuance: account, keys, order and all."""

    ca_options = {"authz_reuse": 0}
    in_memory = True
    words = ("--once",)

    def setUp(self):
        super().setUp()
        self.sentences = collections.Counter()

    def lane(self, number):
        lane = Lane(self, number, **self.ca_options)
        self.addCleanup(lane.proxy.close)
        return lane

    def subject(self, lane):
        return lane.agent()

    def clean_run(self, lane):
        """The exchanges of a run in which nothing goes wrong."""
        subject = self.subject(lane)
        lane.proxy.mend()
        code, output = subject.run(*self.words)
        self.assertEqual(code, 0, output)
        return lane.proxy.names

    def check_each(self, *faults, one_in=1, lanes=LANES, wanted=lambda fault, where: True):
        """Every fault at every exchange of a clean run; or one in so many, each fault and each exchange among them."""
        free = queue.SimpleQueue()
        with concurrent.futures.ThreadPoolExecutor(lanes) as pool:
            everything = list(pool.map(self.lane, range(lanes)))
            names = self.clean_run(everything[0])
            for lane in everything:
                free.put(lane)
            stories = [(fault, where) for number, fault in enumerate(faults) for at, where in enumerate(names)
                       if (number + at) % one_in == 0 and wanted(fault, where)]
            endings = list(pool.map(lambda story: self.tell_one(free, *story), stories))
        self.report(names, faults, stories, endings)

    def tell_one(self, free, fault, where):
        """How it ended, or why that is wrong."""
        lane = free.get()
        try:
            for _ in range(5):  # the clean run's polls may not all come up again
                story = Story(lane, self.subject(lane), self.words, fault, where)
                ending = story.tell()
                if ending == AFTER_ANOTHER_RUN:
                    self.sentences[re.sub(r":\d+|\d{4}-\S+Z", "…", story.error)] += 1
                if ending:
                    return ending
            return AssertionError(f"{fault.__name__} at {where}: that exchange did not come up")
        except AssertionError as error:
            vars(lane).pop("subject", None)  # the next story begins with another
            return error
        finally:
            free.put(lane)

    def report(self, names, faults, stories, endings):
        self.figures.append(f"exchanges: {', '.join(names)}")
        for fault in faults:
            of_this = [(where, ending) for (what, where), ending in zip(stories, endings) if what is fault]
            later = [where for where, ending in of_this if ending == AFTER_ANOTHER_RUN]
            at_once = sum(ending == AT_ONCE for _, ending in of_this)
            if of_this:
                told = f", after another run at {', '.join(later)}" if at_once and later else ""
                self.figures.append(f"{fault.__name__.replace('_', ' ')}: {at_once} of {len(of_this)} at once with a "
                                    f"certificate{told}")
        if self.long:
            self.figures += [f"{count} times: {sentence}" for sentence, count in self.sentences.most_common()]
        wrong = [str(ending) for ending in endings if isinstance(ending, AssertionError)]
        if wrong:
            self.fail(f"{len(wrong)} of {len(endings)} stories ended badly:\n\n" + "\n\n".join(wrong[:12]))


class FirstIssuance(Faults):
    def test_requests_that_get_lost(self):
        self.check_each(*REQUESTS)

    def test_answers_that_get_lost_or_cut(self):
        self.check_each(*ANSWERS)

    def test_answers_that_are_late_or_never_come(self):
        worst = (faulty_proxy.answer_never_comes, "finalize-order")
        self.check_each(*STALLS, *LATE, lanes=12 if self.long else LANES,
                        wanted=lambda *story: self.long or story[0] in LATE or story == worst)

    def test_answers_that_are_garbled(self):
        self.check_each(*GARBLED)

    def test_requests_and_answers_that_are_repeated(self):
        self.check_each(*REPEATED)

    def test_a_server_that_refuses(self):
        self.check_each(*REFUSED)


class RejectedNonces(Faults):
    ca_options = {"authz_reuse": 0, "nonce_reject": 20}

    def test_any_fault_beside_twenty_percent_of_rejected_nonces(self):
        self.check_each(*QUICK, one_in=1 if self.long else 5)


class Renewal(Faults):
    """Every story is a renewal that somebody forces, with what the newest Pebble offers for it."""

    ca_options = {"authz_reuse": 0, "version": "newest"}
    words = ("renew", NAME, "--force")

    def subject(self, lane):
        if not hasattr(lane, "subject"):
            subject = lane.agent()
            lane.proxy.mend()
            code, output = subject.once()
            self.assertEqual(code, 0, output)
            lane.subject = subject
        return lane.subject

    def test_any_fault_leaves_the_certificate_before_in_place_until_there_is_another(self):
        self.check_each(*QUICK, one_in=1 if self.long else 5)
