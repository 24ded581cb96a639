"""`python -m tests.bench [--only P1,P3] [--runs N]`: one JSON line per figure, progress on stderr."""

import argparse
import sys
from collections.abc import Callable, Iterator

from tests.bench import p1_syslog_tcp, p2_syslog_udp, p3_netflow, p4_index, p10_verify
from tests.bench.figure import Figure

BENCHES: dict[str, Callable[[int], Iterator[Figure]]] = {
    "P1": p1_syslog_tcp.figures,
    "P2": p2_syslog_udp.figures,
    "P3": p3_netflow.figures,
    "P4": p4_index.figures,
    "P5": p4_index.figures,
    "P10": p10_verify.figures,
}
DEFAULT_RUNS = 3


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("--only", default="", help=f"comma-separated, of {', '.join(BENCHES)}")
    parser.add_argument("--runs", type=int, default=DEFAULT_RUNS)
    options = parser.parse_args()
    chosen = [name for name in options.only.split(",") if name] or list(BENCHES)
    unknown = [name for name in chosen if name not in BENCHES]
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; there are {', '.join(BENCHES)}", file=sys.stderr)
        return 2
    for bench in dict.fromkeys(BENCHES[name] for name in chosen):
        for figure in bench(options.runs):
            if figure.id in chosen:
                print(figure.to_json(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
