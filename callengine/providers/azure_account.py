"""What Azure's recogniser and voice share: where a region's hosts are, and languages by their locales."""

from __future__ import annotations

from collections.abc import Mapping

from callengine.errors import ConfigurationError

REGION = "{region}"
"""Stands for the region in a base URL."""

_LOCALES: Mapping[str, str] = {
    "ar": "ar-SA", "ca": "ca-ES", "cs": "cs-CZ", "da": "da-DK", "el": "el-GR", "en": "en-US", "et": "et-EE",
    "eu": "eu-ES", "fa": "fa-IR", "ga": "ga-IE", "gl": "gl-ES", "he": "he-IL", "hi": "hi-IN", "ja": "ja-JP",
    "ko": "ko-KR", "ms": "ms-MY", "nb": "nb-NO", "no": "nb-NO", "pt": "pt-BR", "sl": "sl-SI", "sq": "sq-AL",
    "sr": "sr-RS", "sv": "sv-SE", "sw": "sw-KE", "ta": "ta-IN", "uk": "uk-UA", "vi": "vi-VN", "zh": "zh-CN",
}  # fmt: skip
"""Of languages whose main locale is not their own name twice (learn.microsoft.com, "Language support for Speech")."""

_CLOUDS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "china": ((".speech.microsoft.com", ".speech.azure.cn"), (".cognitive.microsoft.com", ".cognitive.azure.cn")),
    "usgov": ((".speech.microsoft.com", ".speech.azure.us"), (".cognitive.microsoft.com", ".cognitive.microsoft.us")),
}
"""Hosts of the clouds that stand by themselves (learn.microsoft.com, "Speech service in sovereign clouds")."""


def key_header(key: str) -> dict[str, str]:
    """Of every request and handshake."""
    return {"Ocp-Apim-Subscription-Key": key}


def check_region(region: str, *urls: str) -> None:
    """Raises `ConfigurationError` where one of these addresses needs a region, and this is none."""
    if not any(REGION in url for url in urls):
        return
    if not region:
        raise ConfigurationError("azure needs the region of its key: set AZURE_SPEECH_REGION, or pass region=")
    if not (region.isascii() and region.isalnum() and region == region.lower()):
        raise ConfigurationError(f"region={region!r}: write it as Azure does in addresses, such as westeurope")


def at_region(url: str, region: str) -> str:
    """This base URL in the region, and in the cloud that it belongs to."""
    if REGION not in url:
        return url
    for cloud, names in _CLOUDS.items():
        if region.startswith(cloud):
            for public, own in names:
                url = url.replace(public, own)
    return url.replace(REGION, region)


def locale(language: str) -> str:
    """A language as Azure names it, with its country: ``de-DE`` of ``de``, ``en-GB`` of ``en_gb``."""
    code, *rest = language.replace("_", "-").split("-")
    if not rest:
        return _LOCALES.get(code.lower(), f"{code.lower()}-{code.upper()}")
    return "-".join([code.lower(), *(part.title() if len(part) == 4 else part.upper() for part in rest)])
