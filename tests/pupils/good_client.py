"""A client that does all that `check client --level 3` asks for, in lines: good_client.py PORT."""

import socket
import sys
import time


def connect():
    while True:
        try:
            return socket.create_connection(("localhost", int(sys.argv[1])))
        except ConnectionError:
            time.sleep(0.1)


def ask(stream, message):
    """Sends a message and returns the reply; None if the server has left."""
    stream.write(message + "\n")
    stream.flush()
    reply = stream.readline()
    return reply.rstrip("\n") if reply else None


stream = connect().makefile("rw", encoding="utf-8", newline="\n")
message = input(" -> ")
while message.lower().strip() != "bye":
    try:
        reply = ask(stream, message)
    except ConnectionError:
        stream = connect().makefile("rw", encoding="utf-8", newline="\n")
        continue
    if reply is None:
        break
    print("Received from server: " + reply)
    message = input(" -> ")
