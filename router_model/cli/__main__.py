"""``python -m router_model.cli``."""

from router_model.cli.commands import main

main()
