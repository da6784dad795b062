"""A client that talks in JSON, an object a line: json.py PORT."""

import importlib
import socket
import sys

# This script has the name of the module that it needs.
del sys.path[0]
json = importlib.import_module("json")

with socket.create_connection(("localhost", int(sys.argv[1]))) as peer:
    stream = peer.makefile("rw", encoding="utf-8", newline="\n")
    for line in sys.stdin:
        message = {"name": "python", "text": line.rstrip("\n"), "more": [1, None]}
        stream.write(json.dumps(message) + "\n")
        stream.flush()
        reply = json.loads(stream.readline())
        print(f"{reply['name']}: {reply['text']}")
