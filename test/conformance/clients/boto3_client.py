"""Makes calls to AWS with boto3. Reads one call as JSON from each line of standard input, and writes one result as JSON to a line
of standard output, in the order in which the calls finish. The argument is the endpoint.

A call has id, service, operation, input, region, credentials and changes. A result has the id, and either a response (status,
headers, code, message, output, faults) or the failure: a text, if boto3 could not send the request or could not read the response.
Binary values are {"$bytes": base64}, and times {"$time": ISO 8601}.
"""

import base64
import datetime
import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.response import StreamingBody

ENDPOINT = sys.argv[1]
WORKERS = 8

# Sends what the scenario contains, even if it is not valid. Retries a connection that the server closed meanwhile.
CONFIG = Config(
    retries={"mode": "standard", "total_max_attempts": 3},
    parameter_validation=False,
    s3={"addressing_style": "path"},
    max_pool_connections=WORKERS,
)

session = boto3.session.Session(aws_access_key_id="none", aws_secret_access_key="none")
clients = {}
clients_lock = threading.Lock()
output_lock = threading.Lock()
current = threading.local()


def change_request(params, **_):
    """Applies the changes of the current call before the request is signed."""
    changes = current.changes or {}
    for name, value in changes.get("headers", {}).items():
        params["headers"].pop(name, None)
        params["headers"].pop(name.title(), None)
        if value is not None:
            params["headers"][name] = value
    if "body" in changes:
        params["body"] = changes["body"].encode()


def remove_account(request, **_):
    """Removes the account from the host name, which has no address. S3 Control also receives it as a header."""
    scheme, _, rest = request.url.partition("://")
    account = request.headers.get("x-amz-account-id")
    request.url = f"{scheme}://{rest.removeprefix(f'{account}.')}"


def client_of(call):
    service, region, credentials = call["service"], call["region"], call["credentials"]
    key = (service, region, credentials["accessKeyId"])
    with clients_lock:
        if key not in clients:
            clients[key] = session.client(
                service,
                endpoint_url=ENDPOINT,
                region_name=region,
                aws_access_key_id=credentials["accessKeyId"],
                aws_secret_access_key=credentials["secretAccessKey"],
                aws_session_token=credentials.get("sessionToken"),
                config=CONFIG,
            )
            clients[key].meta.events.register(f"before-call.{service}", change_request)
            clients[key].meta.events.register_first("request-created.s3-control", remove_account)
        return clients[key]


def snake_case(operation, client):
    return next(method for method, name in client.meta.method_to_api_mapping.items() if name == operation)


def decode(value):
    if isinstance(value, dict):
        if "$bytes" in value:
            return base64.b64decode(value["$bytes"])
        return {name: decode(item) for name, item in value.items()}
    return [decode(item) for item in value] if isinstance(value, list) else value


def encode(value):
    if isinstance(value, StreamingBody):
        return value.read().decode()
    if isinstance(value, (bytes, bytearray)):
        return {"$bytes": base64.b64encode(value).decode()}
    if isinstance(value, datetime.datetime):
        return {"$time": value.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")}
    if isinstance(value, dict):
        return {name: encode(item) for name, item in value.items()}
    return [encode(item) for item in value] if isinstance(value, (list, tuple)) else value


def respond(call):
    client = client_of(call)
    current.changes = call.get("changes")
    try:
        parsed = getattr(client, snake_case(call["operation"], client))(**decode(call["input"]))
        error = {}
    except ClientError as raised:
        parsed, error = dict(raised.response), raised.response["Error"]
    metadata = parsed.pop("ResponseMetadata")
    parsed.pop("Error", None)
    if error:
        parsed.pop("message", None)  # also in Error
    ids = ["RequestId", "HostId"] if call["service"].startswith("s3") else ["RequestId"]
    fields = {name: value for name, value in error.items() if name not in ("Code", "Message")}
    return {
        "status": metadata["HTTPStatusCode"],
        "headers": metadata["HTTPHeaders"],
        "code": error.get("Code", "") if error else None,
        "message": error.get("Message", "") if error else None,
        "output": encode({**parsed, **fields}),
        "faults": [f"no {name} in ResponseMetadata" for name in ids if not metadata.get(name)],
    }


def run(line):
    call = json.loads(line)
    try:
        result = {"response": respond(call)}
    except Exception as error:  # reported to the test, which fails with it
        result = {"failure": f"{type(error).__name__}: {error}"}
    with output_lock:
        print(json.dumps({"id": call["id"], **result}), flush=True)


with ThreadPoolExecutor(WORKERS) as pool:
    for call_line in sys.stdin:
        pool.submit(run, call_line)
