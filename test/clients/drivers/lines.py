"""Protocol of the Python drivers: one request and one reply per line, as JSON."""

import json
import sys
import traceback

ACCOUNT = "111122223333"
SECRET = "any"
PART_BYTES = 5 * 1024 * 1024


def serve(connect, operations):
    """Performs the operations that stdin requests. `connect` returns the client of one set of settings."""
    clients = {}
    for line in sys.stdin:
        request = json.loads(line)
        settings = request["settings"]
        name = json.dumps(settings, sort_keys=True)
        try:
            if name not in clients:
                clients[name] = connect(**settings)
            operation = operations[request["operation"]]
            reply = {"result": operation(clients[name], **request["args"])}
        except Exception:  # A failed operation fails its check, not the driver.
            reply = {"error": traceback.format_exc()}
        print(json.dumps(reply), flush=True)
