"""A foreign client of RabbitMQ: pika, as a Python service would use it.

usage: foreign.py URL send QUEUE       sends each line of stdin as one message
       foreign.py URL receive QUEUE    prints body and headers of each message, as JSON lines
"""

import json
import sys

import pika

url, action, queue = sys.argv[1:]
connection = pika.BlockingConnection(pika.URLParameters(url))
channel = connection.channel()

if action == "send":
    channel.confirm_delivery()
    for line in sys.stdin:
        channel.basic_publish("", queue, line.rstrip("\n").encode(), mandatory=True)
elif action == "receive":
    while True:
        method, properties, body = channel.basic_get(queue, auto_ack=True)
        if method is None:
            break
        print(json.dumps({"body": body.decode(), "headers": properties.headers or {}}, default=str))
connection.close()
