"""A server of the kind that a first lesson on sockets writes; prints its port first."""

import socket

listener = socket.socket()
listener.bind(("localhost", 0))
listener.listen(2)
print("port", listener.getsockname()[1])
peer, address = listener.accept()
while True:
    heard = peer.recv(1024).decode()
    if not heard:
        break
    print("Received from connected client: " + heard)
    peer.send(input(" -> ").encode())
peer.close()
