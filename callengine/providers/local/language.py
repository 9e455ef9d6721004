"""Which languages the embedded models speak."""

from __future__ import annotations

from callengine.errors import ConfigurationError


def check_language(language: str) -> None:
    """Raise `ConfigurationError` unless ``language`` (a BCP 47 tag such as "en" or "en-GB") is English.

    The packaged recogniser (Moonshine tiny-en) and voice (hibari "heart") were trained on English alone, and would
    answer another language with confident nonsense.
    """
    if language.replace("_", "-").split("-")[0].lower() != "en":
        raise ConfigurationError(
            f"the local models speak English only, and this call's language is {language!r}: set language='en', "
            "or give the agent a hosted speech-to-text and text-to-speech provider that speaks it"
        )
