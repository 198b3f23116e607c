"""The command line: words to calls, and results to words. It decides nothing.

    app        the commands, and errors to exit codes      where      which configuration, which database
    serve      serve, check, install, uninstall, demo      control    pause, resume, abort, override, mute, forget, wait
    look       status, runs, explain, and their --json     seen       what they read from the database
    watch      watch                                       watched    what it knows of a database by now
                                                           drawing    its picture          saying  its plain lines
    history    replay                                      courses    two courses of a run, side by side
    suggest    suggest                                     suggesting limits from the past
    executing  exec
                                                           past       what Prometheus remembers
    words      tables, times, colour                       alert      alert --test, --died
                                                           unit       what units of systemd start
    backfill   backfill                                    backfilling what people see of it

Each command imports what it needs when it is called, so that --help stays quick.
"""

from guard.cli.app import main

__all__ = ["main"]
