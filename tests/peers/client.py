"""A client of the kind that a first lesson on sockets writes: client.py PORT."""

import socket
import sys

peer = socket.socket()
peer.connect(("localhost", int(sys.argv[1])))
line = input(" -> ")
while line.strip().lower() != "bye":
    peer.send(line.encode())
    reply = peer.recv(1024).decode()
    print("Received from server: " + reply)
    line = input(" -> ")
peer.close()
