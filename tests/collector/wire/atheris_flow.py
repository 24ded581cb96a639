"""Flow and sFlow decoders under atheris, guided by coverage: `make fuzz-atheris`. Not part of the test run.

The input is cut into datagrams at length words of two bytes; the first byte chooses the decoder. An exception, or units
that are no partition, end the run and leave the input in a file crash-*; it belongs in findings/ (see read_finding).
"""

import os
import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parent))

with atheris.instrument_imports(include=["collector.wire"]):
    from collector.wire.flows import FlowDecoder
    from collector.wire.sflow import SFlowDecoder

from flow_mutations import built_seeds, sflow_seeds
from test_wire_fuzz import check_partition, check_tables
from wire_chunks import make_chunk

DECODERS = {"netflow": FlowDecoder(units=True), "sflow": SFlowDecoder(units=True)}
SEED_DIRECTORY = Path(os.environ.get("PHAYAN_ATHERIS_CORPUS", ".atheris/corpus"))


def write_seeds() -> None:
    SEED_DIRECTORY.mkdir(parents=True, exist_ok=True)
    for kind, seeds in ((b"\0", built_seeds()), (b"\1", sflow_seeds())):
        for number, seed in enumerate(seeds):
            data = kind + b"".join(len(part).to_bytes(2, "big") + part for part in seed)
            (SEED_DIRECTORY / f"{kind.hex()}-{number}").write_bytes(data)


def one_input(data: bytes) -> None:
    listener, position = ("sflow" if data[:1] and data[0] & 1 else "netflow"), 1
    payloads = []
    while position < len(data):
        end = position + 2 + int.from_bytes(data[position : position + 2], "big")
        payloads.append(data[position + 2 : end])
        position = end
    if not payloads:
        return
    chunk = make_chunk(payloads, listener)
    decoder = DECODERS[listener]
    decoded = decoder.decode(decoder.initial_state(), 1, chunk)
    check_tables(decoded.tables, chunk.num_rows, 1)
    check_partition(decoded.units, chunk)


if __name__ == "__main__":
    write_seeds()
    atheris.Setup([*sys.argv, str(SEED_DIRECTORY)], one_input)
    atheris.Fuzz()
