"""What is sent to the Hub, by a stand-in on loopback: never the network."""

import sys
from pathlib import Path

import pytest

from kdgan.ship.hub import check_name, send
from ship.hub_stand_in import TOKEN, stand_in
from support import refused


@pytest.fixture(autouse=True)
def signed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv(
        "HF_ENDPOINT", "http://127.0.0.1:9"
    )  # where nobody answers, unless a test says otherwise


def test_file_and_card_arrive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "student.onnx"
    file.write_bytes(bytes(range(256)) * 9)
    with stand_in() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        for name in ("someone/digits", "digits"):
            address = send(name, file, "---\ntags: []\n---\n# Ä card\n")
            assert address == f"{hub.endpoint}/someone/digits"
        assert hub.files == {
            "student.onnx": file.read_bytes(),
            "README.md": "---\ntags: []\n---\n# Ä card\n".encode(),
        }
        assert hub.signed == {f"Bearer {TOKEN}"}
        assert all(each.get("private") or each.get("visibility") == "private" for each in hub.made)


def test_what_is_refused_is_one_line_without_the_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "student.onnx"
    file.write_bytes(b"x")
    with stand_in() as hub:
        hub.refuses = True
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        with refused("someone/digits cannot be sent to the Hub", "403", file) as _:
            send("someone/digits", file, "card")
    with refused("cannot be sent to the Hub"):  # nobody answers
        monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
        send("someone/digits", file, "card")
    assert file.exists()
    for error in (f"no {TOKEN}", f"{TOKEN}"):
        monkeypatch.setattr("huggingface_hub.HfApi.create_repo", _raising(error))
        with pytest.raises(ValueError, match="cannot be sent") as caught:
            send("someone/digits", file, "card")
        assert TOKEN not in str(caught.value)


def _raising(said: str) -> object:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError(said)

    return fail


def test_names(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "a/b", "Some.one/my_net-2"):
        check_name(name)
    for name in (
        "",
        "/",
        "a/",
        "/b",
        "a/b/c",
        "a b",
        "ä/b",
        "../b",
        "a/..",
        "a--b",
        "-a/b",
        "x" * 200,
        "a\nb",
    ):
        with refused("is no name on the Hub"):
            check_name(name)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with refused("--to-hub needs huggingface_hub", "pip install 'kdgan[hub]'"):
        check_name("a/b")
