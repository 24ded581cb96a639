# pyright: reportAttributeAccessIssue=false
"""JSON objects of sFlow samples, whose members differ from one to the next: built member by member over all."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc  # its functions are made at import, out of a type checker's sight

from collector.wire.addresses import format_address
from collector.wire.field_values import Values, binary_array
from collector.wire.sflow_samples import Parts
from collector.wire.sflow_words import WordBuffer

_ENTERPRISE_BITS = 12
_REPEAT_BITS = 20


def number_member(name: str, numbers: Values) -> pa.Array:
    """`,"name":number` of each sample, null where not valid."""
    mask = None if numbers.valid is None else ~numbers.valid
    return _member(name, pa.array(numbers.values, mask=mask).cast(pa.string()))


def mac_member(name: str, octets: np.ndarray, valid: np.ndarray) -> pa.Array:
    """Of uint8 [samples, 6]."""
    return _text_member(name, octets, valid, lambda value: value.hex(":"))


def address_member(name: str, octets: np.ndarray, valid: np.ndarray) -> pa.Array:
    """Of uint8 [samples, 16]."""
    return _text_member(name, octets, valid, format_address)


def record_members(buffer: WordBuffer, records: Parts, samples: int) -> pa.Array:
    """`,"e<enterprise>.<format>":"hex"` of these records, in order, one text for each sample (empty where it has none).

    A format that comes again in a sample gets #2, #3 and so on.
    """
    if not len(records.owner):
        return pa.array([""]).take(pa.array(np.zeros(samples, "int32")))
    labels, numbers = np.unique(_repeats(records) << 32 | records.tag, return_inverse=True)
    names = [_record_label(label) for label in labels.tolist()]
    texts = pc.binary_join_element_wise(pa.array(names).take(pa.array(numbers)), _hex(buffer, records), '"', "")
    offsets = np.zeros(samples + 1, "int32")
    np.cumsum(np.bincount(records.owner, minlength=samples), out=offsets[1:])
    return pc.binary_join(pa.ListArray.from_arrays(pa.array(offsets), texts), "")


def objects(first: str, numbers: np.ndarray, members: list[pa.Array]) -> pa.Array:
    """One object per sample: `first`, which every sample has, then the members that are not null."""
    text = pa.array(numbers).cast(pa.string())
    return pc.binary_join_element_wise(
        f'{{"{first}":', text, *members, "}", "", null_handling="replace", null_replacement=""
    )


def _member(name: str, values: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise(f',"{name}":', values, "")


def _text_member(name: str, octets: np.ndarray, valid: np.ndarray, show) -> pa.Array:
    encoded = binary_array(octets, valid).dictionary_encode()
    texts = pa.array([f'"{show(value)}"' for value in encoded.dictionary.to_pylist()], pa.string())
    return _member(name, texts.take(encoded.indices))


def _record_label(label: int) -> str:
    tag, again = label & 0xFFFFFFFF, label >> 32
    suffix = f"#{again + 1}" if again else ""
    return f',"e{tag >> _ENTERPRISE_BITS}.{tag & (1 << _ENTERPRISE_BITS) - 1}{suffix}":"'


def _repeats(records: Parts) -> np.ndarray:
    """How many records of the same format came before each in its sample."""
    order = np.lexsort((records.tag, records.owner))
    owner, tag = records.owner[order], records.tag[order]
    begins = np.concatenate(([True], (np.diff(owner) != 0) | (np.diff(tag) != 0)))
    places = np.arange(len(order))
    again = np.empty(len(order), "int64")
    again[order] = places - np.maximum.accumulate(np.where(begins, places, 0))
    return np.minimum(again, 1 << _REPEAT_BITS)


def _hex(buffer: WordBuffer, records: Parts) -> pa.Array:
    """Bytes of each record, without the padding, as hex text."""
    sizes = np.minimum(records.size, (records.end - records.start) * 4)
    ends = np.cumsum(sizes)
    places = np.arange(ends[-1]) + np.repeat(records.start * 4 - (ends - sizes), sizes)
    text = buffer.data[places].tobytes().hex().encode()
    offsets = np.concatenate(([0], ends * 2)).astype("int32")
    return pa.Array.from_buffers(pa.string(), len(sizes), [None, pa.py_buffer(offsets), pa.py_buffer(text)])
