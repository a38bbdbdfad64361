"""own_network.py HOSTS COMMAND...: in namespaces that were just made, loopback comes up, HOSTS stands as /etc/hosts, and the
command runs."""

import fcntl
import os
import socket
import struct
import subprocess
import sys

SIOCSIFFLAGS, UP_AND_RUNNING = 0x8914, 0x41

if __name__ == "__main__":
    hosts, *command = sys.argv[1:]
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", UP_AND_RUNNING))
    subprocess.run(["mount", "--bind", hosts, "/etc/hosts"], check=True)
    os.execvp(command[0], command)
