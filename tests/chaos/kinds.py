"""All faults there are. Importing a module of faults enters them."""

from tests.chaos import database_faults, guard_faults, outside_faults
from tests.chaos.faults import FAULTS

__all__ = ["FAULTS", "database_faults", "guard_faults", "outside_faults"]
