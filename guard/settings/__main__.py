"""python -m guard.settings > docs/settings.md"""

import sys

from guard.settings.paper import paper

if __name__ == "__main__":
    sys.stdout.write(paper())
