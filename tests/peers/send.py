"""Sends one message and prints the reply: send.py PORT COUNT UNIT PIECE.

The message is UNIT, COUNT times; it goes out in pieces of PIECE bytes, or for 0 at once.
"""

import socket
import sys

port, count, unit, piece = sys.argv[1:]
message = (unit * int(count)).encode()
piece = int(piece) or len(message)
with socket.create_connection(("localhost", int(port))) as peer:
    for start in range(0, len(message), piece):
        peer.sendall(message[start : start + piece])
    print(peer.recv(1024).decode())
