"""The ledger: one small file for each finished run, and the report that is made from them."""

from ledger.recording import record
from ledger.results import LatencyResult, RunResult, SpeedResult, read_results, write_result

__all__ = ["LatencyResult", "RunResult", "SpeedResult", "read_results", "record", "write_result"]
