"""A network of a test's own: what the test and its programs do from then on happens there, so that ports may be fixed ones."""

import ctypes
import os
import subprocess

from support.skips import skip

_libc = ctypes.CDLL(None, use_errno=True)
_NEW_NETWORK = 0x40000000


def _iptables(*words):
    return subprocess.run(["iptables", *words], capture_output=True, text=True, check=False)


def enter(case):
    """The thread of this test moves there, and back when the test is over. Only loopback is there, and it is up."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    if _libc.unshare(_NEW_NETWORK):
        os.close(before)
        skip("no-namespaces")

    def leave():
        _libc.setns(before, _NEW_NETWORK)
        os.close(before)
    case.addCleanup(leave)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def add_address(address):
    """This machine's own from now on."""
    subprocess.run(["ip", "address", "add", f"{address}/32", "dev", "lo"], check=True)


def forward(port, to):
    """What comes to `port` goes to the port `to`, as a published port of a container does."""
    if _iptables("-t", "nat", "-A", "OUTPUT", "-p", "tcp", "--dport", str(port), "-j", "REDIRECT", "--to-ports",
                 str(to)).returncode:
        skip("no-iptables")


def swallow(address, port):
    """What goes there never arrives, and nobody says so: as with a router that leads nobody back."""
    subprocess.run(["ip", "route", "add", f"{address}/32", "dev", "lo"], check=True)
    if _iptables("-A", "OUTPUT", "-p", "tcp", "-d", address, "--dport", str(port), "-j", "DROP").returncode:
        skip("no-iptables")
