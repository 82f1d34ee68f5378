"""Runs a command and writes its cost, including its child processes, to a JSON file: cost.py FILE COMMAND [ARGS]"""

import json
import resource
import subprocess
import sys
import time

cost_file, *command = sys.argv[1:]
began = time.monotonic()
code = subprocess.run(command, stdin=subprocess.DEVNULL).returncode
wall = time.monotonic() - began
used = resource.getrusage(resource.RUSAGE_CHILDREN)
# Of the largest process, not of all together. Linux reports kilobytes, macOS bytes.
unit = 1 if sys.platform == "darwin" else 1024
with open(cost_file, "w") as file:
    json.dump(
        {
            "wallS": wall,
            "cpuS": used.ru_utime + used.ru_stime,
            "rssMb": used.ru_maxrss * unit / 1e6,
            "code": code,
        },
        file,
    )
