#!/usr/bin/env python3
"""activate.py PORT[,NAME]... -- COMMAND...: COMMAND with listening sockets passed in, as a systemd socket unit would."""

import fcntl
import os
import socket
import sys


def main():
    words = sys.argv[1:sys.argv.index("--")]
    command = sys.argv[sys.argv.index("--") + 1:]
    names = []
    for number, word in enumerate(words, 3):
        port, _, name = word.partition(",")
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", int(port)))
        listening.listen()
        os.dup2(fcntl.fcntl(listening.detach(), fcntl.F_DUPFD, 100), number, inheritable=True)
        names.append(name)
    os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(names)), LISTEN_FDNAMES=":".join(names))
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
