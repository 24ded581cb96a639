"""Each kind of listener finds its decoder, and all flows come into one table."""

from collections import Counter

from deploy.decoders import make_chunk_decoder
from tests.collector.wire.flow_builder import netflow5
from tests.collector.wire.sflow_builder import datagram, flow_sample, sampled_ipv4
from tests.collector.wire.wire_chunks import make_chunk


def test_kinds_of_one_chunk():
    listeners = ["syslog/udp-5514", "netflow/udp-2055", "sflow/udp-6343", "netflow/udp-2055"]
    sflow = datagram(flow_sample(sampled_ipv4()))
    chunk = make_chunk([b"<13>x", netflow5(2), sflow, sflow], listeners).drop_columns(["row", "realm"])
    decoded = make_chunk_decoder("Asia/Bangkok", ()).decode(7, chunk)
    versions = [value for table in decoded.tables["flows"] for value in table.column("version").to_pylist()]
    assert Counter(versions) == {"netflow5": 2, "sflow5": 1}
    assert "records_without_decoder" not in decoded.counters
    assert decoded.counters["malformed_datagrams"] == 1, "the kind of the listener decides, not the bytes"
