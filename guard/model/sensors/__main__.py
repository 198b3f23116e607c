"""python -m guard.model.sensors > docs/sensors.md"""

import sys

from guard.model.sensors.paper import paper

if __name__ == "__main__":
    sys.stdout.write(paper())
