"""Every rail in one table: what it is called, the one function that decides it, its configuration key, its verdict.

The list of rails that ``check-config --defaults`` prints, the tests that every rail has a key and a sentence, and the
mutants that take each rail away in turn are all read off this table.
"""

from dataclasses import dataclass
from typing import Final

from reconcilerd.domain.verdicts import Verdict


@dataclass(frozen=True, slots=True)
class Rail:
    """``function``: module and name under ``reconcilerd``. ``latch``: the name by which a trip of it is reset."""

    name: str
    function: str
    key: str
    verdict: Verdict
    latch: str = ""


RAILS: Final = (
    Rail("stop file", "domain.guards:stop_file", "daemon.stop_file", Verdict.HOLD_STOP_FILE),
    Rail(
        "stop file before each write", "daemon.daemon:stop_reason", "daemon.stop_file", Verdict.HOLD_STOP_FILE
    ),
    Rail("freeze", "domain.guards:freeze", "daemon.control_socket", Verdict.HOLD_FROZEN),
    Rail("freeze window", "domain.guards:freeze_window", "freeze[].cron", Verdict.HOLD_FREEZE_WINDOW),
    Rail("mode observe", "domain.guards:observe_only", "limits.mode", Verdict.HOLD_MODE),
    Rail("mode guarded", "domain.size:guarded_mode", "limits.mode", Verdict.HOLD_APPROVAL),
    Rail("ownership", "domain.guards:ownership", "channels[].publisher", Verdict.HOLD_NATIVE_PUSH),
    Rail(
        "decrease only", "domain.guards:decrease_only", "channels[].decrease_only", Verdict.HOLD_DECREASE_ONLY
    ),
    Rail("protected SKU", "domain.size:protected_sku", "rules_csv", Verdict.HOLD_PROTECTED),
    Rail(
        "circuit breaker", "domain.circuit:heard", "limits.breaker_percent", Verdict.HOLD_CIRCUIT, "circuit"
    ),
    Rail("open circuit", "domain.guards:circuit", "limits.breaker_open_s", Verdict.HOLD_CIRCUIT),
    Rail("half fails", "domain.circuit:half_fail", "limits.half_fails", Verdict.HOLD_STORM),
    Rail("storm", "domain.guards:half_fails", "limits.half_fails", Verdict.HOLD_STORM),
    Rail("tug of war", "domain.guards:tug_of_war", "limits.tug_times", Verdict.HOLD_TUG_OF_WAR, "tug-of-war"),
    Rail("tug of war is counted", "domain.trips:tug_of_war", "limits.tug_window_s", Verdict.HOLD_TUG_OF_WAR),
    Rail(
        "quarantine", "domain.guards:quarantine", "limits.quarantine_s", Verdict.HOLD_QUARANTINE, "quarantine"
    ),
    Rail("refusals are counted", "domain.trips:quarantined", "limits.refusals", Verdict.HOLD_QUARANTINE),
    Rail("attempt budget", "domain.size:attempt_budget", "limits.attempts_per_hour", Verdict.HOLD_ATTEMPTS),
    Rail(
        "all changed",
        "domain.suspicion:all_changed",
        "limits.all_changed_percent",
        Verdict.HOLD_SUSPECT,
        "all-changed",
    ),
    Rail(
        "shrinking", "domain.suspicion:shrinking", "limits.shrink_percent", Verdict.HOLD_SUSPECT, "shrinking"
    ),
    Rail("sentinel", "domain.suspicion:sentinel", "sentinels[].at_least", Verdict.HOLD_SUSPECT, "sentinel"),
    Rail("suspect reading", "domain.guards:suspect_reading", "limits.suspect_min_rows", Verdict.HOLD_SUSPECT),
    Rail("never counted", "domain.size:never_counted", "limits.zero_reads", Verdict.HOLD_NEVER_COUNTED),
    Rail("zero read thrice", "domain.size:confirmed_zero", "limits.zero_reads", Verdict.HOLD_CONFIRM),
    Rail(
        "large change read twice", "domain.size:confirmed_size", "limits.confirm_reads", Verdict.HOLD_CONFIRM
    ),
    Rail(
        "unexplained fall",
        "domain.size:unexplained_fall",
        "limits.unexplained_fall_units",
        Verdict.HOLD_UNEXPLAINED,
    ),
    Rail("raise ratio", "domain.size:raise_ratio", "limits.raise_ratio", Verdict.HOLD_RAISE_RATIO),
    Rail("zeros", "domain.size:zeros", "limits.unexplained_zeros", Verdict.HOLD_ZEROS),
    Rail(
        "zeros latch", "domain.size:zeros_latch", "limits.zeros_window_s", Verdict.HOLD_ZEROS_LATCHED, "zeros"
    ),
    Rail("window by count", "domain.size:window_slots", "limits.window_slots", Verdict.HOLD_WINDOW_SLOTS),
    Rail("window by share", "domain.size:window_share", "limits.window_percent", Verdict.HOLD_WINDOW_SHARE),
    Rail("window by units", "domain.size:window_units", "limits.window_units", Verdict.HOLD_WINDOW_UNITS),
    Rail("window by value", "domain.size:window_value", "limits.window_value", Verdict.HOLD_WINDOW_VALUE),
    Rail("canary", "domain.canary:begins", "limits.canary_over", Verdict.HOLD_CANARY),
    Rail("canary is read back", "domain.canary:agrees", "limits.canary_first", Verdict.HOLD_CANARY),
    Rail(
        "stopped canary", "domain.size:canary_stopped", "limits.canary_second", Verdict.HOLD_CANARY, "canary"
    ),
    Rail(
        "config change",
        "domain.size:config_change",
        "limits.config_change_slots",
        Verdict.HOLD_CONFIG_CHANGE,
        "config-change",
    ),
)
"""In the order in which the README speaks of them."""

RESETS: Final = {
    "invariant": "writes go on; why the program broke its own rule should have been found",
    "circuit": "writes go there again at once, though calls may still fail",
    "tug-of-war": "the listing is written again; whoever else writes it should have been found",
    "quarantine": "the value is tried again",
    "all-changed": "the reading is accepted as it is, and every listing follows it within the limits",
    "shrinking": "the rows that are missing are accepted as gone",
    "sentinel": "the reading is accepted, though a sentinel is not as the configuration says",
    "zeros": "unexplained zeros of the channel go again, so many within the window",
    "canary": "the rest of the large change goes, again in small batches first",
    "config-change": "the changed policy is adopted, and corrections by it go within the limits",
}
"""What it means to reset each latch."""
