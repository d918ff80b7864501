"""What the package hands out, and that importing it costs little."""

import importlib
import importlib.metadata
import subprocess
import sys

import pytest

import kdgan
import kdgan.tagging


def test_the_package_shows_what_it_hands_out_and_nothing_else() -> None:
    shown = dir(kdgan)
    assert [name for name in shown if not name.startswith("_")] == kdgan.__all__
    assert set(shown) - set(kdgan.__all__) == {"__version__"}
    assert sorted(shown) == sorted(set(shown))
    for name in shown:
        assert getattr(kdgan, name) is not None


def test_the_version_is_that_of_the_installed_package() -> None:
    assert kdgan.__version__ == importlib.metadata.version("kdgan")


def test_names_are_the_same_objects_as_in_their_rooms() -> None:
    from kdgan.data.batch import Batch
    from kdgan.distillation import distill
    from kdgan.methods import Method
    from kdgan.ship.student import Student
    from kdgan.training.config import Training

    found = (kdgan.Batch, kdgan.distill, kdgan.Method, kdgan.Student, kdgan.Training)
    assert found == (Batch, distill, Method, Student, Training)
    assert kdgan.losses is importlib.import_module("kdgan.losses")


def test_a_name_that_is_not_there_is_told_as_usual() -> None:
    for module in (kdgan, kdgan.tagging):
        with pytest.raises(AttributeError, match="nonesuch"):
            module.nonesuch  # noqa: B018


def test_baselines_are_at_hand() -> None:
    from kdgan.tagging import KNN, RelExamples, TagFeature, TagProp

    assert dir(kdgan.tagging) == sorted(kdgan.tagging.__all__)
    assert {KNN, RelExamples, TagFeature, TagProp} == {
        getattr(kdgan.tagging, name) for name in dir(kdgan.tagging)
    }


def test_importing_the_package_is_quick() -> None:
    # torch takes seconds to import, and baselines need memory that reading metadata does without.
    code = (
        "import sys, kdgan, kdgan.tagging, kdgan.cli\n"
        "heavy = {'torch', 'numpy', 'scipy', 'sklearn', 'polars', 'matplotlib'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
