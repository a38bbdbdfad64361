"""A state folder in which many certificates are held and deployed, as if an agent had obtained them: made in seconds, where
issuing them takes minutes. The signatures are wrong but for the first one's, which nobody checks where nothing is issued."""

import base64
import json
import os
import pathlib
import re
import secrets
import tempfile

from support import programs
from support.tls_files import openssl

NAME = "d%05d.many.test"
SERVER = "https://localhost:1/dir"  # nobody listens there: who asks it, fails


def der_of(pem):
    return base64.b64decode("".join(pem.split("-----")[2].split()))


def pem_of(der):
    text = base64.b64encode(der).decode()
    lines = "\n".join(text[i:i + 64] for i in range(0, len(text), 64))
    return f"-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n"


def template():
    """A leaf for number 0 without authority key identifier, so that no server is asked about it; the rest; the key."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        openssl("req", "-x509", *ec, "-days", "900", "-subj", "/CN=Root of many", "-keyout", folder / "ca.key", "-out",
                folder / "ca.pem")
        openssl("req", *ec, "-subj", f"/CN={NAME % 0}", "-keyout", folder / "key.pem", "-out", folder / "csr.pem")
        (folder / "ext").write_text(f"subjectAltName=DNS:{NAME % 0}\nauthorityKeyIdentifier=none\n")
        openssl("x509", "-req", "-in", folder / "csr.pem", "-CA", folder / "ca.pem", "-CAkey", folder / "ca.key",
                "-set_serial", "0x" + "11" * 16, "-days", "90", "-extfile", folder / "ext", "-out", folder / "leaf.pem")
        return (der_of((folder / "leaf.pem").read_text()), (folder / "ca.pem").read_text(), (folder / "key.pem").read_text())


def generation(folder, files, mode):
    """As the agent lays them out: ..1 with the files, ..data leading to it, and a link for each name."""
    (folder / "..1").mkdir(parents=True, mode=0o711)
    for name, text in files.items():
        with open(folder / "..1" / name, "w", opener=lambda path, flags: os.open(path, flags, mode)) as file:
            file.write(text)
        os.symlink(f"..data/{name}", folder / name)
    os.symlink("..1", folder / "..data")


def make(state, count, server=SERVER):
    """Fills `state`; returns the names."""
    leaf, rest, key = template()
    for folder, mode in ((state, 0o711), (state / "live", 0o711), (state / "accounts", 0o700), (state / "certificates", 0o700)):
        folder.mkdir(mode=mode, exist_ok=True)
    issued = json.dumps({"version": 1, "server": server, "order": ""})
    names = [NAME % i for i in range(count)]
    for name in names:
        changed = leaf.replace((NAME % 0).encode(), name.encode()).replace(b"\x11" * 16, b"\x11" + secrets.token_bytes(15))
        cert = pem_of(changed)
        generation(state / "certificates" / name / "held", {"fullchain.pem": cert + rest, "privkey.pem": key, "issued.json": issued}, 0o600)
        generation(state / "live" / name, {"cert.pem": cert, "chain.pem": rest, "fullchain.pem": cert + rest,
                                           "privkey.pem": key, "combined.pem": key + cert + rest}, 0o640)
    return names


def configure(file, state, names, *lines, server=SERVER):
    """`names` are names of sections, or a section with what it says."""
    file.write_text("\n".join((f"state-dir = {state}", f"server = {server}", "reload = none", "key-type = ec256", *lines,
                               *(name if name.startswith("[") else f"[{name}]" for name in names))) + "\n")
