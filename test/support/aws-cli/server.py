"""Runs the AWS CLI in a forked process for each request, so that its import, most of its time, is paid once.

Usage: server.py SOCKET. A request passes stdin, stdout and stderr, and then arguments, folder and environment as JSON.
"""

import json
import os
import socket
import sys

import awscli.clidriver

driver = awscli.clidriver.create_clidriver()
for service in ("cloudwatch", "iam", "kms", "s3", "sts"):
    driver.session.get_service_model(service)

server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen(16)
print("ready", flush=True)
while True:
    connection, _ = server.accept()
    if os.fork() != 0:
        connection.close()
        continue
    message, files, _, _ = socket.recv_fds(connection, 1 << 20, 3)
    while not message.endswith(b"\n"):
        message += connection.recv(1 << 20)
    request = json.loads(message)
    for target, file in enumerate(files):
        os.dup2(file, target)
    os.chdir(request["cwd"])
    data_path = os.environ["AWS_DATA_PATH"]
    os.environ.clear()
    os.environ.update(request["env"], AWS_DATA_PATH=data_path)
    sys.argv = ["aws", *request["args"]]
    try:
        code = awscli.clidriver.main()
    except SystemExit as error:
        code = error.code
    sys.stdout.flush()
    sys.stderr.flush()
    connection.sendall(str(code or 0).encode())
    os._exit(0)
