"""The explorer: `scaledis explore` serves a page on this machine that moves the units of a trained model.

It serves our own page by Python's http.server. For comparison, Gradio 6 installs 340 MB of packages, adds 4 s to a
start of 8 s, loads fonts from a server of Google, and reports its use unless it is told not to.
"""

import sys
import webbrowser
from dataclasses import dataclass
from pathlib import Path

from scaledis.core.command import Command, option, positional, whole
from scaledis.report.explore.server import make_server
from scaledis.report.explore.session import Session


@dataclass
class Explore(Command):
    """Opens a page in the browser that moves the units of a trained model. Ctrl-C ends it.

    examples:
      scaledis explore                     a model that comes with the package
      scaledis explore runs/quickstart     the runs of a work directory
      scaledis explore mine                the folder that model.save("mine") wrote
      scaledis explore mine --no_browser --port=8000
    """

    word = "explore"
    path: str | Path | None = positional(
        "a work directory or the folder of a saved model (default: the model of the package)", default=None
    )
    port: int = option("the port on this machine; 0: any free one", 0, whole)
    no_browser: bool = option("print the address and open no browser", False)

    def execute(self) -> None:
        """Serves the page. Raises UserError for a directory without a trained run or a saved model."""
        with make_server(Session(self.path), self.port) as server:
            print(f"{server.address}    (Ctrl-C ends it)", flush=True)
            if not self.no_browser:
                webbrowser.open(server.address)
            try:
                server.serve_forever()
            except KeyboardInterrupt:
                print("", file=sys.stderr)
