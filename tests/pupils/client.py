"""A client as a first lesson has it: client.py PORT."""

import socket
import sys


def client_program():
    host = "localhost"
    port = int(sys.argv[1])
    peer = socket.socket()
    peer.connect((host, port))
    message = input(" -> ")
    while message.lower().strip() != "bye":
        peer.send(message.encode())
        reply = peer.recv(1024).decode()
        print("Received from server: " + reply)
        message = input(" -> ")
    peer.close()


client_program()
