"""The unmodified azure-servicebus of Debian: administration, batches, settlement, dead letters, sessions.

Arguments: port, key, file of the certificate authority. Prints one JSON object.
"""
import json
import sys

from azure.servicebus import NEXT_AVAILABLE_SESSION, ServiceBusClient, ServiceBusMessage, ServiceBusSubQueue
from azure.servicebus.management import ServiceBusAdministrationClient, SqlRuleFilter

port, key, ca = sys.argv[1:4]
string = f"Endpoint=sb://localhost:{port};SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey={key}"
admin = ServiceBusAdministrationClient.from_connection_string(string, connection_verify=ca)
client = ServiceBusClient.from_connection_string(string, connection_verify=ca)
result = {}

admin.create_topic("py")
admin.create_subscription("py", "s", max_delivery_count=1)
admin.create_rule("py", "s", "even", filter=SqlRuleFilter("n % 2 = 0"))
result["rules"] = [rule.name for rule in admin.list_rules("py", "s")]
result["topics"] = "py" in [topic.name for topic in admin.list_topics()]
try:
    admin.create_topic("py")
except Exception as error:
    result["exists"] = type(error).__name__
try:
    admin.get_queue("nothing")
except Exception as error:
    result["missing"] = type(error).__name__

with client.get_topic_sender("py") as sender:
    batch = sender.create_message_batch()
    for i in range(100):
        batch.add_message(ServiceBusMessage(str(i), application_properties={"n": i}))
    sender.send_messages(batch)

received = 0
with client.get_subscription_receiver("py", "s", max_wait_time=5) as receiver:
    for message in receiver:
        received += 1
        if received == 1:
            receiver.abandon_message(message)
        elif received == 2:
            receiver.dead_letter_message(message, reason="why", error_description="because")
        else:
            receiver.complete_message(message)
        if received == 100:
            break
result["received"] = received
with client.get_subscription_receiver("py", "s", sub_queue=ServiceBusSubQueue.DEAD_LETTER) as receiver:
    dead = []
    while len(dead) < 2:
        dead += receiver.receive_messages(2 - len(dead), max_wait_time=5)
    result["dead"] = sorted(message.dead_letter_reason for message in dead)
result["counted"] = admin.get_subscription_runtime_properties("py", "s").dead_letter_message_count

admin.create_queue("py-sessions", requires_session=True)
with client.get_queue_sender("py-sessions") as sender:
    sender.send_messages([ServiceBusMessage("1", session_id="a"), ServiceBusMessage("2", session_id="b")])
with client.get_queue_receiver("py-sessions", session_id="b") as receiver:
    messages = receiver.receive_messages(1, max_wait_time=5)
    receiver.complete_message(messages[0])
    result["session"] = str(messages[0])
with client.get_queue_receiver("py-sessions", session_id=NEXT_AVAILABLE_SESSION) as receiver:
    result["next"] = receiver.receive_messages(1, max_wait_time=5)[0].session_id
print(json.dumps(result))
