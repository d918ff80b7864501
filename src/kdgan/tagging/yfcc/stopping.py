"""Tags that tell of the camera or the app instead of the picture, which nobody could see in an image."""

from __future__ import annotations

import re
from pathlib import Path

from kdgan.errors import wrong
from kdgan.tagging.files import check_regular
from kdgan.tagging.words import LETTER, folded

MAKERS = """
    asahi, benq, blackberry, bronica, canon, carl zeiss, casio, contax, diana f, fuji, fujifilm,
    gopro, hasselblad, holga, htc, huawei, ilford, ipad, iphone, ipod, kodak, konica, leica, lomo, lumix, mamiya,
    minolta, motorola, nikkor, nikon, nokia, olympus, panasonic, pentax, polaroid, ricoh, rollei,
    rolleiflex, samsung, samyang, sigma, sony, tamron, tokina, voigtlander, voigtländer, xiaomi,
    yashica, zeiss, zenit
"""
GEAR = """
    120 film, 35mm, af-s, analog, analogue, android, android photography, aps-c, camera, camera
    phone, cameraphone, cybershot, digital, digital camera, dmc, dslr, dslr camera, ef, efs,
    ektachrome, ektar, elmarit, eos, eos rebel, epson, exif, expired film, film, finepix, fisheye
    lens, hdslr, iphone camera, iphoneography, ixus, kodachrome, l series, lens,
    lensbaby, lomographic, lomography, medium format, micro 4/3, micro four thirds, mirrorless,
    mobile phone, nex, nikonian, nikonians, point and shoot, portra, powershot, provia, rangefinder,
    slr, speedlite, strobist, summicron, summilux, telephoto, telephoto lens, tri-x, velvia, wide
    angle, wide angle lens, zoom lens
"""
APPS = """
    amaro, app, camera+, camerabag, cc, creative commons, earlybird, eye-fi, eyeem, eyefi, flickr,
    flickr app, flickr mobile, flickrandroidapp, flickrandroidapp:filter=none, flickriosapp,
    foursquare, geo tagged, geotag, geotagged, gimp, hashtag, hefe, hipstamatic, ifttt, igers,
    instagood, instagram, instagram app, instagramers, lightroom, lofi, mobile upload, moblog, no
    filter, nofilter, photomatix, photoshop, picasa, picplz, pixlr, rawtherapee, retro camera,
    shozu, snapseed, square, square format, squareformat, topaz, twitpic, twitter, upload, uploaded,
    vignette, vignette for android, vsco, vscocam, x-pro ii, xproii, zonetag
"""

_PATTERNS = (
    r"[^:]+:[^=]+=.*",  # a machine tag
    r"f/\d+([.,]\d+)?|f\d+[.,]\d+",  # an aperture, but not the aeroplane f16
    r"iso ?\d+",
    r"\d+(-\d+)? ?mm( ?f/?\d.*)?",  # a lens
    r"(eos ?)?([1567]|\d{2,4})d( ?(mark|mk).*)?|d\d{2,4}",  # a camera without its maker
)
_SIGN = re.compile(rf"[^{LETTER}]|_")


class Stop:
    """Says of a tag whether it is left out of the choice: it is on a list, or a camera's or lens' name.

    Letter case, blanks and punctuation make no difference. A maker's name followed by anything with a digit
    ("canon eos 40d") is a camera's name. Tags with nothing but signs are left out as well.

    Args:
        own: a file with further tags, one a line.

    Raises:
        UsageError: if the file cannot be read as text.
    """

    def __init__(self, own: Path | None = None) -> None:
        self._words = frozenset(map(_compact, (*_names(MAKERS), *_names(GEAR), *_names(APPS), *_lines(own))))
        makers = "|".join(map(_compact, _names(MAKERS)))
        self._camera = re.compile(rf"(?:{makers})\D*\d.*")
        self._pattern = re.compile("|".join(_PATTERNS))

    def __call__(self, tag: str) -> bool:
        """Whether `tag` is to be left out."""
        compact = _compact(tag)
        return (
            not any(map(str.isalnum, compact))
            or compact in self._words
            or self._camera.fullmatch(compact) is not None
            or self._pattern.fullmatch(folded(tag)) is not None
        )


def _names(text: str) -> list[str]:
    return text.split(",")  # line breaks are as good as blanks, and those are left out of comparisons


def _compact(tag: str) -> str:
    return _SIGN.sub("", folded(tag))


def _lines(path: Path | None) -> list[str]:
    if path is None:
        return []
    check_regular(path)
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise wrong(f"{path} is no text in UTF-8: expected one tag a line") from error
    except OSError as error:
        raise wrong(f"cannot read {path}: {error.strerror}") from error
