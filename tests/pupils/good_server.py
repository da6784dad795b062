"""A server that does all that `check server --level 3` asks for, in lines: good_server.py PORT."""

import socket
import sys
import threading


def serve(peer):
    unread = b""
    while True:
        try:
            data = peer.recv(1024)
        except ConnectionError:
            break
        if not data:
            break
        *lines, unread = (unread + data).split(b"\n")
        for line in lines:
            print("Received from connected client: " + line.decode())
            peer.sendall(b"You said: " + line + b"\n")
    peer.close()


listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("localhost", int(sys.argv[1])))
listener.listen(20)
while True:
    peer, address = listener.accept()
    threading.Thread(target=serve, args=(peer,), daemon=True).start()
