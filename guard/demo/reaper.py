"""Nothing is left behind: a small shell that ends the servers when our process has gone, however it went.

An atexit handler does not run after SIGKILL, and Linux's parent-death signal follows the *thread* that
started the server and does not exist on macOS. So a shell waits on a pipe whose other end only we hold:
when the pipe closes, it reads the servers' postmaster.pid files and stops what still runs.
"""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from guard.demo.account import Account

# SIGQUIT is PostgreSQL's immediate shutdown; SIGCONT first, since a stopped process would not hear it.
# A pid is believed only when its command line names our data directory (pids are used again).
_SCRIPT = """
read -r _
for file in "$1"/*/postmaster.pid; do
  [ -r "$file" ] || continue
  data=${file%/*}
  read -r pid < "$file"
  if [ -r "/proc/$pid/cmdline" ]; then line=$(tr '\\0' ' ' < "/proc/$pid/cmdline")
  else line=$(ps -o args= -p "$pid" 2>/dev/null); fi
  case $line in *"$data"*) kill -CONT "$pid"; kill -QUIT "$pid";; esac
  n=0
  while [ -e "$file" ] && kill -0 "$pid" 2>/dev/null && [ $n -lt 100 ]; do sleep 0.1; n=$((n + 1)); done
done
shift
[ $# -eq 0 ] || rm -rf "$@"
"""


class Reaper:
    """Guards the servers whose data directories lie in *directory*; deletes *remove* at the end."""

    def __init__(self, directory: Path, who: Account, *, remove: Sequence[Path]) -> None:
        self._shell = subprocess.Popen(
            ["/bin/sh", "-c", _SCRIPT, "reaper", str(directory), *map(str, remove)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,  # Ctrl-C in the terminal must not end the one who cleans up after it
            **who.popen,
        )

    def close(self) -> None:
        """Have it do its work now, and wait for the end. May be called twice."""
        if self._shell.stdin is not None and not self._shell.stdin.closed:
            self._shell.stdin.close()
        self._shell.wait(timeout=30)
