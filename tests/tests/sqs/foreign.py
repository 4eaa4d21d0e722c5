"""A foreign client of SQS: boto3, as a Python service would use it.

usage: foreign.py ENDPOINT create QUEUE...     creates queues
       foreign.py ENDPOINT send QUEUE          sends each line of stdin as one message
       foreign.py ENDPOINT receive QUEUE       prints body and attributes of each message, as JSON lines
"""

import json
import sys

import boto3

endpoint, action, *queues = sys.argv[1:]
sqs = boto3.client(
    "sqs", endpoint_url=endpoint, region_name="ap-northeast-2", aws_access_key_id="test", aws_secret_access_key="test"
)


def url(queue):
    return sqs.get_queue_url(QueueName=queue)["QueueUrl"]


if action == "create":
    for queue in queues:
        sqs.create_queue(QueueName=queue)
elif action == "send":
    for line in sys.stdin:
        sqs.send_message(QueueUrl=url(queues[0]), MessageBody=line.rstrip("\n"))
elif action == "receive":
    while True:
        answer = sqs.receive_message(
            QueueUrl=url(queues[0]),
            MaxNumberOfMessages=10,
            MessageAttributeNames=["All"],
            AttributeNames=["ApproximateReceiveCount"],
        )
        if not answer.get("Messages"):
            break
        for message in answer["Messages"]:
            attributes = {name: value["StringValue"] for name, value in message.get("MessageAttributes", {}).items()}
            received = message["Attributes"]["ApproximateReceiveCount"]
            print(json.dumps({"body": message["Body"], "attributes": attributes, "receiveCount": int(received)}))
            sqs.delete_message(QueueUrl=url(queues[0]), ReceiptHandle=message["ReceiptHandle"])
