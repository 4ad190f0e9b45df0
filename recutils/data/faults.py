"""The faults of fetching, each with what was expected, what came and the cure. No reading and no writing here."""

from recutils.tables import Problem


class NotReached(Problem):
    """No source of an entry could be reached; the message names each source, why it failed and the cures."""


class WrongHash(Problem):
    """A file is not the pinned one: another size or another sha256. It was not opened and not kept."""


class Unsafe(Problem):
    """A path would leave its folder, or a file is a link, a pickle or bigger than pinned. Nothing of it was kept."""


class DiskFull(Problem):
    """Too little space, before or during a fetch; what was begun has been removed."""
