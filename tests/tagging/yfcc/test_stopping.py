"""Tags that say nothing of a picture."""

from pathlib import Path

import pytest

from kdgan.tagging.yfcc.stopping import Stop
from support import refused


@pytest.mark.parametrize(
    "tag",
    [
        *("Canon", "nikon", "Canon EOS 40D", "nikond90", "iPhone 4S", "instagram app", "instagramapp"),
        *("square format", "Square", "18-55mm", "50mm f/1.8", "f/2.8", "iso 400", "D700", "5D mark II"),
        *("uploaded:by=instagram", "!!!", "iphoneography", "camera phone", "x-pro ii"),
    ],
)
def test_tags_of_cameras_and_apps_are_stopped(tag):
    assert Stop()(tag)


@pytest.mark.parametrize(
    "tag",
    ["sea", "new york", "2010", "canonbury", "f16", "apple", "phone", "canyon", "3d", "東京", "sonyericson"],
)
def test_tags_of_pictures_are_not_stopped(tag):
    assert not Stop()(tag)


def test_a_stop_file_that_is_no_text_is_refused(tmp_path):
    path = tmp_path / "stop"
    path.write_bytes(b"\xff\xfe\x00")
    with refused("UTF-8", path):
        Stop(path)


def test_a_stopped_tag_is_a_whole_word_however_it_is_written(tmp_path):
    path = tmp_path / "stop"
    path.write_text("कल\ncafe\u0301\nStraße\n", encoding="utf-8")
    stop = Stop(path)
    assert all(map(stop, ["कल", "CAFÉ", "STRASSE", "voigtla\u0308nder", "\u0301"]))
    assert not any(map(stop, ["कला", "cafe", "strassen"]))


def test_a_stop_file_is_a_file():
    with refused("/dev/zero", "a device or a pipe"):
        Stop(Path("/dev/zero"))
