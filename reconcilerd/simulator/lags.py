"""How late and how unreliable a pretend business is: the ranges from which chance draws."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WorldConfig:
    """Lags in milliseconds (least, most); ``push_lost``: share of native pushes that never arrive."""

    seed: int = 1
    import_ms: tuple[int, int] = (30_000, 600_000)
    allocate_ms: tuple[int, int] = (30_000, 300_000)
    ship_ms: tuple[int, int] = (600_000, 5_400_000)
    hear_ms: tuple[int, int] = (0, 0)
    """How late Extensiv hears that a mirrored place has shipped."""
    mirror_ms: int = 900_000
    index_lag_ms: tuple[int, int] = (0, 20_000)
    push_ms: tuple[int, int] = (60_000, 600_000)
    """How long a native push waits for its turn; then its number is computed."""
    transit_ms: tuple[int, int] = (500, 5_000)
    """How long that number takes to the store; what sells meanwhile is written over."""
    push_lost: float = 0.05
    write_lost: float = 0.0
    """Share of accepted writes that never take effect."""
