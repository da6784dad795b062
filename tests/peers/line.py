"""A client that talks in lines, by a file object: line.py PORT."""

import socket
import sys

with socket.create_connection(("localhost", int(sys.argv[1]))) as peer:
    stream = peer.makefile("rw", encoding="utf-8", newline="\n")
    for line in sys.stdin:
        stream.write(line)
        stream.flush()
        print(stream.readline(), end="")
