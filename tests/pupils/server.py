"""A server as a first lesson has it: server.py PORT."""

import socket
import sys


def server_program():
    host = "localhost"
    port = int(sys.argv[1])
    listener = socket.socket()
    listener.bind((host, port))
    listener.listen(2)
    peer, address = listener.accept()
    print("Connection from: " + str(address))
    while True:
        data = peer.recv(1024).decode()
        if not data:
            break
        print("Received from connected client: " + data)
        answer = input(" -> ")
        peer.send(answer.encode())
    peer.close()


server_program()
