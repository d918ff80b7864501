"""How fast YFCC100M's metadata are read, and how much memory that takes, on generated lines like the real ones.

Prints lines per second from an uncompressed file, with title, description and tags of every photo decoded; the
time from a bz2 file as a multiple of what decompression alone takes, the two measured in turns; and, for each of two
sizes, the peak memory of a process that reads it, and of one that makes a data set as `kdgan tags prepare` does. CPU
seconds are of all threads; on a busy machine they tell more than seconds by the clock.
"""

import argparse
import bz2
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from urllib.parse import quote_plus

from kdgan.tagging.yfcc.metadata import Counts, read_metadata
from kdgan.tagging.yfcc.prepare import Selection, prepare

POOL = 20_000  # lines that differ; a larger file repeats them, at a distance that bz2 cannot see
SYLLABLES = (
    "ka",
    "lo",
    "mi",
    "ren",
    "ta",
    "so",
    "be",
    "du",
    "gra",
    "vi",
    "ne",
    "pol",
    "shi",
    "an",
    "er",
    "ou",
)
FOREIGN = "東京写真夏空海山花人é"
BARS = {"rate": 60_000, "ratio": 1.3, "memory": 300}


@cache
def vocabulary() -> list[str]:
    """Made-up words, some of which are not ASCII."""
    chance = random.Random(1)
    known = ["".join(chance.choices(SYLLABLES, k=chance.randint(1, 4))) for _ in range(20_000)]
    known[50::70] = ["".join(chance.choices(FOREIGN, k=3)) for _ in known[50::70]]
    return known


def punctuated(word: str) -> str:
    """The word with what follows it: punctuation for one in five."""
    return word + (", ", ".\n", "; ", " ", "! ")[len(word) % 5] if word[0] in "ks" else f"{word} "


def words(chance: random.Random, count: int) -> list[str]:
    """Words, each about as frequent as real ones of its rank."""
    known = vocabulary()
    return [known[int(len(known) ** chance.random()) - 1] for _ in range(count)]


