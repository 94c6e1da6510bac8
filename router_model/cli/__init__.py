"""The command line: each command a thin call of a public function.

Results go to standard output, as one JSON object with ``--json``; everything else to standard error. Exit
status: 0 done, 1 the work failed, 2 the request for it was wrong.
"""

from router_model.cli.commands import main

__all__ = ["main"]
