"""python -m guard.show.probing > docs/metrics.md"""

import sys

from guard.show.probing.paper import paper

if __name__ == "__main__":
    sys.stdout.write(paper())
