"""Is everything there that the configuration speaks of? It asks, and says what to do; it changes nothing.

remarks    what is said      machine    files, folders, hooks
database   each server       outside    Prometheus, HTTP endpoints, Slack's credential
standbys   each standby
powers     may it do too much?      page       the status page
"""

from guard.check.examine import examine
from guard.check.remarks import Grade, Remark

__all__ = ["Grade", "Remark", "examine"]
