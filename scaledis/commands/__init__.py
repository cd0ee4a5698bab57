"""The commands of `scaledis`, each a dataclass that Python can run too.

    from scaledis.commands import Train

    Train("quickstart", steps=20, workdir="runs/short").execute()

Each is imported when it is first used. Their arguments are those of the command line (`scaledis train --help`), and
`overrides={"train.batch": 32}` is --config.train.batch=32.
"""

from etils import epy as _epy

with _epy.lazy_api_imports(globals()):
    from scaledis.commands.catalog import Describe as Describe
    from scaledis.commands.catalog import List as List
    from scaledis.commands.catalog import Prepare as Prepare
    from scaledis.commands.demo import Demo as Demo
    from scaledis.commands.results import Evaluate as Evaluate
    from scaledis.commands.results import Extract as Extract
    from scaledis.commands.results import Report as Report
    from scaledis.commands.train import Sweep as Sweep
    from scaledis.commands.train import Train as Train
    from scaledis.metrics.__main__ import Score as Score
    from scaledis.report.explore import Explore as Explore
