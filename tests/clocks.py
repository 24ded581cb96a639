"""A clock the tests turn by hand."""

NS = 1_000_000_000


class ManualClock:
    """Wall and monotonic time move only when told; `boot` names the boot."""

    def __init__(self, unix_ns: int = 1_795_000_000 * NS, monotonic_ns: int = 1_000 * NS, boot: str = "boot-1") -> None:
        self._unix_ns, self._monotonic_ns, self._boot = unix_ns, monotonic_ns, boot

    def unix_ns(self) -> int:
        return self._unix_ns

    def monotonic_ns(self) -> int:
        return self._monotonic_ns

    def boot_id(self) -> str:
        return self._boot

    def advance(self, seconds: float, *, wall_seconds: float | None = None) -> None:
        """Let time pass; with `wall_seconds` the wall clock jumps by another amount."""
        self._monotonic_ns += int(seconds * NS)
        self._unix_ns += int((seconds if wall_seconds is None else wall_seconds) * NS)
