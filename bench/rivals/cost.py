"""Runs a command and writes to a file, as JSON, what it cost with all that it started: cost.py FILE COMMAND [ARGS]"""

import json
import resource
import subprocess
import sys
import time

told, *command = sys.argv[1:]
began = time.monotonic()
code = subprocess.run(command, stdin=subprocess.DEVNULL).returncode
wall = time.monotonic() - began
used = resource.getrusage(resource.RUSAGE_CHILDREN)
# Linux tells kilobytes, macOS bytes; of the largest process, not of all together.
unit = 1 if sys.platform == "darwin" else 1024
with open(told, "w") as file:
    json.dump(
        {
            "wallS": wall,
            "cpuS": used.ru_utime + used.ru_stime,
            "rssMb": used.ru_maxrss * unit / 1e6,
            "code": code,
        },
        file,
    )
