"""Passes on what a process says (standard input to standard error), but for how JAX ends one: that becomes a sentence.

    python last_words.py SENTENCE_IF_ANOTHER_PROCESS_IS_GONE SENTENCE_IF_THE_PROCESSES_DID_NOT_MEET

`hosts` starts it; it is a program of its own, since it outlives what JAX aborts.
"""

import signal
import sys

GONE = b"Polled an error from coordination service"
ABORTED = b"Terminating process because the JAX distributed service detected fatal errors"
NOT_MET = b"RegisterTask"


def main() -> None:
    gone, not_met = sys.argv[1:]
    for name in ("SIGTERM", "SIGINT", "SIGUSR1", "SIGUSR2", "SIGHUP"):  # for the process that it listens to
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    said = b""
    for line in sys.stdin.buffer:
        if said or GONE in line or ABORTED in line:
            said += line
        else:
            sys.stderr.buffer.write(line)
            sys.stderr.buffer.flush()
    if said:
        print(not_met if NOT_MET in said else gone, file=sys.stderr)


if __name__ == "__main__":
    main()
