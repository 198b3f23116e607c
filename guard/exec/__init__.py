"""Tools that know nothing of the guard, run under it, and what is known of them.

running.py    a command from its registration to its outcome
plan.py       what is to be run, and how
waiting.py    for a fair start, and between two tries
attempt.py    one try: what is held, what is ended
retry.py      pure: whether a try is the end, or there is another
steering.py   the run: what the guard orders, how it ended
sessions.py   the command's sessions on the server
post.py       the connection on which both stand
child.py      the command as a process
keeper.py     starts it, and ends it whole when we are killed
marks.py      the environment by which its sessions are known

tools.py      which tool a command starts, and what is known of it
tool.py       what one knows of a tool: what a cancel leaves, and when its success is one
catalogue.py  the tools, one function each
wrapped.py    the programs behind npx, pnpm, env and a script of package.json
"""
