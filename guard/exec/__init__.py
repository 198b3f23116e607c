"""Tools that know nothing of the guard, and what is known of them.

tools.py      which tool a command starts, and what is known of it
tool.py       what one knows of a tool: what a cancel leaves, and when its success is one
catalogue.py  the tools, one function each
wrapped.py    the programs behind npx, pnpm, env and a script of package.json
"""
