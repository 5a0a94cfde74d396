"""The unmodified azure-eventhub of Debian, whose AMQP is written in Python: sends, reads, owns, asks.

Arguments: key, file of the certificate authority, a hub of 4 partitions. Prints one JSON object.
"""
import json
import sys
import threading
import time

from azure.eventhub import EventData, EventHubConsumerClient, EventHubProducerClient

key, ca, hub = sys.argv[1:4]
string = f"Endpoint=sb://localhost/;SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey={key}"
options = {"connection_verify": ca, "retry_total": 0}
result = {}


def producer(name=hub, **more):
    return EventHubProducerClient.from_connection_string(string, eventhub_name=name, **options, **more)


def consumer(group="$Default", name=hub):
    return EventHubConsumerClient.from_connection_string(string, group, eventhub_name=name, **options)


class Reading:
    """Receives in a thread of its own, as receive() blocks."""

    def __init__(self, group="$Default", **how):
        self.events, self.error, self.ends = [], None, []
        self.client = consumer(group)
        self.thread = threading.Thread(target=self.run, kwargs=how)
        self.thread.start()

    def run(self, **how):
        def on_event_batch(context, events):
            self.events += [(context.partition_id, event) for event in events]
            if events and context.last_enqueued_event_properties:
                self.ends.append(context.last_enqueued_event_properties)

        def on_error(context, error):
            self.error = self.error or type(error).__name__ + ": " + str(error)

        self.client.receive_batch(on_event_batch, on_error=on_error, max_wait_time=0.2, **how)

    def until(self, condition):
        end = time.time() + 20
        while not condition(self):
            if time.time() > end:
                raise Exception(f"{len(self.events)} events, error {self.error}")
            time.sleep(0.02)
        return self

    def close(self):
        self.client.close()
        self.thread.join()
        return self.events


def bodies(reading):
    return [event.body_as_str() for _, event in reading.events]


with producer() as client:
    properties = client.get_eventhub_properties()
    result["hub"] = [properties["eventhub_name"], properties["partition_ids"], properties["created_at"].year > 2020]
    empty = client.get_partition_properties("3")
    result["empty"] = [empty["is_empty"], empty["last_enqueued_sequence_number"], empty["last_enqueued_offset"]]

    batch = client.create_batch(partition_id="3")
    for i in range(1001):
        event = EventData(str(i))
        event.properties = {"n": i, "text": "x"}
        event.message_id = f"m{i}"
        batch.add(event)
    client.send_batch(batch)
    client.send_batch([EventData("keyed 1"), EventData("keyed 2")], partition_key="customer-1")
    client.send_batch([EventData("keyed 3")], partition_key="customer-1")
    client.send_event(EventData("alone"))

    filled = client.get_partition_properties("3")
    span = filled["last_enqueued_sequence_number"] - filled["beginning_sequence_number"]
    result["filled"] = [filled["eventhub_name"], filled["id"], filled["is_empty"], span >= 1000]

everything = Reading(starting_position="-1")
everything.until(lambda its: len(its.events) == 1005)
found = everything.close()
big = [event for partition, event in found if partition == "3" and event.properties.get(b"n") is not None]
numbers = [event.sequence_number for event in big]
result["order"] = [event.body_as_str() for event in big] == [str(i) for i in range(1001)] and numbers == sorted(numbers)
first = big[0]
result["first"] = [
    first.message_id,
    {name.decode(): value if isinstance(value, int) else value.decode() for name, value in first.properties.items()},
    first.offset == str(first.sequence_number),
    abs(first.enqueued_time.timestamp() - time.time()) < 120,
    first.partition_key,
]
keyed = [(partition, event.partition_key.decode()) for partition, event in found if event.body_as_str()[:5] == "keyed"]
result["keyed"] = [len(keyed), len(set(keyed)), keyed[0][1]]

middle = big[500]


def from_position(position, inclusive, count):
    reading = Reading(
        partition_id="3", starting_position=position, starting_position_inclusive=inclusive, prefetch=600
    )
    reading.until(lambda its: len(its.events) >= count)
    reading.close()
    return [event.body_as_str() for _, event in reading.events][0]


result["positions"] = [
    from_position(middle.sequence_number, False, 500),
    from_position(middle.sequence_number, True, 501),
    from_position(middle.offset, False, 500),
    from_position(first.enqueued_time, True, 1001),
]

late = Reading(partition_id="0", starting_position="@latest", track_last_enqueued_event_properties=True)
with producer() as client:
    sent = 0
    while not late.events:
        client.send_batch([EventData(f"late {sent}")], partition_id="0")
        sent += 1
    late.until(lambda its: bodies(its)[-1] == f"late {sent - 1}")
result["latest"] = [bodies(late)[-1] == f"late {sent - 1}", len(bodies(late)) == len(set(bodies(late)))]
end = late.ends[-1]
result["end"] = [end["offset"] == str(end["sequence_number"]), end["sequence_number"] >= late.events[-1][1].sequence_number]
late.close()

owner = Reading("owners", partition_id="0", starting_position="-1", owner_level=5)
owner.until(lambda its: its.events)
lower = Reading("owners", partition_id="0", starting_position="-1", owner_level=4)
lower.until(lambda its: its.error)
higher = Reading("owners", partition_id="0", starting_position="-1", owner_level=6)
owner.until(lambda its: its.error)
higher.until(lambda its: its.events)
result["owners"] = [reading.error and "epoch" in reading.error for reading in (owner, lower, higher)]
for reading in (owner, lower, higher):
    reading.close()


def failure(work):
    try:
        work()
    except Exception as error:
        return type(error).__name__
    return None


with producer("no-such-hub") as client:
    result["missing"] = failure(client.get_eventhub_properties)
with producer() as client:
    result["partition"] = failure(lambda: client.send_batch([EventData("x")], partition_id="9"))
    result["asked"] = failure(lambda: client.get_partition_properties("9"))
    result["large"] = failure(lambda: client.send_event(EventData("x" * 1024 * 1024)))
print(json.dumps(result))
