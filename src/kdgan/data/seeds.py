"""Seeds of independent random streams out of one seed."""

import hashlib


def mixed(*parts: int | str) -> int:
    """A 32-bit seed from any parts, the same on every machine; other parts give an unrelated stream.

    torch's CPU generator keeps only 32 bits of a seed, so parts must be hashed rather than packed.
    """
    digest = hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big")