def line(number: int, chance: random.Random) -> str:
    """One line as in the release of 25 fields: half of the photos with a description, two thirds with tags."""
    identifier, server = chance.randrange(10**8, 10**10), chance.randrange(9999)
    owner = f"{chance.randrange(10**7, 10**8)}@N0{chance.randrange(9)}"
    secret = f"{chance.randrange(16**10):010x}"
    title = f"IMG_{chance.randrange(9999):04}" if chance.random() < 0.3 else " ".join(words(chance, 4))
    text = ""
    if chance.random() < 0.5:
        text = "".join(map(punctuated, words(chance, chance.randint(3, 60))))
        if chance.random() < 0.1:
            text = "".join(chance.choices(FOREIGN, k=len(text) // 6))
        if chance.random() < 0.3:
            text += (
                f'\n<a href="http://www.flickr.com/photos/{owner}/" rel="nofollow">{title}</a>, {text[:40]}'
            )
    tags = [] if chance.random() < 0.33 else words(chance, chance.randint(1, 16))
    page = f"http://www.flickr.com/photos/{owner}/{identifier}/"
    image = f"http://farm{chance.randint(1, 9)}.staticflickr.com/{server}/{identifier}_{secret}.jpg"
    day = f"20{chance.randint(4, 13):02}-{chance.randint(1, 12):02}-{chance.randint(1, 28):02} 12:30:11.0"
    licence = ("Attribution-NonCommercial License", "http://creativecommons.org/licenses/by-nc/2.0/")
    place = (f"{chance.uniform(-180, 180):.6f}", f"{chance.uniform(-90, 90):.6f}", "16")
    return "\t".join(
        [
            *(str(number), str(identifier), f"{chance.randrange(16**32):032x}", owner),
            *(quote_plus(words(chance, 1)[0]), day, "1331840483", "Canon+PowerShot+ELPH+310+HS"),
            *(quote_plus(title), quote_plus(text), ",".join(map(quote_plus, tags)), ""),
            *(place if chance.random() < 0.5 else ("", "", "")),
            *(page, image, *licence, str(server), "6", secret, f"{chance.randrange(16**10):010x}", "jpg"),
            "1" if chance.random() < 0.008 else "0",
        ]
    )


def write(folder: Path, pool: str, lines: int) -> tuple[Path, Path]:
    """A file of so many lines, rounded up to whole pools, plain and as bz2 (a stream for each pool)."""
    plain, packed = folder / f"{lines}.tsv", folder / f"{lines}.tsv.bz2"
    squeezed = bz2.compress(pool.encode())
    with plain.open("wb") as first, packed.open("wb") as second:
        for _ in range(-(-lines // POOL)):
            first.write(pool.encode())
            second.write(squeezed)
    return plain, packed


def read(path: Path) -> int:
    """Reads and decodes everything that a data set is made of; the number of lines."""
    counts = Counts()
    for photo in read_metadata([path], counts, progress=False):
        _ = photo.identifier, photo.owner, photo.title, photo.description, photo.tags, photo.url
    return counts.lines


def made(path: Path) -> int:
    """Makes a data set of the usual size from the file, beside it; the number of lines."""
    return prepare([path], path.parent / "made", Selection(minimum=10), progress=False).lines


def peak() -> int:
    """Peak memory of this process in MB."""
    status = Path("/proc/self/status")
    if not status.exists():
        # A process that another started counts the memory of that one at the time here, so it may be too much.
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    (found,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(found.split()[1]) // 1024


def decompress(path: Path) -> None:
    """Decompression alone."""
    with bz2.open(path) as file:
        while file.read(1 << 20):
            pass


def timed(work: Callable[[Path], object], path: Path) -> tuple[float, float]:
    """Seconds by the clock and of the processor."""
    clock, cpu = time.perf_counter(), time.process_time()
    work(path)
    return time.perf_counter() - clock, time.process_time() - cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=100_000, help="lines for the speed")
    parser.add_argument("--memory-lines", type=int, nargs=2, default=(50_000, 500_000))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--prepare", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.read or arguments.prepare:
        lines = read(arguments.read) if arguments.read else made(arguments.prepare)
        print(lines, peak())
        return
    with tempfile.TemporaryDirectory() as name:
        measure(Path(name), arguments.lines, arguments.memory_lines, arguments.repeats)


def measure(folder: Path, lines: int, memory_lines: tuple[int, int], repeats: int) -> None:
    chance = random.Random(0)
    pool = "".join(f"{line(number, chance)}\n" for number in range(POOL))
    print(f"generated lines have {len(pool.encode()) / POOL:.0f} bytes on average")
    plain, packed = write(folder, pool, lines)
    lines = -(-lines // POOL) * POOL
    runs = [(timed(read, plain), timed(decompress, packed), timed(read, packed)) for _ in range(repeats)]
    for kind, unit in enumerate(("seconds by the clock", "CPU seconds")):
        text, alone, both = (statistics.median(run[which][kind] for run in runs) for which in range(3))
        ratio = statistics.median(run[2][kind] / run[1][kind] for run in runs)
        print(
            f"{unit:20}: {lines / text:,.0f} lines/s from text (bar {BARS['rate']:,}); from bz2 {both:.2f}, "
            f"decompression alone {alone:.2f}, ratio {ratio:.2f} (bar {BARS['ratio']})",
            flush=True,
        )
    for path in (plain, packed):
        path.unlink()
    for size in memory_lines:
        text, packed = write(folder, pool, size)
        for what, path in (("read", text), ("prepare", text), ("read", packed)):
            command = [sys.executable, __file__, f"--{what}", str(path)]
            began = time.perf_counter()
            done = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
            print(
                f"{int(done[0]):>12,} lines of {path.suffix.lstrip('.')}, {what}: peak {done[1]} MB "
                f"(bar {BARS['memory']}), {time.perf_counter() - began:.0f} s",
                flush=True,
            )
        text.unlink()
        packed.unlink()


if __name__ == "__main__":
    main()
