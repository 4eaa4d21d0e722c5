"""A foreign client of Kafka: confluent-kafka, as a Python service would use it.

usage: foreign.py SERVER create TOPIC...     creates topics
       foreign.py SERVER send TOPIC          sends each line of stdin as one record
       foreign.py SERVER receive TOPIC       prints key, body and headers of each record, as JSON lines
       foreign.py SERVER lag TOPIC           prints how many records its default group has not passed
"""

import json
import sys

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

server, action, *topics = sys.argv[1:]
base = {"bootstrap.servers": server}


def partitions(consumer, topic):
    known = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    return [TopicPartition(topic, partition) for partition in known]


if action == "create":
    admin = AdminClient(base)
    made = admin.create_topics([NewTopic(topic, 2, 1) for topic in topics])
    for future in made.values():
        future.result()
elif action == "send":
    producer = Producer(base)
    for line in sys.stdin:
        producer.produce(topics[0], line.rstrip("\n"))
    assert producer.flush(10) == 0
elif action == "receive":
    reading = {"group.id": "foreign", "enable.auto.commit": False, "enable.partition.eof": True}
    consumer = Consumer({**base, **reading, "auto.offset.reset": "earliest"})
    places = [TopicPartition(place.topic, place.partition, 0) for place in partitions(consumer, topics[0])]
    consumer.assign(places)
    ended = 0
    while ended < len(places):
        record = consumer.poll(10)
        assert record is not None, "the broker answers"
        if record.error():
            assert record.error().code() == KafkaError._PARTITION_EOF, record.error()
            ended += 1
            continue
        headers = {name: value.decode() for name, value in record.headers() or []}
        key = record.key().decode() if record.key() else None
        print(json.dumps({"key": key, "body": record.value().decode(), "headers": headers}))
    consumer.close()
elif action == "lag":
    consumer = Consumer({**base, "group.id": topics[0]})
    lag = 0
    for place in consumer.committed(partitions(consumer, topics[0]), timeout=10):
        low, high = consumer.get_watermark_offsets(place, timeout=10)
        lag += high - (place.offset if place.offset >= 0 else low)
    print(lag)
