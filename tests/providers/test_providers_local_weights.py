from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

from callengine.errors import ConfigurationError, MissingExtra, WeightsError
from callengine.providers.local import weights
from callengine.providers.local.language import check_language
from callengine.providers.local.models import load_local_models_sync, open_local_models
from callengine.providers.local.workers import Workers

ALL = [each for each in vars(weights).values() if isinstance(each, weights.Weight)]


@pytest.mark.parametrize("weight", ALL, ids=lambda weight: f"{weight.module}/{weight.path}")
def test_every_recorded_file_is_the_one_that_the_pinned_package_carries(weight: weights.Weight) -> None:
    assert weight.locate().is_file()


def test_a_file_with_another_content_is_refused() -> None:
    other = attrs.evolve(weights.MOONSHINE_TOKENS, sha256="0" * 64)
    with pytest.raises(
        WeightsError, match=r"not the file that was tested.*--force-reinstall 'moonshine-voice==0.0.73'"
    ):
        other.locate()


def test_a_file_that_is_gone_is_named_with_the_remedy() -> None:
    other = attrs.evolve(weights.MOONSHINE_TOKENS, path="assets/tiny-en/gone.bin")
    with pytest.raises(WeightsError, match=r"gone\.bin is missing: pip install"):
        other.locate()


def test_a_changed_file_is_hashed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "some_weights"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "model.bin").write_bytes(b"good")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(weights.PACKAGES, "some_weights", "some-weights==1")
    importlib.invalidate_caches()
    good = weights.Weight(
        "some_weights", "model.bin", "770e607624d689265ca6c44884d0807d9b054d23c473c106c72be9de08b7376c"
    )

    assert good.locate() == package / "model.bin"

    (package / "model.bin").write_bytes(b"broken")
    with pytest.raises(WeightsError):
        good.locate()


def test_missing_packages_are_listed_and_named_with_the_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    assert weights.local_available() == []

    monkeypatch.setitem(sys.modules, "hibari", None)

    assert weights.local_available() == ["hibari-tts==0.2.1"]
    with pytest.raises(MissingExtra, match=r"hibari-tts==0\.2\.1.*pip install 'callengine\[local\]'"):
        weights.HIBARI_VOICE.locate()
    with pytest.raises(MissingExtra, match="hibari"):
        load_local_models_sync()


@pytest.mark.models
async def test_loading_tells_its_progress_and_runs_in_the_workers() -> None:
    told: list[tuple[str, float]] = []
    workers = Workers(1)

    async with open_local_models(lambda name, done: told.append((name, done)), workers=workers) as models:
        assert models.workers is workers
        assert (models.stt.name, models.tts.name) == ("local", "local")
        assert (await models.encoder.encode(["hello"])).shape == (1, 384)

    assert [name for name, _ in told] == ["speech recognition", "speech recognition", "voice", "sentence encoder"]
    assert [done for _, done in told] == pytest.approx([0, 1 / 3, 2 / 3, 1])


@pytest.mark.models
def test_the_recogniser_is_loaded_without_importing_the_package_that_carries_it() -> None:
    program = (
        "import sys; from callengine.providers.local.moonshine import Moonshine; Moonshine.load(); "
        "assert 'onnxruntime' in sys.modules and 'moonshine_voice' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[2])


@pytest.mark.parametrize("language", ["en", "en-GB", "en_US", "EN"])
def test_english_of_any_country_is_spoken(language: str) -> None:
    check_language(language)


@pytest.mark.parametrize("language", ["de", "es-MX", "eng", ""])
def test_another_language_is_refused_with_what_to_do(language: str) -> None:
    with pytest.raises(ConfigurationError, match=r"English only.*set language='en', or give the agent a hosted"):
        check_language(language)
