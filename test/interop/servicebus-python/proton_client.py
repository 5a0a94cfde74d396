"""A generic AMQP 1.0 client (Qpid Proton) with SASL PLAIN: plain messages, and a transaction.

Arguments: port, key, source queue, target queue, `commit` or `abort`. Prints one JSON object.
"""
import json
import sys

from proton import Message
from proton.handlers import MessagingHandler, TransactionHandler
from proton.reactor import Container
from proton.utils import BlockingConnection

port, key, source, target, end = sys.argv[1:6]
options = {"user": "RootManageSharedAccessKey", "password": key, "allowed_mechs": "PLAIN"}
result = {}

connection = BlockingConnection(f"amqp://localhost:{port}", timeout=20, **options)
sender = connection.create_sender(source)
receiver = connection.create_receiver(source, credit=1)
sender.send(Message(id="p1", subject="hello", body={"x": [1, 2]}, properties={"n": 5}))
message = receiver.receive(timeout=20)
result["plain"] = [message.id, message.subject, message.body, message.properties]
receiver.accept()
receiver.close()  # else its next credit would lock the message that the transaction is about
sender.send(Message(body="asked"))
connection.close()


class InTransaction(MessagingHandler, TransactionHandler):
    def __init__(self):
        super().__init__(auto_accept=False, prefetch=0)

    def on_start(self, event):
        self.connection = event.container.connect(f"amqp://localhost:{port}", reconnect=False, **options)
        self.receiver = event.container.create_receiver(self.connection, source, name="in")
        self.sender = event.container.create_sender(self.connection, target, name="out")
        event.container.declare_transaction(self.connection, handler=self)

    def on_transaction_declared(self, event):
        self.transaction = event.transaction
        self.receiver.flow(1)

    def on_message(self, event):
        self.transaction.send(self.sender, Message(body="answered"))
        self.transaction.accept(event.delivery)
        if end == "commit":
            self.transaction.commit()
        else:
            self.transaction.abort()

    def on_transaction_committed(self, event):
        result["end"] = "committed"
        self.connection.close()

    def on_transaction_aborted(self, event):
        result["end"] = "aborted"
        self.connection.close()

    def on_transaction_commit_failed(self, event):
        result["end"] = "failed"
        self.connection.close()


Container(InTransaction()).run()
print(json.dumps(result))
