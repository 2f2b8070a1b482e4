"""What can be on a disk after the power went: all that was written before the last completed flush, and of what was
written since any part, in any order, the last write perhaps torn."""
import dataclasses
import random

from power.disk import BLOCK, ENTRY, FLUSH, SECTOR, WRITE


@dataclasses.dataclass(frozen=True)
class Write:
    offset: int
    data: bytes

    @property
    def sectors(self):
        return len(self.data) // SECTOR


@dataclasses.dataclass
class Epoch:
    """The writes between two flushes; `until` (nanoseconds): when the second was taken, None at the end of the log."""
    writes: list
    until: int | None = None


@dataclasses.dataclass(frozen=True)
class Cut:
    """The writes of an epoch that reached the disk, and of one more only some sectors."""
    epoch: int
    kept: tuple
    torn: tuple = ()  # (number of the write, (sector, ...)) or nothing
    how: str = ""

    def apply(self, image, writes):
        for n in self.kept:
            image.write(writes[n].offset, writes[n].data)
        if self.torn:
            write, sectors = writes[self.torn[0]], self.torn[1]
            for s in sectors:
                image.write(write.offset + s * SECTOR, write.data[s * SECTOR:(s + 1) * SECTOR])


def read_log(path, until=None):
    """The epochs of a recording; what comes after `until` nanoseconds is left out."""
    epochs, raw = [Epoch([])], memoryview(path.read_bytes())
    at = 0
    while at + ENTRY.size <= len(raw):
        kind, offset, length, when = ENTRY.unpack_from(raw, at)
        at += ENTRY.size
        if until is not None and when > until:
            break
        if kind == WRITE:
            epochs[-1].writes.append(Write(offset, bytes(raw[at:at + length])))
            at += length
        else:
            assert kind == FLUSH and length == 0, "not a log of the recorder"
            epochs[-1].until = when
            epochs.append(Epoch([]))
    return epochs


def torn_writes(epoch, writes, rng):
    """Every prefix, its last write torn: only its first half, and only some of its sectors. Not the first block, where
    ext4 has its superblock: it does not survive a torn one."""
    for n, write in enumerate(writes):
        if write.sectors > 1 and write.offset >= BLOCK:
            half = tuple(range(write.sectors // 2))
            some = tuple(s for s in range(write.sectors) if rng.random() < 0.5)
            for sectors in (half, some):
                yield Cut(epoch, tuple(range(n)), (n, sectors), "torn")


def subsets(epoch, n, limit, rng):
    """All subsets of n writes if they are not more than the limit. Otherwise those that lack one, those of one, and by
    lot as many as the limit."""
    if n < limit.bit_length() and 1 << n <= limit:
        for bits in range(1 << n):
            yield Cut(epoch, tuple(i for i in range(n) if bits >> i & 1), how="all subsets")
        return
    for i in range(n):
        yield Cut(epoch, tuple(j for j in range(n) if j != i), how="all but one")
        yield Cut(epoch, (i,), how="one alone")
    for _ in range(limit):
        share = rng.random()
        yield Cut(epoch, tuple(i for i in range(n) if rng.random() < share), how="by lot")


def cuts(number, writes, limit, seed):
    """The cuts of an epoch. With limit 0 only the prefixes, with None only the cut right after the flush."""
    yield Cut(number, (), how="at a flush")
    if limit is None:
        return
    for n in range(1, len(writes) + 1):
        yield Cut(number, tuple(range(n)), how="prefix")
    if limit:
        rng = random.Random(f"{seed} {number}")
        yield from torn_writes(number, writes, rng)
        yield from subsets(number, len(writes), limit, rng)


def images(base, epochs):
    """Each epoch's number with the image at its start; the image is reused."""
    image = base.copy()
    for number, epoch in enumerate(epochs):
        yield number, image
        for write in epoch.writes:
            image.write(write.offset, write.data)


def final_image(base, epochs):
    image = base.copy()
    for epoch in epochs:
        for write in epoch.writes:
            image.write(write.offset, write.data)
    return image


