"""The command line: parse, call, print.

`main` is the whole machinery: it hands `audit` to the kernel before anything else is imported, hands every
other command to `certkit.cli.app`, and turns what happened into an exit code. A command is a function that
prints its result and returns an exit code; it computes nothing itself.
"""
