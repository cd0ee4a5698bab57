"""The explorer: `scaledis explore runs/quickstart` serves a page on this machine on which the units of a run move.

It is a page of ours behind Python's own http.server. Gradio 6, which was measured beside it, installs 340 MB of
packages, adds 4 s to a start of 8 s, takes fonts from a server of Google, and reports its use unless it is told not to.
"""

import argparse
import sys
import webbrowser

from scaledis.core import runtime
from scaledis.report.explore.server import make_server
from scaledis.report.explore.session import Session


def main(argv: list[str]) -> None:
    """Serves the page until it is interrupted. Raises UserError for a directory that holds no trained run."""
    parser = argparse.ArgumentParser("scaledis explore", description="Move the units of a trained run on a local page.")
    parser.add_argument("workdir", help="the work directory, such as runs/quickstart")
    parser.add_argument("--port", type=int, default=0, help="of this machine; by default one that is free")
    parser.add_argument("--no-browser", action="store_true", help="print the address and open nothing")
    given = parser.parse_args(argv)
    runtime.prepare()
    with make_server(Session(given.workdir), given.port) as server:
        print(f"{server.address}    (Ctrl-C ends it)", flush=True)
        if not given.no_browser:
            webbrowser.open(server.address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print("", file=sys.stderr)
